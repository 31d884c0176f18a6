// Package idp is a small OpenID Connect issuer for the local stack: discovery,
// published keys, a page where people log in, and a token endpoint at which the
// stack's own people and agents get access tokens without a browser. A second one
// is the provider of an upstream where each person has an account. It knows its people by name and
// asks for no password, so it must never be reachable from anywhere but this
// machine. It is not part of any deployment.
package idp

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Issuer signs access tokens (RFC 9068) with a key made at start.
type Issuer struct {
	url      string
	audience string
	key      *rsa.PrivateKey
	signer   jose.Signer // of access tokens
	idSigner jose.Signer
	accounts map[string]map[string]any
	life     time.Duration
	title    string // of its page

	mu        sync.Mutex
	redirects map[string]bool // client and address
	grants    map[string]grant
}

func algorithms() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{jose.RS256} }

// New makes an issuer whose identifier is url. accounts maps a name (a person
// or an agent) to the claims its tokens carry; audience goes into every token
// whose claims name none; title is what its page is called.
func New(url, title, audience string, accounts map[string]map[string]any, life time.Duration) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make the issuer's key: %w", err)
	}
	i := &Issuer{url: url, audience: audience, key: key, accounts: accounts, life: life, title: title,
		redirects: map[string]bool{}, grants: map[string]grant{}}
	for kind, signer := range map[jose.ContentType]*jose.Signer{"at+jwt": &i.signer, "JWT": &i.idSigner} {
		options := (&jose.SignerOptions{}).WithType(kind).WithHeader("kid", "local-1")
		if *signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options); err != nil {
			return nil, fmt.Errorf("make the issuer's signer: %w", err)
		}
	}
	return i, nil
}

// Token signs an access token for one account.
func (i *Issuer) Token(account string) (string, error) {
	claims, ok := i.accounts[account]
	if !ok {
		return "", fmt.Errorf("the local identity provider has no account %q", account)
	}
	return i.sign(i.signer, claims)
}

func (i *Issuer) sign(signer jose.Signer, claims map[string]any) (string, error) {
	now := time.Now()
	all := maps.Clone(claims)
	if all["aud"] == nil {
		all["aud"] = i.audience
	}
	all["iss"], all["jti"] = i.url, rand.Text()
	all["iat"], all["exp"] = now.Unix(), now.Add(i.life).Unix()
	return jwt.Signed(signer).Claims(all).Serialize()
}

// Handler serves discovery, keys, a page where people log in and agree, and
// POST /token, which with account=NAME answers with the bare token as text.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/jwks", "token_endpoint": i.url + "/token",
			"authorization_endpoint": i.url + "/authorize", "revocation_endpoint": i.url + "/revoke",
			"code_challenge_methods_supported": []string{"S256"}, "authorization_response_iss_parameter_supported": true,
			"token_endpoint_auth_methods_supported": []string{"none"}, "response_types_supported": []string{"code"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: i.key.Public(), KeyID: "local-1", Algorithm: "RS256", Use: "sig"},
		}})
	})
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /authorize", i.authorize)
	mux.HandleFunc("POST /revoke", func(_ http.ResponseWriter, r *http.Request) { i.take(r.PostFormValue("token")) })
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") != "" {
			i.redeem(w, r)
			return
		}
		token, err := i.Token(r.PostFormValue("account"))
		if err != nil {
			http.Error(w, "no such account", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprintln(w, token)
	})
	return mux
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
