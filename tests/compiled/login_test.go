//go:build e2e

package compiled

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"bindery/shared/brokertest/idp"
)

// login is an authorization server that lets everybody in as alice, with the
// scopes they ask for. Its tokens are for the resource that was asked for.
type login struct {
	url  string
	pen  *idp.Server
	down atomic.Bool // its keys cannot be had

	mu   sync.Mutex
	asks map[string]url.Values // of the authorization endpoint, by code
}

func newLogin(t *testing.T) *login {
	t.Helper()
	l := &login{pen: idp.New(t), asks: map[string]url.Values{}}
	mux := http.NewServeMux()
	l.url = serve(t, mux)
	metadata, err := json.Marshal(map[string]any{
		"issuer": l.url, "jwks_uri": l.url + "/jwks", "authorization_endpoint": l.url + "/authorize", "token_endpoint": l.url + "/token",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{idp.DiscoveryPath, idp.OAuthPath} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { idp.WriteJSON(w, metadata) })
	}
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		if l.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		idp.WriteJSON(w, l.pen.JWKS())
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		asked, ok := l.asks[r.PostFormValue("code")]
		l.mu.Unlock()
		if !ok {
			http.Error(w, "no such code", http.StatusBadRequest)
			return
		}
		answer, _ := json.Marshal(map[string]any{"token_type": "Bearer", "expires_in": 3600,
			"access_token": l.token(asked.Get("resource"), asked.Get("scope"))})
		idp.WriteJSON(w, answer)
	})
	return l
}

// token is one of alice's.
func (l *login) token(resource, scope string) string {
	return l.pen.Sign("k1", map[string]any{"typ": "at+jwt"}, map[string]any{
		"iss": l.url, "aud": resource, "sub": "alice", "client_id": "shell", "groups": []string{"staff"}, "scope": scope,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "jti": rand.Text(),
	})
}

// document trusts the server for tokens with the scope mcp.
func (l *login) document(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"issuers": []any{map[string]any{
		"name": "corp", "issuer": l.url, "kind": "user", "environments": []string{environment}, "algorithms": []string{"ES256"},
		"claims": map[string]any{"principal": []string{"sub"}, "groups": "groups"}, "groups": map[string]string{"staff": "staff"},
		"agents": "ignored", "scopes": []string{"mcp"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// client is go-sdk's OAuth client, with a person who agrees to everything. It
// knows nothing but the server's address. The scopes it asked for are noted.
func (l *login) client(t *testing.T, http *http.Client) (*auth.AuthorizationCodeHandler, *[]string) {
	t.Helper()
	var scopes []string
	h, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: &oauthex.ClientCredentials{ClientID: "shell"},
		RedirectURL:         "http://127.0.0.1:1/callback",
		Client:              http,
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			_, raw, _ := strings.Cut(args.URL, "?")
			asked, err := url.ParseQuery(raw)
			if err != nil {
				return nil, err
			}
			code := rand.Text()
			l.mu.Lock()
			l.asks[code] = asked
			l.mu.Unlock()
			scopes = append(scopes, asked.Get("scope"))
			return &auth.AuthorizationResult{Code: code, State: asked.Get("state")}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, &scopes
}
