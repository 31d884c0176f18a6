//go:build e2e && !nonode

package e2e

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"bindery/shared/broker"
)

// TestAProviderThatOnlyTheUpstreamNames: its metadata (RFC 9728) name the
// provider, which Bindery registers with by itself, once for everybody; then the
// official test server is used through it in both eras.
func TestAProviderThatOnlyTheUpstreamNames(t *testing.T) {
	t.Parallel()
	o := live(t)
	for name, served := range map[string]string{"legacy": shared.everything.URL, "modern": shared.stateless.URL} {
		to, err := url.Parse(served)
		must(t, err)
		to.Path = ""
		var u *upstream
		verify := func(ctx context.Context, text string, _ *http.Request) (*auth.TokenInfo, error) {
			return o.verifyFor(ctx, text, u.URL)
		}
		official := auth.RequireBearerToken(verify, nil)(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Del("Authorization")
		}})
		u = o.upstreamAt(<-shared.acme.free, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/.well-known/oauth-protected-resource/mcp" {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"resource":"` + u.URL + `","authorization_servers":["` + o.provider.URL + `"]}`))
				return
			}
			official.ServeHTTP(w, r)
		})
		o.server(name, u.URL)
	}
	o.row("found", func(p *broker.Provider) {
		p.Issuer, p.Endpoints, p.Registration, p.ClientID = "", broker.Endpoints{}, broker.Dynamic, ""
	})
	for name, version := range map[string]string{"legacy": legacy, "modern": modern} {
		o.bind(broker.Binding{Environment: o.env, Server: name, Name: "own", State: broker.Active, Actor: group("dev"),
			Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.AuthorizationCode, Owner: "platform",
			Provider: "found", Scopes: []string{"files.read", "offline_access"}})
		for _, who := range []string{alice, carol} {
			o.surfer(t, who).consent(o.link(who, name)).shows(t, http.StatusOK, name+" is connected")
			s, _ := o.session(who, name, version)
			result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "test_simple_text", Arguments: map[string]any{}})
			must(t, err)
			if result.IsError || textOf(result) == "" {
				t.Errorf("%s at %s: answered %q", who, name, textOf(result))
			}
		}
	}
	registered, err := o.DB.Registered(t.Context(), o.env, "found", o.provider.URL)
	if err != nil || registered.ClientID == "" || registered.ClientID == connectClient {
		t.Errorf("registered as %q: %v", registered.ClientID, err)
	}
}
