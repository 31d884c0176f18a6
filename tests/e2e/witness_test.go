//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
)

// transcript collects what came out, each piece whole.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// witness copies every answer of a handler, headers and body.
func witness(h http.Handler, to *transcript) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &witnessed{ResponseWriter: w}
		h.ServeHTTP(seen, r)
		_ = w.Header().Write(&seen.copy) // also what was set too late to be sent
		_, _ = to.Write(append(seen.copy.Bytes(), '\n'))
	})
}

type witnessed struct {
	http.ResponseWriter
	copy bytes.Buffer
}

func (w *witnessed) Write(p []byte) (int, error) {
	w.copy.Write(p)
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush.
func (w *witnessed) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// upstream is an MCP server, or what pretends to be one, on a real socket.
type upstream struct {
	URL string

	mu   sync.Mutex
	seen []arrival
}

// arrival is one request as it reached an upstream.
type arrival struct {
	*http.Request
	body string
}

// upstream serves h on loopback until the test ends and remembers what came.
func (d *deployment) upstream(h http.HandlerFunc) *upstream {
	d.t.Helper()
	listener, err := stack.Listen(0)
	must(d.t, err)
	return d.upstreamAt(listener, h)
}

func (d *deployment) upstreamAt(at net.Listener, h http.HandlerFunc) *upstream {
	u := &upstream{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.seen = append(u.seen, arrival{r.Clone(context.Background()), string(body)})
		u.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	_ = server.Listener.Close()
	server.Listener = at
	server.Start()
	u.URL = server.URL + "/mcp"
	d.t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	d.upstreams = append(d.upstreams, u)
	return u
}

// arrivals is what reached the upstream so far.
func (u *upstream) arrivals() []arrival {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]arrival(nil), u.seen...)
}

// last is the latest arrival.
func (u *upstream) last(t *testing.T) arrival {
	t.Helper()
	all := u.arrivals()
	if len(all) == 0 {
		t.Fatal("nothing reached the upstream")
	}
	return all[len(all)-1]
}

// untouched requires that nothing reached the upstream.
func (u *upstream) untouched(t *testing.T) {
	t.Helper()
	if n := len(u.arrivals()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// finish ends the deployment and searches everything that came out of it.
func (d *deployment) finish() {
	d.served.Stop()
	ctx := context.Background()
	tables := d.Config.Tables
	dump, err := leak.Tables(ctx, d.direct, tables.Catalogue, tables.Revocations, tables.Grants, tables.Transient, tables.Audit)
	if err != nil {
		d.t.Fatal(err)
	}
	for where, text := range map[string][]byte{"an answer": []byte(d.answers.String()), "the log": []byte(d.log.String()), "a table": dump} {
		for _, canary := range d.canaries {
			if found := leak.Find(text, canary); len(found) > 0 {
				d.t.Errorf("a credential is in %s, spelled %s", where, strings.Join(found, " and "))
			}
		}
		if strings.Contains(string(text), "leaked-request-text") {
			d.t.Errorf("an endpoint's error text is in %s", where)
		}
	}
	intents := d.intents(ctx)
	for _, u := range d.upstreams {
		for _, a := range u.arrivals() {
			if strings.HasPrefix(a.URL.Path, "/.well-known/") {
				continue // metadata, which are asked for without a credential
			}
			if receipt := a.Header.Get("Bindery-Receipt"); !intents[receipt] {
				d.t.Errorf("an upstream got a request whose receipt %q has no intent", receipt)
			}
		}
	}
}

// intents is the receipts of all stored intents.
func (d *deployment) intents(ctx context.Context) map[string]bool {
	found := map[string]bool{}
	pages := dynamodb.NewScanPaginator(d.direct, &dynamodb.ScanInput{TableName: &d.Config.Tables.Audit})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, item := range page.Items {
			receipt, phase := item["pk"].(*types.AttributeValueMemberS), item["sk"].(*types.AttributeValueMemberS)
			if phase.Value == string(broker.Intent) {
				found[receipt.Value] = true
			}
		}
	}
	return found
}

// audited is how many records the audit table holds.
func (d *deployment) audited() int {
	d.t.Helper()
	out, err := d.direct.Scan(d.t.Context(), &dynamodb.ScanInput{TableName: &d.Config.Tables.Audit})
	must(d.t, err)
	return len(out.Items)
}
