package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/wire"
)

// stackName is what SAM takes for the name of a stack that is none. template.yaml
// makes the names of tables and of the key's alias of it.
const stackName = "local"

const accountID = "123456789012" // what SAM and the local endpoint take for the account

func valuesKey() string {
	return "arn:aws:kms:" + stack.Region + ":" + accountID + ":alias/" + stackName + "-values"
}

// deploy makes what the template makes for one environment, under the names that
// the functions get from SAM.
func deploy(ctx context.Context, a aws.Config, environment, publicURL string, issuers []byte, opened []netip.Prefix) (*stack.Deployment, error) {
	name := func(table string) string { return stackName + "-" + table }
	d := &stack.Deployment{AWS: a, Secrets: secretsmanager.NewFromConfig(a), Config: config.Config{
		Environment: environment, PublicURL: publicURL, Issuers: issuers, Local: true, ValuesKey: valuesKey(), EventBus: "default",
		Hosts: []string{strings.TrimPrefix(strings.TrimPrefix(publicURL, "http://"), "https://")}, PrivateNetworks: opened,
		CallTimeout: time.Minute, MaxAnswerBytes: 10 << 20,
		Tables: config.Tables{Catalogue: name("catalogue"), Revocations: name("revocations"), Grants: name("grants"),
			Transient: name("transient"), Audit: name("audit"), AuditIndex: name("audit-index")}}}
	d.Administer()
	return d, renew(ctx, d)
}

// makeKey makes the key behind the alias.
func makeKey(ctx context.Context, a aws.Config) error {
	keys := kms.NewFromConfig(a)
	key, err := keys.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return fmt.Errorf("create the KMS key: %w", err)
	}
	alias := "alias/" + stackName + "-values"
	if _, err := keys.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: key.KeyMetadata.KeyId}); err != nil {
		return fmt.Errorf("name the KMS key: %w", err)
	}
	return nil
}

// renew leaves a deployment with empty tables and an environment that is open.
func renew(ctx context.Context, d *stack.Deployment) error {
	client := dynamodb.NewFromConfig(d.AWS)
	names := wire.TableNames(d.Config.Tables)
	for _, table := range []string{names.Catalogue, names.Revocations, names.Grants, names.Transient, names.Audit, names.AuditIndex} {
		_, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
		if err != nil && !strings.Contains(err.Error(), "ResourceNotFoundException") {
			return fmt.Errorf("clear the table %s: %w", table, err)
		}
	}
	if err := dynamo.Create(ctx, client, names); err != nil {
		return fmt.Errorf("create the tables: %w", err)
	}
	if err := d.DB.PutEnvironment(ctx, broker.Environment{Name: d.Config.Environment, State: broker.Active}); err != nil {
		return fmt.Errorf("open the environment: %w", err)
	}
	return nil
}

// forgetSecrets deletes every secret.
func forgetSecrets(ctx context.Context, d *stack.Deployment) error {
	listed, err := d.Secrets.ListSecrets(ctx, &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(100)})
	if err != nil {
		return fmt.Errorf("list the secrets: %w", err)
	}
	for _, one := range listed.SecretList {
		if _, err := d.Secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: one.ARN, ForceDeleteWithoutRecovery: aws.Bool(true)}); err != nil {
			return fmt.Errorf("delete a secret: %w", err)
		}
	}
	return nil
}

func bearer() []broker.Attachment {
	return []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}
}

func everything() broker.Allow {
	return broker.Allow{Tools: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}}
}

// fill puts rows one after the other and stops at the first that is refused.
func fill(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("fill the tables: %w", err)
		}
	}
	return nil
}
