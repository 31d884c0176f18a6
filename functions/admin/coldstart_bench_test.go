package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

// BenchmarkColdStart is the time from exec to the first request for work, of
// the function as `make build` compiles it, and its size.
func BenchmarkColdStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "bootstrap")
	runtimeapi.Build(b, binary, []string{"admin"})
	settings := []string{
		config.Environment + "=prod", config.PublicURL + "=https://mcp.example.com", config.TransientTable + "=t", config.ValuesKey + "=alias/values",
		config.CatalogueTable + "=c", config.RevocationsTable + "=r", config.GrantsTable + "=g", config.AuditTable + "=a", config.AuditIndexTable + "=i", config.Revocation + "=f",
		config.Issuers + `={"issuers":[{"name":"corp","issuer":"https://login.example.com","kind":"user","environments":["prod"],` +
			`"algorithms":["RS256"],"claims":{"principal":["sub"]}}]}`,
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
	}
	var times []time.Duration
	for b.Loop() {
		function, err := runtimeapi.Start(context.Background(), binary, settings)
		if err != nil {
			b.Fatalf("%v\n%s", err, function.Stderr())
		}
		times = append(times, function.ColdStart())
		function.Stop()
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1e3, "ms-median")
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB")
}
