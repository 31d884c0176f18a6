//go:build e2e && !nonode

package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"bindery/infra/local/stack"
	upstreams "bindery/infra/local/upstream"
	"bindery/shared/broker"
)

// frontEnvironment is the one deployment whose resource URLs the OpenID
// provider knows, so that tokens are made for a route and nothing else.
const frontEnvironment = "front"

// front is that deployment. It can be made once.
func front(t *testing.T) *deployment {
	return deploy(t, func(p *plan) {
		p.env, p.listener = frontEnvironment, shared.front
		p.issuers = []any{issuer(p.env, map[string]any{"audiences": nil, "scopes": []string{"mcp"}})}
	})
}

// TestTwoUsersAndOneAgentAreEachAttributedByName: people log in with a real
// MCP client that knows nothing but the URL; the agent has its own identity.
func TestTwoUsersAndOneAgentAreEachAttributedByName(t *testing.T) {
	d := front(t)
	u := d.upstream(upstreams.New().Handler.ServeHTTP)
	d.server("notes", u.URL)
	d.server("other", u.URL)
	keys := map[string]string{}
	for name, actor := range map[string]broker.Actor{alice: person(alice), bob: person(bob), reporter: {Agent: reporterAgent}} {
		canary, reference := d.secret(name)
		keys[name] = canary
		d.bind(d.card("notes", name+"-notes", actor, reference), func(b *broker.Binding) {
			if name == reporter {
				b.Mode = broker.AgentScoped
			}
		})
	}
	must(t, d.DB.PutTool(t.Context(), broker.Tool{Environment: d.env, Server: "notes", Name: "whoami", State: broker.Active,
		Owner: "platform", Risk: broker.Low, Teams: []string{"platform"}}))

	metadata := challenged(t, frontResource("notes"))
	for _, version := range []string{modern, legacy} {
		for _, who := range []string{alice, bob} {
			login := oauthSession(t, who, frontResource("notes"), version)
			d.attributed(t, login, u, "Bearer "+keys[who], who+"@example.com", shellAgent, broker.ServiceAccount)
		}
		tokens, err := shared.oidc.ClientToken(t.Context(), reporter, shared.reporterSecret, metadata.Resource)
		must(t, err)
		caller := &stack.Caller{Token: tokens.Access.Reveal(), Version: version}
		session, err := caller.Connect(t.Context(), frontResource("notes"))
		must(t, err)
		d.attributed(t, session, u, "Bearer "+keys[reporter], "", reporterAgent, broker.AgentScoped)
	}
	tokens, err := shared.oidc.UserToken(t.Context(), alice, shell, frontResource("other"))
	must(t, err)
	d.strangers(t, map[string]string{"a token for another server": tokens.Access.Reveal(), "an ID token": tokens.ID.Reveal(),
		"a refresh token": tokens.Refresh.Reveal(), "a token for another audience": token(t, alice)})
}

// challenged fetches the metadata that the challenge for a missing token names
// (RFC 9728), as a client does.
func challenged(t *testing.T, resource string) *oauthex.ProtectedResourceMetadata {
	t.Helper()
	response, err := client.Post(resource, "application/json", strings.NewReader(toolCall(legacy)))
	must(t, err)
	defer response.Body.Close()
	challenges, err := oauthex.ParseWWWAuthenticate(response.Header.Values("WWW-Authenticate"))
	must(t, err)
	if response.StatusCode != http.StatusUnauthorized || len(challenges) != 1 || challenges[0].Params["error"] != "" {
		t.Fatalf("status %d, challenges %v", response.StatusCode, challenges)
	}
	found, err := oauthex.GetProtectedResourceMetadata(t.Context(), challenges[0].Params["resource_metadata"], resource, client)
	must(t, err)
	if found.Resource != resource || len(found.AuthorizationServers) != 1 || found.AuthorizationServers[0] != shared.oidc.URL {
		t.Fatalf("metadata %+v", found)
	}
	return found
}

// attributed calls a tool and holds what the upstream saw, what the caller saw
// and what was recorded against each other.
func (d *deployment) attributed(t *testing.T, s *mcp.ClientSession, u *upstream, key, email, agent string, mode broker.Mode) {
	t.Helper()
	defer s.Close()
	result, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
	must(t, err)
	got := u.last(t)
	for name, want := range map[string]string{"Authorization": key, "X-User-Email": email, "X-Agent": agent, "Bindery-Mode": string(mode)} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is wrong at the upstream for %s %s", name, email, agent)
		}
	}
	if text := textOf(result); email != "" && !strings.Contains(text, email) || !strings.Contains(text, "[masked:") {
		t.Errorf("the caller saw %.300s", text)
	}
	records := d.records(answer{receipt: got.Header.Get("Bindery-Receipt")})
	if len(records) != 2 || records[1].Agent != agent || records[1].Mode != mode || records[1].Masked == 0 || records[1].Target != "whoami" {
		t.Errorf("records %+v", records)
	}
}

// strangers may not call the server "notes".
func (d *deployment) strangers(t *testing.T, tokens map[string]string) {
	t.Helper()
	before := d.audited()
	for what, text := range tokens {
		r, err := http.NewRequest(http.MethodPost, frontResource("notes"), strings.NewReader(toolCall(legacy)))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+text)
		a := d.send(r)
		if a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: status %d, challenge %q", what, a.status, a.header.Get("WWW-Authenticate"))
		}
	}
	if d.audited() != before {
		t.Error("an unauthenticated request was written to the audit table")
	}
}

// oauthSession is a session of an MCP client that finds out by itself where to
// log in, and does so as who.
func oauthSession(t *testing.T, who, endpoint, version string) *mcp.ClientSession {
	t.Helper()
	login, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: &oauthex.ClientCredentials{ClientID: shell}, RedirectURL: "http://127.0.0.1:9/callback",
		ScopeFilter: func(found []string) []string { return append(found, "openid", "email", "groups") },
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			return browse(ctx, who, args.URL)
		},
	})
	must(t, err)
	transport := &mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: login, MaxRetries: -1, DisableStandaloneSSE: true}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, nil).
		Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	must(t, err)
	return session
}

// browse answers the provider's login and consent pages.
func browse(ctx context.Context, who, at string) (*auth.AuthorizationResult, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	form := url.Values(nil)
	for range 12 {
		method := http.MethodGet
		if form != nil {
			method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := browser.Do(r)
		if err != nil {
			return nil, err
		}
		page, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return nil, err
		}
		form = nil
		next, err := response.Location()
		switch {
		case err == nil && strings.HasSuffix(next.Path, "/callback"):
			q := next.Query()
			return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		case err == nil:
			at = next.String()
		case strings.Contains(string(page), `value="login"`):
			form = url.Values{"prompt": {"login"}, "login": {who}, "password": {"any"}}
		default:
			form = url.Values{"prompt": {"consent"}}
		}
	}
	return nil, fmt.Errorf("the login pages never came to an end")
}
