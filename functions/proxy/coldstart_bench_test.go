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

// build compiles the function as `make build` does.
func build(tb testing.TB, arch string) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "bootstrap")
	runtimeapi.Build(tb, binary, []string{"proxy"}, "GOOS=linux", "GOARCH="+arch)
	return binary
}

// settings are a complete environment; nothing in it is asked before a call.
func settings() []string {
	issuers := `{"issuers":[{"name":"corp","issuer":"https://login.example.com","kind":"user","environments":["prod"],"algorithms":["RS256"],` +
		`"claims":{"principal":["sub"]}}]}`
	return []string{
		config.Environment + "=prod", config.PublicURL + "=https://mcp.example.com", config.Issuers + "=" + issuers,
		config.CatalogueTable + "=c", config.RevocationsTable + "=r", config.GrantsTable + "=g", config.TransientTable + "=t",
		config.AuditTable + "=a", config.AuditIndexTable + "=i", config.ValuesKey + "=alias/values", "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
	}
}

// BenchmarkColdStart is the time from exec to the first request for work, and
// the size of the stripped binaries.
func BenchmarkColdStart(b *testing.B) {
	binary := build(b, "amd64")
	var times []time.Duration
	for b.Loop() {
		function, err := runtimeapi.Start(context.Background(), binary, settings())
		if err != nil {
			b.Fatalf("%v\n%s", err, function.Stderr())
		}
		times = append(times, function.ColdStart())
		function.Stop()
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1e3, "ms-median")
	for arch, path := range map[string]string{"amd64": binary, "arm64": build(b, "arm64")} {
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB-"+arch)
	}
}
