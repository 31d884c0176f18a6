package handler

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/wire"
)

// BenchmarkLoopback is the median time of one small call over real loopback
// sockets: to the upstream directly, through a bare httputil.ReverseProxy, and
// through the whole handler (memory stores, cached token). What Bindery adds is
// printed beside its own median.
func BenchmarkLoopback(b *testing.B) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, smallAnswer)
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	defer plain.Close()

	f := newFixture(b, nil, true)
	f.upstreams = wire.NewUpstreams(config.Config{Local: true}, 1)
	f.pointTo(b, upstream.URL+"/mcp")
	bindery := httptest.NewServer(f)
	defer bindery.Close()

	p50 := map[string]float64{}
	for _, c := range []struct{ name, address string }{{"direct", upstream.URL}, {"reverse_proxy", plain.URL}, {"bindery", bindery.URL}} {
		b.Run(c.name, func(b *testing.B) {
			p50[c.name] = measure(b, c.address+route, f.token(b))
			b.ReportMetric(p50[c.name], "p50-µs")
			if c.name == "bindery" {
				b.ReportMetric(p50["bindery"]-p50["direct"], "added-to-direct-µs")
				b.ReportMetric(p50["bindery"]-p50["reverse_proxy"], "added-to-proxy-µs")
			}
		})
	}
}

// pointTo moves the fixture's server to a real address and binds it again.
func (f *fixture) pointTo(b testing.TB, address string) {
	b.Helper()
	r := &broker.Registry{Writer: f.tables, Reader: f.tables, Markers: f.tables, CheckServer: credential.CheckServer, TryAttach: credential.Try}
	snapshot, err := f.tables.Snapshot(b.Context(), broker.Lookup{Route: broker.Route{Environment: "prod", Server: "github"}})
	if err != nil {
		b.Fatal(err)
	}
	server, binding := *snapshot.Server, snapshot.Shared[0]
	server.URL = address
	if err := r.PutServer(b.Context(), server); err != nil {
		b.Fatal(err)
	}
	if binding.Origin, err = broker.OriginDigest(address); err != nil {
		b.Fatal(err)
	}
	if err := f.tables.PutBinding(b.Context(), binding); err != nil {
		b.Fatal(err)
	}
}

// measure gives the median in microseconds.
func measure(b *testing.B, address, token string) float64 {
	client := &http.Client{Transport: &http.Transport{}}
	times := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(callBody))
		if err != nil {
			b.Fatal(err)
		}
		r.Host = "mcp.example.com"
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		response, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response.Status, err)
		}
		_ = response.Body.Close()
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1e3
}
