//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/secret"
)

// acme is the company behind an upstream, with a provider of its own. Its people
// are alice-at-acme, bob-at-acme and carol-at-acme.
type acme struct {
	at     []net.Listener // of its servers, whose addresses the provider knows
	free   chan net.Listener
	start  func() (*parts.OIDC, error)
	runs   *parts.OIDC
	secret secret.Value // of its client "service"
}

// service is the client as which Bindery gets tokens in its own name.
const service = "service"

// servers is how many tests have a server at acme.
const servers = 24

func (a *acme) prepare(ctx context.Context, say parts.Progress) error {
	a.free, a.secret = make(chan net.Listener, servers), secret.New(stack.RandomSecret("service-"))
	config := parts.OIDCConfig{Registration: true, Clients: []parts.OIDCClient{
		{ID: connectClient, RedirectURI: "http://127.0.0.1:9/connect/callback/acme"}, {ID: service, Secret: a.secret}}}
	for _, who := range []string{alice, bob, carol} {
		config.Users = append(config.Users, parts.OIDCUser{Subject: who + "-at-acme"})
	}
	for range servers {
		listener, err := stack.Listen(0)
		if err != nil {
			return err
		}
		a.at = append(a.at, listener)
		a.free <- listener
		config.Resources = append(config.Resources, parts.OIDCResource{Audience: "http://" + listener.Addr().String() + "/mcp", Scope: "files.read files.write"})
	}
	a.start = sync.OnceValues(func() (*parts.OIDC, error) {
		var err error
		a.runs, err = parts.OIDCProvider(ctx, say, config)
		return a.runs, err
	})
	return nil
}

func (a *acme) stop() {
	if a.runs != nil {
		a.runs.Stop()
	}
	for _, listener := range a.at {
		_ = listener.Close()
	}
}

// counter is the provider's token endpoint as Bindery reaches it: what was asked
// for is counted, and a test may answer in the provider's place.
type counter struct {
	url string

	mu      sync.Mutex
	asked   map[string]int // by grant type, or "revocation"
	instead http.HandlerFunc
}

func newCounter(t *testing.T, provider string) *counter {
	t.Helper()
	to, err := url.Parse(provider)
	must(t, err)
	c := &counter{asked: map[string]int{}}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		kind := form.Get("grant_type")
		if r.URL.Path == "/token/revocation" {
			kind = "revocation"
		}
		c.mu.Lock()
		c.asked[kind]++
		instead := c.instead
		c.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		if instead != nil && kind != "revocation" {
			instead(w, r)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// answer puts a handler in the place of the token endpoint; nil: the provider itself.
func (c *counter) answer(instead http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instead = instead
}

func (c *counter) count(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[kind]
}
