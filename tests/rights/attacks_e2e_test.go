//go:build e2e

package rights

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"bindery/infra/local/stack"
)

// taken is a proxy function that somebody has taken over: its clients, its role,
// and none of its code.
type taken struct {
	*world
	ctx     context.Context
	rows    *dynamodb.Client
	secrets *secretsmanager.Client
	keys    *kms.Client
}

func takeOver(t *testing.T) taken {
	t.Helper()
	w := newWorld(t)
	a := stack.AWS(w.rights.URL)
	a.Credentials = credentials.NewStaticCredentialsProvider("proxy", "local", "")
	return taken{w, t.Context(), dynamodb.NewFromConfig(a), secretsmanager.NewFromConfig(a), kms.NewFromConfig(a)}
}

// make stores a secret with a tag, or without one.
func (p taken) make(name, environment string) {
	p.t.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String("made-up-value")}
	if environment != "" {
		in.Tags = []secretstypes.Tag{{Key: aws.String("bindery-environment"), Value: &environment}}
	}
	_, err := p.Secrets.CreateSecret(p.ctx, in)
	must(p.t, err)
}

func (p taken) read(name string, change func(*secretsmanager.GetSecretValueInput)) error {
	in := &secretsmanager.GetSecretValueInput{SecretId: &name}
	if change != nil {
		change(in)
	}
	_, err := p.secrets.GetSecretValue(p.ctx, in)
	return err
}

func key(partition, sort string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: partition}, "sk": &types.AttributeValueMemberS{Value: sort}}
}

// try is something that the attacker does, and whether it is the proxy's work.
type try struct {
	what string
	do   func() error
	ok   bool
}

// secretsOfOthers are those that only look like its own.
func (p taken) secretsOfOthers() []try {
	p.t.Helper()
	p.make("prod/github", "prod")
	p.make("prod/untagged", "")
	p.make("prod/of-dev", "dev")
	p.make("payroll/database", "prod")
	return []try{
		{"a secret that is its work", func() error { return p.read("prod/github", nil) }, true},
		{"an untagged secret", func() error { return p.read("prod/untagged", nil) }, false},
		{"a secret tagged for another environment", func() error { return p.read("prod/of-dev", nil) }, false},
		{"a secret of another path", func() error { return p.read("payroll/database", nil) }, false},
		{"a staged version", func() error {
			return p.read("prod/github", func(in *secretsmanager.GetSecretValueInput) { in.VersionStage = aws.String("AWSPENDING") })
		}, false},
		{"to tag a secret for itself", func() error {
			_, err := p.secrets.TagResource(p.ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("prod/untagged"),
				Tags: []secretstypes.Tag{{Key: aws.String("bindery-environment"), Value: aws.String("prod")}}})
			return err
		}, false},
	}
}

// records are to be changed, by every request that could.
func (p taken) records() []try {
	p.t.Helper()
	audit, receipt := &p.Config.Tables.Audit, key("01JABCDEF", "intent")
	batch := func(write types.WriteRequest) error {
		_, err := p.rows.BatchWriteItem(p.ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{*audit: {write}}})
		return err
	}
	statement := func(text string) error {
		_, err := p.rows.ExecuteStatement(p.ctx, &dynamodb.ExecuteStatementInput{Statement: aws.String(text)})
		return err
	}
	return []try{
		{"to append a record", func() error {
			_, err := p.rows.PutItem(p.ctx, &dynamodb.PutItemInput{TableName: audit, Item: receipt})
			return err
		}, true},
		{"to change a record", func() error {
			_, err := p.rows.UpdateItem(p.ctx, &dynamodb.UpdateItemInput{TableName: audit, Key: receipt, UpdateExpression: aws.String("SET x = :x"),
				ExpressionAttributeValues: map[string]types.AttributeValue{":x": &types.AttributeValueMemberN{Value: "1"}}})
			return err
		}, false},
		{"to delete a record", func() error {
			_, err := p.rows.DeleteItem(p.ctx, &dynamodb.DeleteItemInput{TableName: audit, Key: receipt})
			return err
		}, false},
		{"to delete a record in a batch", func() error { return batch(types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: receipt}}) }, false},
		{"to put a record in a batch", func() error { return batch(types.WriteRequest{PutRequest: &types.PutRequest{Item: receipt}}) }, false},
		{"to delete a record in a transaction", func() error {
			_, err := p.rows.TransactWriteItems(p.ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Delete: &types.Delete{TableName: audit, Key: receipt}}}})
			return err
		}, false},
		{"to delete a record by a statement", func() error {
			return statement(`DELETE FROM "` + *audit + `" WHERE pk = '01JABCDEF' AND sk = 'intent'`)
		}, false},
		{"to change a record by a statement", func() error {
			return statement(`UPDATE "` + *audit + `" SET x = 1 WHERE pk = '01JABCDEF' AND sk = 'intent'`)
		}, false},
		{"to let records expire", func() error {
			_, err := p.rows.UpdateTimeToLive(p.ctx, &dynamodb.UpdateTimeToLiveInput{TableName: audit,
				TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("at"), Enabled: aws.Bool(true)}})
			return err
		}, false},
		{"to read a record", func() error {
			_, err := p.rows.GetItem(p.ctx, &dynamodb.GetItemInput{TableName: audit, Key: receipt})
			return err
		}, false},
	}
}

