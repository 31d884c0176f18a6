//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/infra/local/stack"
)

// TestAClientWhoseConnectionBreaksGetsTheRest, directly and through Bindery: it
// comes back with the id of the last event it saw while its call is running.
func TestAClientWhoseConnectionBreaksGetsTheRest(t *testing.T) {
	t.Parallel()
	t.Run("directly", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(awaitingReturn())
		defer server.Close()
		comeBack(t, server.URL, http.DefaultTransport)
	})
	t.Run("through Bindery", func(t *testing.T) {
		t.Parallel()
		d := deploy(t)
		d.simple(d.upstream(awaitingReturn()))
		comeBack(t, d.url+"/mcp/"+d.env+"/notes", &stack.Caller{Token: token(t, alice)})
	})
}

// awaitingReturn is a server whose streams can be resumed, and whose tool ends
// when somebody has resumed one.
func awaitingReturn() http.HandlerFunc {
	back := make(chan struct{})
	server := slow(func(context.Context) string {
		select {
		case <-back:
			return "the rest"
		case <-time.After(pending):
			return "nobody came back"
		}
	})
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)})
	cameBack := sync.OnceFunc(func() { close(back) })
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last-Event-ID") != "" {
			time.AfterFunc(50*time.Millisecond, cameBack) // a stream that is in use would be refused before that
		}
		h.ServeHTTP(w, r)
	}
}

// comeBack calls the tool over a connection that breaks after its first event.
func comeBack(t *testing.T, url string, next http.RoundTripper) {
	t.Helper()
	breaking := &breaking{next: next, after: "notifications/progress"}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: url, HTTPClient: &http.Client{Transport: breaking}, DisableStandaloneSSE: true},
		&mcp.ClientSessionOptions{ProtocolVersion: legacy})
	must(t, err)
	defer session.Close()
	result, err := session.CallTool(t.Context(), work())
	must(t, err)
	if got := textOf(result); got != "the rest" || !breaking.broke {
		t.Errorf("the connection broke: %t; the client got %q", breaking.broke, got)
	}
}

// breaking cuts the first answer in which some words have passed.
type breaking struct {
	next  http.RoundTripper
	after string
	broke bool
}

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err == nil && !b.broke {
		response.Body = &broken{ReadCloser: response.Body, by: b}
	}
	return response, err
}

type broken struct {
	io.ReadCloser
	by   *breaking
	seen bytes.Buffer
}

func (b *broken) Read(p []byte) (int, error) {
	if b.by.broke {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p)
	b.seen.Write(p[:n])
	if strings.Contains(b.seen.String(), b.by.after) {
		b.by.broke = true
		_ = b.ReadCloser.Close()
	}
	return n, err
}
