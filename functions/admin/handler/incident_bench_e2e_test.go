//go:build e2e

package handler

import (
	"crypto/rand"
	"fmt"
	"os"
	"testing"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/revoke"
)

// BenchmarkIncident opens incidents about the secret that most people used, on
// the tables that the benchmark of the audit index left in the folder
// BINDERY_BENCH_TABLES, through the very handler. A card at each of fifty servers
// names the secret as well.
func BenchmarkIncident(b *testing.B) {
	dir := os.Getenv("BINDERY_BENCH_TABLES")
	if dir == "" {
		b.Fatal("BINDERY_BENCH_TABLES names no folder: make bench-audit fills one")
	}
	p, err := parts.DynamoDBLocalIn(b.Context(), b.Logf, dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Stop)
	client := dynamodb.New(dynamodb.Options{Region: "us-east-1", BaseEndpoint: awsconfig.String(p.URL),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")})
	db := dynamo.New(client, dynamo.Tables{Catalogue: "catalogue", Revocations: "revocations", Grants: "grants", Transient: "transient", Audit: "audit",
		AuditIndex: "audit-index"}, time.Now)
	f := newFixture(b)
	f.reader, f.uses, f.evidence, f.incidents, f.runs, f.plans, f.cases, f.providers = db, db, db, db, db, db, db, db
	f.RevokeThrough(&revoke.Revoker{Environment: "prod", Markers: db, Reader: db, Cases: db, Journal: broker.NewJournal(db, rand.Text), Now: time.Now})
	fiftyCards(b, db)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			opened := f.call(b, "root", "POST", "/incidents", `{"reference":"aws-sm:prod/server-0/b-1#token","reason":"pushed to a public repository"}`).want(b, 201, "")
			exposure := opened.body["exposure"].(map[string]any)
			b.ReportMetric(float64(len(exposure["people"].([]any))), "people")
			b.ReportMetric(float64(len(exposure["bindings"].([]any))), "cards")
		}
	})
	b.Run("report", func(b *testing.B) {
		for b.Loop() {
			report := f.call(b, "auditor", "GET", "/incidents/"+newest(b, db)+"/report", nil)
			if report.Code != 200 {
				b.Fatalf("answered %d", report.Code)
			}
			b.ReportMetric(float64(report.Body.Len()), "bytes")
		}
	})
}

func newest(b *testing.B, db *dynamo.DB) string {
	b.Helper()
	found, err := db.Incidents(b.Context(), "prod", broker.Page{Limit: broker.MaxPage})
	if err != nil || len(found) == 0 {
		b.Fatal(err)
	}
	return found[len(found)-1].ID
}

func fiftyCards(b *testing.B, db *dynamo.DB) {
	b.Helper()
	reference, err := broker.ParseReference("aws-sm:prod/server-0/b-1#token")
	if err != nil {
		b.Fatal(err)
	}
	const url = "https://upstream.example.com/mcp"
	origin, err := broker.OriginDigest(url)
	if err != nil {
		b.Fatal(err)
	}
	for n := range 50 {
		name := fmt.Sprint("server-", n)
		s := broker.Server{Environment: "prod", Name: name, State: broker.Active, Owner: "team", URL: url}
		if _, err := db.Server(b.Context(), broker.Route{Environment: "prod", Server: name}); err == nil {
			continue
		}
		if err := db.PutServer(b.Context(), s); err != nil {
			b.Fatal(err)
		}
		card := broker.Binding{Environment: "prod", Server: name, Name: "b-1", State: broker.Active, Actor: broker.Actor{Group: "everybody"}, Origin: origin,
			Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static, Owner: "team", Fields: []broker.Field{{Name: "token", Reference: reference}}}
		if err := db.PutBinding(b.Context(), card); err != nil {
			b.Fatal(err)
		}
	}
}
