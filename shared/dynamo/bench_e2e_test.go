//go:build e2e

package dynamo_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/shared/dynamo"
)

// BenchmarkDecisionReads reads what one decision needs while other people hold
// bindings of their own at the same server. It uses the endpoint that
// BINDERY_BENCH_DYNAMODB names, or starts DynamoDB Local.
func BenchmarkDecisionReads(b *testing.B) {
	url := os.Getenv("BINDERY_BENCH_DYNAMODB")
	if url == "" {
		p, err := parts.DynamoDBLocal(b.Context(), b.Logf)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(p.Stop)
		url = p.URL
	}
	c := client(url, patient)
	for _, people := range []int{10, 1_000, 100_000} {
		env := fmt.Sprint("people-", people)
		mine := tables
		mine.Catalogue += "-" + env
		if err := dynamo.Create(b.Context(), c, mine); err != nil {
			b.Fatal(err)
		}
		s := dynamo.New(c, mine, time.Now)
		inhabit(b, s, env)
		seed(b, c, mine, env, people)
		b.Run(fmt.Sprintf("people=%d", people), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Snapshot(b.Context(), lookup(env)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
