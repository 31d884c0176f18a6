//go:build e2e && !nonode

package oauth

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"bindery/infra/local/parts"
	"bindery/shared/egress"
	"bindery/shared/secret"
)

const (
	upstream = "http://127.0.0.1:7700/mcp"
	callback = "http://127.0.0.1:9/callback"
)

// real is the certified provider and a Requester through egress.
type real struct {
	*Requester
	op *parts.OIDC
	at Provider
}

func startReal(t *testing.T) real {
	t.Helper()
	op, err := parts.OIDCProvider(t.Context(), t.Logf, parts.OIDCConfig{
		Users:        []parts.OIDCUser{{Subject: "ada", Email: "ada@example.com"}},
		Clients:      []parts.OIDCClient{{ID: "bindery"}, {ID: "batch", Secret: secret.New("made-up-client-secret-01")}},
		Resources:    []parts.OIDCResource{{Audience: upstream, Scope: "read write"}},
		Registration: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(op.Stop)
	r := real{New(egress.New(egress.Policy{Loopback: true}).HTTP(), time.Now, true), op, Provider{}}
	if r.at, err = r.Provider(t.Context(), op.URL); err != nil {
		t.Fatal(err)
	}
	r.at.Quirks.Authorize = map[string]string{"prompt": "consent"} // else it gives no refresh token
	return r
}

// consent drives the code flow for a client and gives its first tokens.
func (r real) consent(t *testing.T, c Client) Token {
	t.Helper()
	scopes := []string{"read", "offline_access"}
	ask := Authorization{RedirectURL: callback, State: rand.Text(), Verifier: NewVerifier(), Resource: upstream, Scopes: scopes}
	address, err := r.AuthorizationURL(r.at, c, ask)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := r.op.Consent(t.Context(), "ada", address, callback)
	if err != nil || answer.Get("state") != ask.State {
		t.Fatalf("state %q, %v", answer.Get("state"), err)
	}
	code, err := ReadCallback(r.at, answer)
	if err != nil {
		t.Fatal(err)
	}
	other := r.at
	other.Issuer = "https://other.example"
	if _, err := ReadCallback(other, answer); !errors.Is(err, ErrMixUp) {
		t.Errorf("the answer is taken for another issuer's: %v", err)
	}
	in := Code{Code: code, Verifier: ask.Verifier, RedirectURL: callback, Resource: upstream, Scopes: scopes}
	got, err := r.ExchangeCode(t.Context(), r.at, c, in)
	if err != nil || got.Refresh.IsZero() || !slices.Contains(got.Scopes, "read") || got.Expires.Before(time.Now()) {
		t.Fatalf("%v, scopes %q, expires %s", err, got.Scopes, got.Expires)
	}
	return got
}

func TestTheRealProviderIsFound(t *testing.T) {
	r := startReal(t)
	if !r.at.S256 || !r.at.SendsIssuer || r.at.RevocationURL == "" || r.at.RegistrationURL == "" || !slices.Contains(r.at.AuthMethods, PrivateKeyJWT) {
		t.Errorf("%+v", r.at)
	}
	if _, err := r.Provider(t.Context(), r.op.URL+"/"); !errors.Is(err, ErrMetadata) {
		t.Errorf("an issuer in another spelling: %v", err)
	}
}

func TestRefreshTokensRotateAndReuseKillsTheGrant(t *testing.T) {
	r := startReal(t)
	c := Client{ID: "bindery", Auth: NoAuth}
	first := r.consent(t, c)
	refresh := func(token secret.Value) (Token, error) {
		return r.Refresh(t.Context(), r.at, c, token, upstream, first.Scopes)
	}
	second, err := refresh(first.Refresh)
	if err != nil || second.Refresh.IsZero() || second.Refresh.Equal(first.Refresh) || second.Access.Equal(first.Access) {
		t.Fatalf("not rotated: %v", err)
	}
	if _, err := r.Refresh(t.Context(), r.at, c, second.Refresh, upstream, []string{"read", "write"}); !errors.Is(err, ErrInvalidScope) {
		t.Errorf("a refresh widens the scope: %v", err)
	}
	if _, err := refresh(first.Refresh); !errors.Is(err, ErrInvalidGrant) {
		t.Errorf("the old refresh token: %v", err)
	}
	if _, err := refresh(second.Refresh); !errors.Is(err, ErrInvalidGrant) {
		t.Errorf("the new one after reuse of the old: %v", err)
	}
}

func TestARevokedGrantIsDead(t *testing.T) {
	r := startReal(t)
	c := Client{ID: "bindery", Auth: NoAuth}
	token := r.consent(t, c)
	for range 2 { // the second finds nothing to revoke
		if err := r.Revoke(t.Context(), r.at, c, token.Refresh, RefreshToken); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Refresh(t.Context(), r.at, c, token.Refresh, upstream, token.Scopes); !errors.Is(err, ErrInvalidGrant) {
		t.Errorf("after revocation: %v", err)
	}
}

func TestAClientRegistersItselfConsentsAndLeaves(t *testing.T) {
	r := startReal(t)
	for _, method := range []AuthMethod{NoAuth, SecretBasic, SecretPost} {
		made, err := r.Register(t.Context(), r.at, Metadata{Name: "Bindery", RedirectURIs: []string{callback}, Auth: method, ApplicationType: "native",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}}, Key{})
		if err != nil || made.URL == "" || made.Token.IsZero() || made.Client.Auth != method {
			t.Fatalf("%s: %v, %+v", method, err, made)
		}
		token := r.consent(t, made.Client)
		if _, err := r.Refresh(t.Context(), r.at, made.Client, token.Refresh, upstream, token.Scopes); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if err := r.Unregister(t.Context(), made); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if _, err := r.Refresh(t.Context(), r.at, made.Client, token.Refresh, upstream, token.Scopes); !errors.Is(err, ErrInvalidClient) {
			t.Errorf("%s: a client that is gone: %v", method, err)
		}
	}
}

// TestAClientWithAKeyRegisters: the provider takes an assertion whose only
// audience is its issuer, and none that another key signed.
func TestAClientWithAKeyRegisters(t *testing.T) {
	r := startReal(t)
	signer := newSigner(t)
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: signer.Public(), KeyID: "key-1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := r.Register(t.Context(), r.at, Metadata{RedirectURIs: []string{callback}, Auth: PrivateKeyJWT, ApplicationType: "native", JWKS: jwks,
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"}}, Key{ID: "key-1", Algorithm: "ES256", Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	token := r.consent(t, made.Client)
	var refused *Fault // it cannot revoke a JWT
	if err := r.Revoke(t.Context(), r.at, made.Client, token.Access, AccessToken); !errors.As(err, &refused) || refused.Code != "unsupported_token_type" {
		t.Error(err)
	}
	stranger := made.Client
	stranger.Key.Signer = newSigner(t)
	if _, err := r.Refresh(t.Context(), r.at, stranger, token.Refresh, upstream, token.Scopes); !errors.Is(err, ErrInvalidClient) {
		t.Errorf("another key: %v", err)
	}
	if _, err := r.Refresh(t.Context(), r.at, made.Client, token.Refresh, upstream, token.Scopes); err != nil {
		t.Error(err)
	}
}

func TestTheClientsOwnTokens(t *testing.T) {
	r := startReal(t)
	batch := Client{ID: "batch", Auth: SecretBasic, Secret: secret.New("made-up-client-secret-01")}
	got, err := r.ClientCredentials(t.Context(), r.at, batch, upstream, "", []string{"read"})
	if err != nil || got.Access.IsZero() || !slices.Equal(got.Scopes, []string{"read"}) {
		t.Errorf("%v, %q", err, got.Scopes)
	}
	if _, err := r.ClientCredentials(t.Context(), r.at, batch, "https://other.example", "", []string{"read"}); !errors.Is(err, ErrRefused) {
		t.Errorf("a resource the provider does not know: %v", err)
	}
	batch.Secret = secret.New("made-up-client-secret-02")
	if _, err := r.ClientCredentials(t.Context(), r.at, batch, upstream, "", []string{"read"}); !errors.Is(err, ErrInvalidClient) {
		t.Errorf("a wrong secret: %v", err)
	}
}

func TestACodeIsGoodOnceAndOnlyWithItsVerifier(t *testing.T) {
	r := startReal(t)
	c := Client{ID: "bindery", Auth: NoAuth}
	ask := Authorization{RedirectURL: callback, State: "made-up-state", Verifier: NewVerifier(), Resource: upstream, Scopes: []string{"read"}}
	code := func() secret.Value {
		address, err := r.AuthorizationURL(r.at, c, ask)
		if err != nil {
			t.Fatal(err)
		}
		var answer url.Values
		if answer, err = r.op.Consent(t.Context(), "ada", address, callback); err != nil {
			t.Fatal(err)
		}
		got, err := ReadCallback(r.at, answer)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	in := Code{Code: code(), Verifier: NewVerifier(), RedirectURL: callback, Resource: upstream, Scopes: ask.Scopes}
	if _, err := r.ExchangeCode(t.Context(), r.at, c, in); !errors.Is(err, ErrInvalidGrant) {
		t.Errorf("another verifier: %v", err)
	}
	in.Code, in.Verifier = code(), ask.Verifier
	if _, err := r.ExchangeCode(t.Context(), r.at, c, in); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ExchangeCode(t.Context(), r.at, c, in); !errors.Is(err, ErrInvalidGrant) {
		t.Errorf("the code again: %v", err)
	}
}
