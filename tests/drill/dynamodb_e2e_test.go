//go:build e2e && !nojava

package drill

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/awsclient"
	"bindery/shared/dynamo"
)

// onDynamoDBLocal gives tables of AWS's own DynamoDB Local.
func onDynamoDBLocal(tb testing.TB) func(now func() time.Time) tables {
	tb.Helper()
	p, err := parts.DynamoDBLocal(tb.Context(), tb.Logf)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Stop)
	client := dynamodb.NewFromConfig(stack.AWS(p.URL), dynamo.Configure, func(o *dynamodb.Options) {
		o.HTTPClient = awsclient.Within(o.HTTPClient, 20*time.Second) // a busy machine answers late
	})
	names := dynamo.Tables{Catalogue: "catalogue", Revocations: "revocations", Grants: "grants", Transient: "transient", Audit: "audit", AuditIndex: "audit-index"}
	if err := dynamo.Create(tb.Context(), client, names); err != nil {
		tb.Fatal(err)
	}
	return func(now func() time.Time) tables { return dynamo.New(client, names, now) }
}

// TestDrillOnDynamoDBLocal is the drill at a size for every day.
func TestDrillOnDynamoDBLocal(t *testing.T) {
	const grants = 150
	d := newDrill(t, onDynamoDBLocal(t), grants)
	c, _ := d.run()
	d.check(c, grants)
}

// BenchmarkDrillOnDynamoDBLocal is the drill at the size that is asked for.
func BenchmarkDrillOnDynamoDBLocal(b *testing.B) {
	measure(b, "on DynamoDB Local", onDynamoDBLocal(b))
}
