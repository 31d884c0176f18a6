//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	differing := dynamo.Tables{Catalogue: "d-catalogue", Revocations: "d-revocations", Grants: "d-grants", Transient: "d-transient", Audit: "d-audit"}
	create(t, url, differing)
	t.Run("a canceled transaction takes back what others wrote meanwhile", func(t *testing.T) {
		motoTakesBack(t, c, differing.Catalogue)
	})
	t.Run("a transaction takes longer the more rows its table has", func(t *testing.T) {
		motoCopiesTables(t, c, differing.Audit)
	})
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

// motoCopiesTables is why tests have tables of their own: transactions in a
// table that all of them share would time out.
func motoCopiesTables(t *testing.T, c *dynamodb.Client, table string) {
	fastest := func(size string) time.Duration {
		least := time.Hour
		for i := range 5 {
			began := time.Now()
			_, err := c.TransactWriteItems(t.Context(), transaction(table, size+fmt.Sprint(i), put(table, size+fmt.Sprint(i), "attribute_not_exists(pk)")))
			must(t, err)
			least = min(least, time.Since(began))
		}
		return least
	}
	empty := fastest("empty")
	seed(t, c, dynamo.Tables{Catalogue: table}, "prod", 500)
	if full := fastest("full"); full < 3*empty {
		t.Fatalf("a transaction took %s in an empty table and %s in a full one: let the tests share tables", empty, full)
	}
}

// motoTakesBack cancels transactions and writes beside them. Moto copies the
// table first and in the end puts the copy back, with the other writes undone.
func motoTakesBack(t *testing.T, c *dynamodb.Client, table string) {
	var doomed []types.TransactWriteItem
	for i := range 99 {
		doomed = append(doomed, put(table, fmt.Sprint("doomed-", i), "attribute_not_exists(pk)"))
	}
	doomed = append(doomed, put(table, "none", "attribute_exists(pk)"))
	for round, last := 0, time.Now().Add(30*time.Second); time.Now().Before(last); round++ {
		ended := make(chan struct{})
		var side sync.WaitGroup
		side.Go(func() {
			defer close(ended)
			_, _ = c.TransactWriteItems(t.Context(), transaction(table, fmt.Sprint("round-", round), doomed...))
		})
		var written atomic.Int64
		for range 4 {
			side.Go(func() { writeBeside(t, c, table, round, &written, ended) })
		}
		side.Wait()
		out, err := c.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String(table), ConsistentRead: aws.Bool(true),
			KeyConditionExpression: aws.String("pk = :pk"), ExpressionAttributeValues: row{":pk": text(fmt.Sprint("beside-", round))}})
		must(t, err)
		if int64(out.Count) < written.Load() {
			return
		}
	}
	t.Fatal("moto isolates transactions now: take the gate away")
}

// writeBeside puts new items until the transaction has ended, and counts them.
func writeBeside(t *testing.T, c *dynamodb.Client, table string, round int, written *atomic.Int64, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		default:
		}
		key := row{"pk": text(fmt.Sprint("beside-", round)), "sk": text(fmt.Sprint(written.Add(1)))}
		if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: key}); err != nil {
			t.Error(err)
			return
		}
	}
}
