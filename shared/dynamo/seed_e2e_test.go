//go:build e2e

package dynamo_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

// seed writes one personal binding for each of n people, in batches.
func seed(tb testing.TB, c *dynamodb.Client, tables dynamo.Tables, environment string, n int) {
	tb.Helper()
	var batch []types.WriteRequest
	for i := range n {
		b := binding(environment, fmt.Sprintf("of-%d", i), broker.Actor{Principal: fmt.Sprintf("p-%d", i)})
		b.Version = 1
		item, err := dynamo.BindingItem(b)
		if err != nil {
			tb.Fatal(err)
		}
		batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
		if len(batch) == 25 || i == n-1 {
			write(tb, c, tables.Catalogue, batch)
			batch = nil
		}
	}
}

func write(tb testing.TB, c *dynamodb.Client, table string, batch []types.WriteRequest) {
	tb.Helper()
	for try := 0; len(batch) > 0; try++ {
		out, err := c.BatchWriteItem(tb.Context(), &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: batch}})
		if err != nil || try > 10 {
			tb.Fatalf("seed: %v", err)
		}
		if batch = out.UnprocessedItems[table]; len(batch) > 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
}
