package oauthclient

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"

	"golang.org/x/oauth2"

	"bindery/shared/oauth"
	"bindery/shared/secret"
)

const (
	redirect = "http://localhost:3000/callback"
	document = "https://conformance-test.local/client-metadata.json" // the suite's name for it; nobody serves it

	// A server that wants more after each consent is not followed for ever.
	maxConsents = 3
)

// person obtains tokens when the server asks for them.
type person struct {
	requester *oauth.Requester
	browser   *http.Client
	given     given
	obtain    func(ctx context.Context, at oauth.Resource, p oauth.Provider, scopes []string) (oauth.Token, error)

	clients map[string]oauth.Client // by issuer: a client of one is never shown to another
	asked   []string                // scopes asked for so far
	rounds  int
	token   oauth.Token
}

// TokenSource gives the SDK the token of the last consent.
func (p *person) TokenSource(context.Context) (oauth2.TokenSource, error) {
	if p.token.Access.IsZero() {
		return nil, nil
	}
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: p.token.Access.Reveal(), TokenType: p.token.Type}), nil
}

// Authorize answers a 401, or a 403 for want of scopes.
func (p *person) Authorize(ctx context.Context, req *http.Request, resp *http.Response) error {
	defer resp.Body.Close()
	challenge := oauth.ParseChallenge(resp.Header.Values("WWW-Authenticate"))
	if resp.StatusCode == http.StatusForbidden && challenge.Error != "insufficient_scope" {
		return errors.New("the server itself refuses")
	}
	if p.rounds++; p.rounds > maxConsents {
		return errors.New("the server is never satisfied")
	}
	at, err := p.requester.Resource(ctx, req.URL.String(), challenge)
	if err != nil {
		return err
	}
	provider, err := p.requester.Provider(ctx, at.Issuers[0])
	if err != nil {
		return err
	}
	p.token, err = p.obtain(ctx, at, provider, p.scopes(at, provider, challenge))
	return err
}

// scopes are those that the challenge names, or all that the server knows, and
// what was asked for before.
func (p *person) scopes(at oauth.Resource, provider oauth.Provider, challenge oauth.Challenge) []string {
	want := challenge.Scopes
	if len(want) == 0 {
		want = at.Scopes
	}
	if slices.Contains(provider.Scopes, "offline_access") {
		want = append(slices.Clone(want), "offline_access")
	}
	for _, scope := range want {
		if !slices.Contains(p.asked, scope) {
			p.asked = append(p.asked, scope)
		}
	}
	return p.asked
}

func (p *person) byConsent(ctx context.Context, at oauth.Resource, provider oauth.Provider, scopes []string) (oauth.Token, error) {
	client, err := p.client(ctx, provider)
	if err != nil {
		return oauth.Token{}, err
	}
	ask := oauth.Authorization{RedirectURL: redirect, State: rand.Text(), Verifier: oauth.NewVerifier(), Resource: at.Resource, Scopes: scopes}
	address, err := p.requester.AuthorizationURL(provider, client, ask)
	if err != nil {
		return oauth.Token{}, err
	}
	answer, err := p.visit(ctx, address)
	if err != nil {
		return oauth.Token{}, err
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(ask.State)) != 1 {
		return oauth.Token{}, errors.New("the answer has another state")
	}
	code, err := oauth.ReadCallback(provider, answer)
	if err != nil {
		return oauth.Token{}, err
	}
	return p.requester.ExchangeCode(ctx, provider, client, oauth.Code{
		Code: code, Verifier: ask.Verifier, RedirectURL: redirect, Resource: at.Resource, Scopes: scopes,
	})
}

// client is how the person's software is known to the issuer: registered
// beforehand, by its document, or now.
func (p *person) client(ctx context.Context, provider oauth.Provider) (oauth.Client, error) {
	if known, ok := p.clients[provider.Issuer]; ok {
		return known, nil
	}
	if p.given.ClientID != "" {
		method, err := provider.Auth(oauth.SecretBasic, oauth.SecretPost)
		return oauth.Client{ID: p.given.ClientID, Auth: method, Secret: secret.New(p.given.ClientSecret)}, err
	}
	if provider.Documents {
		return oauth.Client{ID: document, Auth: oauth.NoAuth}, nil
	}
	method, err := provider.Auth(oauth.NoAuth, oauth.SecretBasic, oauth.SecretPost)
	if err != nil {
		return oauth.Client{}, err
	}
	made, err := p.requester.Register(ctx, provider, oauth.Metadata{
		Name: "Bindery conformance", RedirectURIs: []string{redirect}, Auth: method, ApplicationType: "native",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
	}, oauth.Key{})
	if err != nil {
		return oauth.Client{}, err
	}
	p.clients[provider.Issuer] = made.Client
	return made.Client, nil
}

func (p *person) byCredentials(ctx context.Context, at oauth.Resource, provider oauth.Provider, scopes []string) (oauth.Token, error) {
	client := oauth.Client{ID: p.given.ClientID, Auth: oauth.SecretBasic, Secret: secret.New(p.given.ClientSecret)}
	if p.given.PrivateKey != "" {
		key, err := parseKey(p.given.PrivateKey)
		if err != nil {
			return oauth.Token{}, err
		}
		client.Auth, client.Key = oauth.PrivateKeyJWT, oauth.Key{Algorithm: p.given.Algorithm, Signer: key}
	}
	return p.requester.ClientCredentials(ctx, provider, client, at.Resource, "", scopes)
}

// byAssertion gets an identity assertion from the company's provider and redeems
// it at the upstream's.
func (p *person) byAssertion(ctx context.Context, at oauth.Resource, provider oauth.Provider, scopes []string) (oauth.Token, error) {
	company, err := p.requester.Provider(ctx, p.given.IDPIssuer)
	if err != nil {
		return oauth.Token{}, err
	}
	assertion, err := p.requester.ExchangeToken(ctx, company, oauth.Client{ID: p.given.IDPClientID, Auth: oauth.NoAuth}, oauth.Exchange{
		Subject: secret.New(p.given.IDPIDToken), SubjectType: oauth.TypeIDToken, Requested: oauth.TypeIDJAG,
		Audience: provider.Issuer, Resource: at.Resource, Scopes: scopes,
	})
	if err != nil {
		return oauth.Token{}, err
	}
	client := oauth.Client{ID: p.given.ClientID, Auth: oauth.SecretBasic, Secret: secret.New(p.given.ClientSecret)}
	return p.requester.JWTBearer(ctx, provider, client, assertion.Access, at.Resource, scopes)
}

func (p *person) byWorkload(ctx context.Context, at oauth.Resource, provider oauth.Provider, scopes []string) (oauth.Token, error) {
	client := oauth.Client{ID: p.given.ClientID, Auth: oauth.NoAuth}
	return p.requester.JWTBearer(ctx, provider, client, secret.New(p.given.ValidJWT), at.Resource, scopes)
}

// ecKey signs with a key that the suite gave.
type ecKey struct{ *ecdsa.PrivateKey }

func parseKey(text string) (ecKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return ecKey{}, errors.New("the scenario's key is not PEM")
	}
	var key crypto.PrivateKey
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	own, ok := key.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return ecKey{}, errors.New("the scenario's key is no EC key")
	}
	return ecKey{own}, nil
}

func (k ecKey) Sign(_ context.Context, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	r, s, err := ecdsa.Sign(rand.Reader, k.PrivateKey, digest[:])
	if err != nil {
		return nil, err
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
}
