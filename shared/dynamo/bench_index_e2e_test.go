//go:build e2e

package dynamo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

// BenchmarkAuditIndex fills the index with the records of a year, as the stream
// brings them, and measures the questions that auditors ask. Their number is
// BINDERY_BENCH_RECORDS, or two thousand.
func BenchmarkAuditIndex(b *testing.B) {
	records := 2_000
	if n, err := strconv.Atoi(os.Getenv("BINDERY_BENCH_RECORDS")); err == nil {
		records = n
	}
	s := indexOf(b, records)
	year := broker.AuditFilter{Environment: "prod", From: noon.AddDate(-1, 0, 0), To: noon}
	ask := func(name string, question func() (int, error)) {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			found := 0
			for b.Loop() {
				began := time.Now()
				n, err := question()
				if err != nil {
					b.Fatal(err)
				}
				took, found = append(took, time.Since(began)), n
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)-1]), "max-ms")
			b.ReportMetric(float64(found), "entries")
		})
	}
	page := func(set func(*broker.AuditFilter)) func() (int, error) {
		f := year
		set(&f)
		return func() (int, error) {
			page, err := s.Entries(b.Context(), f, "", 50)
			return len(page.Entries), err
		}
	}
	reference, err := broker.ParseReference("aws-sm:prod/server-0/b-1")
	if err != nil {
		b.Fatal(err)
	}
	ask("page/time", page(func(*broker.AuditFilter) {}))
	ask("page/principal", page(func(f *broker.AuditFilter) { f.Principal = "p-7" }))
	ask("page/server", page(func(f *broker.AuditFilter) { f.Server = "server-0" }))
	ask("page/binding", page(func(f *broker.AuditFilter) { f.Server, f.Binding = "server-0", "b-1" }))
	ask("page/reference", page(func(f *broker.AuditFilter) { f.Reference = reference }))
	ask("page/refused-at-server", page(func(f *broker.AuditFilter) { f.Server, f.Reason = "server-0", broker.PolicyForbids }))
	ask("page/request", page(func(f *broker.AuditFilter) { f.RequestID = "request-77" }))
	ask("page/nobody", page(func(f *broker.AuditFilter) { f.Principal = "p-nobody" }))
	ask("seen/reference", func() (int, error) {
		seen, _, err := s.SeenOf(b.Context(), "prod", broker.SeenReference, reference.String(), "", broker.MaxPage)
		return len(seen), err
	})
	ask("usages", func() (int, error) {
		var of []broker.Binding
		for i := range 50 {
			of = append(of, broker.Binding{Server: fmt.Sprint("server-", i), Name: "b-1"})
		}
		usages, err := s.Usages(b.Context(), "prod", of)
		return len(usages), err
	})
}

// indexOf keeps the tables in the folder BINDERY_BENCH_TABLES, which outlives
// the run and is filled once: a million records are more than DynamoDB Local
// holds in memory. Without a folder they are in memory.
func indexOf(b *testing.B, records int) *dynamo.DB {
	dir, start := os.Getenv("BINDERY_BENCH_TABLES"), parts.DynamoDBLocal
	if dir != "" {
		start = func(ctx context.Context, p parts.Progress) (*parts.Process, error) {
			return parts.DynamoDBLocalIn(ctx, p, dir)
		}
	}
	p, err := start(b.Context(), b.Logf)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Stop)
	c := client(p.URL, patient)
	if err := dynamo.Create(b.Context(), c, tables); err != nil {
		b.Fatal(err)
	}
	s, filled := dynamo.New(c, tables, time.Now), filepath.Join(dir, "filled")
	if _, err := os.Stat(filled); dir != "" && err == nil {
		return s
	}
	fillYear(b, s, records) // what a run that was cut short has left is written once more, and is the same
	if dir != "" {
		if err := os.WriteFile(filled, nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// fillYear indexes the records of half as many calls, in the order of time: two
// thousand people, each with two servers and one binding at each, ten agents,
// fifty servers, and half of all calls at one of them.
func fillYear(b *testing.B, s *dynamo.DB, records int) {
	random := rand.New(rand.NewPCG(1, 2))
	calls := records / 2
	step := 365 * 24 * time.Hour / time.Duration(calls+1)
	began, batch := time.Now(), []broker.Record{}
	for i := range calls {
		batch = append(batch, callOfTheYear(random, i, noon.AddDate(-1, 0, 0).Add(time.Duration(i)*step))...)
		if len(batch) >= 500 || i == calls-1 {
			if err := s.IndexRecords(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
		if (i+1)%50_000 == 0 {
			fmt.Printf("  %d records after %s\n", 2*(i+1), time.Since(began).Round(time.Second))
		}
	}
	took := time.Since(began)
	fmt.Printf("  %d records indexed in %s: %s per 1000\n", records, took.Round(time.Second), (took * 1000 / time.Duration(max(records, 1))).Round(time.Millisecond))
}

func callOfTheYear(random *rand.Rand, i int, at time.Time) []broker.Record {
	person, server := random.IntN(2000), 0
	if random.IntN(2) == 0 {
		server = person % 50
	}
	secret := fmt.Sprintf("aws-sm:prod/server-%d/b-%d", server, person%4)
	r := broker.Record{Schema: broker.RecordSchema, Receipt: fmt.Sprintf("%s%016d", broker.FirstReceipt(at), random.Int64N(1e16)), Phase: broker.Intent,
		Nonce: "n", At: at, Environment: "prod", Server: fmt.Sprint("server-", server), Principal: fmt.Sprint("p-", person),
		Kind: broker.User, Agent: fmt.Sprint("a-", person%10), Method: "tools/call", Action: broker.CallTool, Target: "create_issue",
		Binding: secret[len(secret)-3:], BindingVersion: 2, References: []string{"token=" + secret + "#token"}, Policy: "none", RequestID: fmt.Sprint("request-", i)}
	end := r
	end.Phase, end.At, end.Status = broker.Outcome, at.Add(300*time.Millisecond), 200
	if random.IntN(500) == 0 {
		end.Reason, end.Status = broker.PolicyForbids, 403
	} else {
		end.Accesses = []broker.Access{{Reference: secret, Version: fmt.Sprint("v-", i/10_000)}}
	}
	return []broker.Record{r, end}
}
