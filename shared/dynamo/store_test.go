package dynamo_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/storesuite"
	"bindery/shared/dynamo"
)

var tables = dynamo.Tables{Catalogue: "catalogue", Revocations: "revocations", Grants: "grants", Transient: "transient", Audit: "audit"}

func client(endpoint string) *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, dynamo.Configure)
}

// runSuite runs the store suite on an endpoint, each test behind a proxy of its own.
func runSuite(t *testing.T, endpoint string) {
	if err := dynamo.Create(t.Context(), client(endpoint), tables); err != nil {
		t.Fatal(err)
	}
	storesuite.Run(t, func(t *testing.T, now func() time.Time) storesuite.Stores {
		proxy := faultproxy.New(t, endpoint)
		c := client(proxy.URL)
		s := dynamo.New(c, tables, now)
		return storesuite.Stores{
			Catalogue: s, Writer: s, Markers: s, Audit: s, Sealed: s, Keys: s,
			ReadAudit: func(ctx context.Context, receipt string) ([]broker.Record, error) {
				return dynamo.ReadAudit(ctx, c, tables.Audit, receipt)
			},
			LoseAnswers: func(n int) func() int {
				return proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem", "TransactWriteItems"}, Times: n, Effect: faultproxy.DropAnswer()})
			},
			Fail: func() func() {
				proxy.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.ServerError()})
				return proxy.Clear
			},
		}
	})
}
