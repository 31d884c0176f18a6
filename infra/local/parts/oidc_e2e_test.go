//go:build e2e && !nonode

package parts

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/secret"
)

const (
	resourceA = "http://127.0.0.1:7700/mcp/dev/github"
	resourceB = "http://127.0.0.1:7700/mcp/dev/jira"
)

func testProvider(t *testing.T) *OIDC {
	t.Helper()
	began := time.Now()
	o, err := OIDCProvider(t.Context(), t.Logf, OIDCConfig{
		Users: []OIDCUser{
			{Subject: "ada", Email: "ada@example.com", EmailVerified: true, Groups: []string{"engineering", "oncall"}},
			{Subject: "ben", Email: "ben@example.com"},
		},
		Clients: []OIDCClient{
			{ID: "desktop"},
			{ID: "agent-build", Secret: secret.New("made-up-client-secret-01")},
		},
		Resources:      []OIDCResource{{Audience: resourceA, Scope: "mcp"}, {Audience: resourceB}},
		AccessTokenTTL: 90 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Stop)
	t.Logf("ready in %s", time.Since(began).Round(time.Millisecond))
	return o
}

// claims verifies a token with the provider's published keys and decodes it.
func claims(t *testing.T, o *OIDC, token secret.Value) map[string]any {
	t.Helper()
	resp, err := http.Get(o.URL + "/jwks")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token.Reveal(), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatalf("token is no RS256 JWT: %v", err)
	}
	got := map[string]any{}
	if err := parsed.Claims(keys, &got); err != nil {
		t.Fatalf("token does not verify with the published keys: %v", err)
	}
	return got
}

func wantClaims(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if diff := cmp.Diff(value, got[name]); diff != "" {
			t.Errorf("claim %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestUserTokenNamesThePersonForOneResource(t *testing.T) {
	o := testProvider(t)
	mustListenOnLoopbackOnly(t, o.URL)
	for _, resource := range []string{resourceA, resourceB} {
		got, err := o.UserToken(t.Context(), "ada", "desktop", resource)
		if err != nil {
			t.Fatal(err)
		}
		access := claims(t, o, got.Access)
		wantClaims(t, access, map[string]any{"iss": o.URL, "aud": resource, "sub": "ada", "client_id": "desktop",
			"email": "ada@example.com", "email_verified": true, "groups": []any{"engineering", "oncall"}})
		if life := access["exp"].(float64) - access["iat"].(float64); life != 90 {
			t.Errorf("access token lives %v s, want 90", life)
		}
		wantClaims(t, claims(t, o, got.ID), map[string]any{"iss": o.URL, "aud": "desktop", "sub": "ada", "email": "ada@example.com"})
	}
	ben, err := o.UserToken(t.Context(), "ben", "desktop", resourceA)
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, claims(t, o, ben.Access), map[string]any{"sub": "ben", "email_verified": false})
	mustBeGone(t, o.Process)
}

func TestClientTokenNamesTheSoftwareAlone(t *testing.T) {
	o := testProvider(t)
	got, err := o.ClientToken(t.Context(), "agent-build", secret.New("made-up-client-secret-01"), resourceA)
	if err != nil {
		t.Fatal(err)
	}
	access := claims(t, o, got.Access)
	wantClaims(t, access, map[string]any{"iss": o.URL, "aud": resourceA, "sub": "agent-build", "client_id": "agent-build", "scope": "mcp"})
	if email, has := access["email"]; has {
		t.Errorf("a client's token has the e-mail %v", email)
	}
	if !got.Refresh.IsZero() || !got.ID.IsZero() {
		t.Error("a client got a refresh or ID token")
	}
}

func TestTokensAreRefusedWithoutLeakingWhatWasSent(t *testing.T) {
	o := testProvider(t)
	wrong := secret.New("wrong-secret-canary-0123")
	attempts := map[string]func() (Tokens, error){
		"wrong client secret": func() (Tokens, error) { return o.ClientToken(t.Context(), "agent-build", wrong, resourceA) },
		"unknown resource for a client": func() (Tokens, error) {
			return o.ClientToken(t.Context(), "agent-build", secret.New("made-up-client-secret-01"), "http://127.0.0.1:1/other")
		},
		"unknown resource for a user": func() (Tokens, error) {
			return o.UserToken(t.Context(), "ada", "desktop", "http://127.0.0.1:1/other")
		},
		"unknown user":   func() (Tokens, error) { return o.UserToken(t.Context(), "mallory", "desktop", resourceA) },
		"unknown client": func() (Tokens, error) { return o.UserToken(t.Context(), "ada", "nobody", resourceA) },
	}
	for name, attempt := range attempts {
		t.Run(name, func(t *testing.T) {
			got, err := attempt()
			if !errors.Is(err, ErrToken) || !got.Access.IsZero() {
				t.Fatalf("got a token: %t, error %v; want ErrToken alone", !got.Access.IsZero(), err)
			}
			t.Log(err)
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "made-up") {
				t.Error("the error holds the client secret")
			}
		})
	}
}

// A refresh token works once; using it again kills its successor too, and a
// revoked one is dead (RFC 7009).
func TestRefreshTokensRotateAndCanBeRevoked(t *testing.T) {
	o := testProvider(t)
	login := func() secret.Value {
		got, err := o.UserToken(t.Context(), "ada", "desktop", resourceA)
		if err != nil || got.Refresh.IsZero() {
			t.Fatalf("no refresh token: %v", err)
		}
		return got.Refresh
	}
	first := login()
	status, answer := post(t, o.URL+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"desktop"}, "refresh_token": {first.Reveal()}})
	second := secret.New(answer["refresh_token"])
	if status != http.StatusOK || second.IsZero() || second.Equal(first) {
		t.Fatalf("refresh: status %d, rotated: %t", status, !second.Equal(first))
	}
	for _, dead := range []secret.Value{first, second} {
		status, answer := post(t, o.URL+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"desktop"}, "refresh_token": {dead.Reveal()}})
		if status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
			t.Errorf("a spent family: status %d, error %q", status, answer["error"])
		}
	}
	third := login()
	if status, _ := post(t, o.URL+"/token/revocation", url.Values{"client_id": {"desktop"}, "token": {third.Reveal()}}); status != http.StatusOK {
		t.Fatalf("revocation: status %d", status)
	}
	status, answer = post(t, o.URL+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"desktop"}, "refresh_token": {third.Reveal()}})
	if status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
		t.Errorf("a revoked token: status %d, error %q", status, answer["error"])
	}
}

// post returns the status and the answer's string members.
func post(t *testing.T, at string, form url.Values) (int, map[string]string) {
	t.Helper()
	resp, err := http.PostForm(at, form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	members := map[string]any{}
	_ = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&members) // a revocation has no body
	answer := map[string]string{}
	for name, value := range members {
		if text, ok := value.(string); ok {
			answer[name] = text
		}
	}
	return resp.StatusCode, answer
}

// Two issuers at once share neither key nor key id.
func TestEachProviderHasItsOwnSigningKey(t *testing.T) {
	var ids []string
	for range 2 {
		o := testProvider(t)
		resp, err := http.Get(o.URL + "/jwks")
		if err != nil {
			t.Fatal(err)
		}
		var keys jose.JSONWebKeySet
		err = json.NewDecoder(resp.Body).Decode(&keys)
		resp.Body.Close()
		if err != nil || len(keys.Keys) != 1 || slices.Contains(ids, keys.Keys[0].KeyID) {
			t.Fatalf("keys %v after %v: %v", len(keys.Keys), ids, err)
		}
		ids = append(ids, keys.Keys[0].KeyID)
	}
}