// rowsOfOthers are in tables of which it reads other rows.
func (p taken) rowsOfOthers() []try {
	p.t.Helper()
	grants, catalogue := &p.Config.Tables.Grants, &p.Config.Tables.Catalogue
	return []try{
		{"a sealed value that is its work", func() error {
			_, err := p.rows.GetItem(p.ctx, &dynamodb.GetItemInput{TableName: grants, Key: key("sealed/prod/token", "value")})
			return err
		}, true},
		{"a row of another environment", func() error {
			_, err := p.rows.GetItem(p.ctx, &dynamodb.GetItemInput{TableName: grants, Key: key("sealed/dev/token", "value")})
			return err
		}, false},
		{"what a rotation keeps", func() error {
			_, err := p.rows.GetItem(p.ctx, &dynamodb.GetItemInput{TableName: grants, Key: key("rotation/prod/token", "latest")})
			return err
		}, false},
		{"everything that is sealed", func() error {
			_, err := p.rows.Scan(p.ctx, &dynamodb.ScanInput{TableName: grants})
			return err
		}, false},
		{"one row that is its work and one that is not", func() error {
			_, err := p.rows.BatchGetItem(p.ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
				*catalogue: {Keys: []map[string]types.AttributeValue{key("agent/prod", "id/x"), key("assignment/prod", "name/x")}}}})
			return err
		}, false},
		{"to bind somebody", func() error {
			_, err := p.rows.PutItem(p.ctx, &dynamodb.PutItemInput{TableName: catalogue, Item: key("server/prod/github", "binding/mine")})
			return err
		}, false},
		{"to let somebody go", func() error {
			_, err := p.rows.PutItem(p.ctx, &dynamodb.PutItemInput{TableName: &p.Config.Tables.Revocations, Item: key("marker/prod/principal/p-alice", "marker")})
			return err
		}, false},
	}
}

// sealedForOthers is what the key would open, if it opened everything.
func (p taken) sealedForOthers() []try {
	p.t.Helper()
	open := func(environment, purpose string) error {
		blob, err := kms.NewFromConfig(p.AWS).Encrypt(p.ctx, &kms.EncryptInput{KeyId: &p.Config.ValuesKey, Plaintext: []byte("made up"),
			EncryptionContext: map[string]string{"bindery:environment": environment, "bindery:purpose": purpose}})
		must(p.t, err)
		_, err = p.keys.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob.CiphertextBlob, // by an id or without: the context is what counts
			EncryptionContext: map[string]string{"bindery:environment": environment, "bindery:purpose": purpose}})
		return err
	}
	return []try{
		{"to open a grant", func() error { return open("prod", "grant") }, true},
		{"to open a grant of another environment", func() error { return open("dev", "grant") }, false},
		{"to open what a rotation keeps", func() error { return open("prod", "rotation") }, false},
		{"to lend the key", func() error {
			_, err := p.keys.CreateGrant(p.ctx, &kms.CreateGrantInput{KeyId: &p.Config.ValuesKey, GranteePrincipal: aws.String("arn:aws:iam::123456789012:role/mine"),
				Operations: []kmstypes.GrantOperation{kmstypes.GrantOperationDecrypt}})
			return err
		}, false},
	}
}

// TestACompromisedProxyIsDenied, by real requests of the AWS SDK to an endpoint
// that would do all of it. The first of each kind shows that the way is open to
// what is the proxy's work.
func TestACompromisedProxyIsDenied(t *testing.T) {
	p := takeOver(t)
	for _, c := range slices.Concat(p.secretsOfOthers(), p.records(), p.rowsOfOthers(), p.sealedForOthers()) {
		err := c.do()
		var fault smithy.APIError
		if denied := errors.As(err, &fault) && fault.ErrorCode() == "AccessDeniedException"; denied == c.ok || c.ok && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}
