//go:build e2e && !nonode

package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	upstreams "bindery/infra/local/upstream"
)

// scopedEnvironment is a deployment whose every token needs two scopes.
const scopedEnvironment = "scoped"

// scopedResource is the resource URL of its server.
func scopedResource() string {
	return "http://" + shared.scoped.Addr().String() + "/mcp/" + scopedEnvironment + "/notes"
}

// trail is what an OAuth client's requests were answered with, in order.
type trail struct {
	mu    sync.Mutex
	steps []step
}

type step struct {
	at         string // method and path
	status     int
	challenges []string
	aud, scope string // of the token that was sent; its scopes in order
}

func (l *trail) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	s := step{at: r.Method + " " + r.URL.Path, status: response.StatusCode, challenges: response.Header.Values("WWW-Authenticate")}
	if parts := strings.Split(r.Header.Get("Authorization"), "."); len(parts) == 3 {
		var claims struct{ Aud, Scope string }
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(payload, &claims)
		}
		s.aud, s.scope = claims.Aud, strings.Join(slices.Sorted(strings.FieldsSeq(claims.Scope)), " ")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, s)
	return response, nil
}

// passed is the statuses that an address answered with.
func (l *trail) passed(at string) (statuses []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.steps {
		if s.at == at {
			statuses = append(statuses, s.status)
		}
	}
	return statuses
}

// only is the one step that matches.
func (l *trail) only(t *testing.T, match func(step) bool) step {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(l.steps), func(s step) bool { return !match(s) })
	if len(found) != 1 {
		t.Fatalf("%d such steps in %+v", len(found), l.steps)
	}
	return found[0]
}

// TestFromABareURLToACallAndThroughAStepUp: a client that knows nothing but the
// URL finds issuer and scopes, asks its person for less than it is told, learns
// from one challenge what is missing, and calls with the bigger token.
func TestFromABareURLToACallAndThroughAStepUp(t *testing.T) {
	t.Parallel()
	d := deploy(t, func(p *plan) {
		p.env, p.listener = scopedEnvironment, shared.scoped
		p.issuers = []any{issuer(p.env, map[string]any{"audiences": nil, "scopes": []string{"mcp", "mcp:files"}})}
	})
	u := d.upstream(upstreams.New().Handler.ServeHTTP)
	d.simple(u)
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			walked, logins := &trail{}, 0
			login, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
				PreregisteredClient: &oauthex.ClientCredentials{ClientID: shell}, RedirectURL: "http://127.0.0.1:9/callback",
				Client: &http.Client{Transport: walked},
				ScopeFilter: func(told []string) []string {
					if !slices.Equal(told, []string{"mcp", "mcp:files"}) {
						t.Errorf("told the scopes %v", told)
					}
					if logins == 0 {
						told = told[:1]
					}
					return append(slices.Clone(told), "openid", "email", "groups")
				},
				AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
					logins++
					return browse(ctx, alice, args.URL)
				},
			})
			must(t, err)
			session := connectAgain(t, login, walked, version)
			defer session.Close()
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami", Arguments: map[string]any{}})
			must(t, err)
			if !strings.Contains(textOf(result), "alice@example.com") || logins != 2 {
				t.Errorf("after %d logins the upstream said %.300s", logins, textOf(result))
			}
			walked.steppedUp(t)
		})
	}
}

// connectAgain connects, and once more where the client gives up on the refusal
// that its first, too small token meets.
func connectAgain(t *testing.T, login auth.OAuthHandler, walked *trail, version string) *mcp.ClientSession {
	t.Helper()
	for first := true; ; first = false {
		transport := &mcp.StreamableClientTransport{Endpoint: scopedResource(), OAuthHandler: login, MaxRetries: -1,
			DisableStandaloneSSE: true, HTTPClient: &http.Client{Transport: walked}}
		session, err := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, nil).
			Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err == nil {
			return session
		}
		if !first || !strings.Contains(err.Error(), "Forbidden") {
			t.Fatal(err)
		}
	}
}

// steppedUp holds the walk against RFC 9728, RFC 6750 and RFC 8707.
func (l *trail) steppedUp(t *testing.T) {
	t.Helper()
	resource := scopedResource()
	base := strings.TrimSuffix(resource, "/mcp/"+scopedEnvironment+"/notes")
	metadata := `resource_metadata="` + base + "/.well-known/oauth-protected-resource/mcp/" + scopedEnvironment + `/notes"`
	asked := l.only(t, func(s step) bool { return s.status == http.StatusUnauthorized })
	want := []string{`Bearer scope="mcp mcp:files", ` + metadata}
	if diff := cmp.Diff(want, asked.challenges); diff != "" || asked.aud != "" {
		t.Errorf("without a token (-want +got):\n%s", diff)
	}
	l.mu.Lock()
	refused := slices.DeleteFunc(slices.Clone(l.steps), func(s step) bool { return s.status != http.StatusForbidden })
	last := l.steps[len(l.steps)-1]
	l.mu.Unlock()
	want = []string{`Bearer error="insufficient_scope", scope="mcp mcp:files", ` + metadata}
	for _, s := range refused {
		if diff := cmp.Diff(want, s.challenges); diff != "" || s.scope != "mcp" || s.aud != resource {
			t.Errorf("with a token for %s and %s (-want +got):\n%s", s.scope, s.aud, diff)
		}
	}
	if len(refused) == 0 || last.status != http.StatusOK || last.scope != "mcp mcp:files" || last.aud != resource {
		t.Errorf("%d refusals, in the end status %d with a token for %s and %s", len(refused), last.status, last.scope, last.aud)
	}
	if found := l.passed("GET /.well-known/oauth-protected-resource/mcp/" + scopedEnvironment + "/notes"); !slices.Equal(found, []int{200, 200}) {
		t.Errorf("the resource's metadata was answered with %v", found)
	}
	if found := l.passed("POST /token"); !slices.Equal(found, []int{200, 200}) {
		t.Errorf("the token endpoint answered with %v", found)
	}
}
