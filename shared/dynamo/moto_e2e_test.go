//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// isolate puts a gate in front of moto: a transaction passes alone, everything
// else side by side.
func isolate(t *testing.T, url string) string {
	t.Helper()
	var lock sync.RWMutex
	gate := faultproxy.New(t, url)
	gate.Inject(faultproxy.Rule{Operations: []string{"TransactWriteItems"}, Times: -1, Effect: faultproxy.While(&lock)})
	gate.Inject(faultproxy.Rule{Times: -1, Effect: faultproxy.While(lock.RLocker())})
	return gate.URL
}

// motoDiffers is the list of what moto does and AWS does not, as far as it
// touches these tables. Each is shown, so that the day it is mended is seen.
func motoDiffers(t *testing.T, url string) {
	c := client(url)
	differing := dynamo.Tables{Catalogue: "d-catalogue", Revocations: "d-revocations", Grants: "d-grants", Transient: "d-transient", Audit: "d-audit"}
	create(t, url, differing)
	t.Run("a canceled transaction takes back what others wrote meanwhile", func(t *testing.T) {
		motoTakesBack(t, c, differing.Catalogue)
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
	t.Run("items past their TTL are never deleted, and it needs no switching on", func(t *testing.T) {
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

// motoTakesBack cancels a transaction that takes moto a while, because it
// copies the table first and puts the copy back, and writes beside it.
func motoTakesBack(t *testing.T, c *dynamodb.Client, table string) {
	seed(t, c, dynamo.Tables{Catalogue: table}, "prod", 1500)
	for try := range 20 {
		done := make(chan error, 1)
		go func() {
			_, err := c.TransactWriteItems(t.Context(), transaction(table, fmt.Sprint("back-", try), put(table, "none", "attribute_exists(pk)")))
			done <- err
		}()
		time.Sleep(time.Duration(50+20*try) * time.Millisecond)
		key := row{"pk": text("beside"), "sk": text(fmt.Sprint(try))}
		_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: key})
		must(t, err)
		<-done // canceled, or given up: moto goes on either way
		time.Sleep(time.Second)
		out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(table), Key: key, ConsistentRead: aws.Bool(true)})
		must(t, err)
		if len(out.Item) == 0 {
			return
		}
	}
	t.Fatal("moto isolates transactions now: take the gate away")
}
