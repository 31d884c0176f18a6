//go:build e2e && !nonode

package parts

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bindery/shared/secret"
)

// Each client tells what hindered it, without the token it was given.
func TestClientsTellWhatHinderedThem(t *testing.T) {
	c, err := MCPClients(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refuses.Close()
	token := secret.New("made-up-token-canary-01")
	saw, err := c.TypeScript(t.Context(), Script{URL: refuses.URL, Token: token, SDK: 1}, Script{URL: refuses.URL, Token: token, SDK: 2, Negotiation: "2026-07-28"})
	if err != nil {
		t.Fatal(err)
	}
	for i, one := range saw {
		if text, _ := one["error"].(string); text == "" || strings.Contains(text, "canary") {
			t.Errorf("client %d saw %v", i, one)
		}
	}
	ran, err := c.Inspect(t.Context(), t.TempDir(), refuses.URL, "--transport", "http", "--method", "tools/list")
	if err != nil || ran.Code == 0 || ran.Err == "" {
		t.Errorf("the Inspector ended with %d, %v", ran.Code, err)
	}
}

// A client that waits for ever ends with the context it was started with.
func TestClientsEndWithTheirContext(t *testing.T) {
	c, err := MCPClients(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see its client leave
		cancel()
		<-r.Context().Done()
	}))
	defer silent.Close()
	if _, err := c.TypeScript(ctx, Script{URL: silent.URL, SDK: 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("the clients ended with %v", err)
	}
}
