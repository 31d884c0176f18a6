//go:build e2e

package dynamo_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// isolate puts a gate in front of moto: whatever writes passes alone, reads
// side by side. Moto takes back what others write beside a transaction, and it
// looks at a condition and writes later without a lock around both, so that now
// and then two writes pass a condition that only one can.
func isolate(t *testing.T, url string) string {
	t.Helper()
	var lock sync.RWMutex
	gate := faultproxy.New(t, url)
	writes := []string{"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}
	gate.Inject(faultproxy.Rule{Operations: writes, Times: -1, Effect: faultproxy.While(&lock)})
	gate.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.While(lock.RLocker())})
	return gate.URL
}

// motoDiffers is the list of what moto does and AWS does not, as far as it
// touches these tables and does not depend on chance. Each is shown, so that the
// day it is mended is seen.
func motoDiffers(t *testing.T, url string) {
	c := client(url, patient)
	differing := dynamo.Tables{Catalogue: "d-catalogue", Revocations: "d-revocations", Grants: "d-grants", Transient: "d-transient", Audit: "d-audit", AuditIndex: "d-audit-index"}
	create(t, url, differing)
	t.Run("a transaction's token is ignored", func(t *testing.T) {
		in := transaction(differing.Catalogue, "token-1", put(differing.Catalogue, "a", "attribute_not_exists(pk)"))
		_, err := c.TransactWriteItems(t.Context(), in)
		must(t, err)
		var canceled *types.TransactionCanceledException
		if _, err = c.TransactWriteItems(t.Context(), in); !errors.As(err, &canceled) {
			t.Fatalf("moto honours ClientRequestToken now: %v", err)
		}
	})
	t.Run("items past their TTL are never deleted", func(t *testing.T) {
		old := row{"pk": text("old"), "sk": text("set"), "expires": number("1")}
		_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(differing.Transient), Item: old})
		must(t, err)
		out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(differing.Transient), Key: row{"pk": text("old"), "sk": text("set")}})
		must(t, err)
		if len(out.Item) == 0 {
			t.Fatal("moto deletes expired items now")
		}
	})
}

func put(table, sk, condition string) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{TableName: aws.String(table), Item: row{"pk": text("tx"), "sk": text(sk)},
		ConditionExpression: aws.String(condition)}}
}

func transaction(table, token string, items ...types.TransactWriteItem) *dynamodb.TransactWriteItemsInput {
	return &dynamodb.TransactWriteItemsInput{ClientRequestToken: aws.String(token), TransactItems: items}
}
