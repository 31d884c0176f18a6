package parts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"bindery/shared/secret"
)

// ErrToken means the provider gave no token.
var ErrToken = errors.New("no token from the OpenID provider")

// Tokens is what a login or a client gets. Refresh and ID are zero for a client.
type Tokens struct {
	Access  secret.Value // a JWT whose audience is the resource
	Refresh secret.Value
	ID      secret.Value // a JWT whose audience is the client
	Expiry  time.Time    // of Access
}

// UserToken logs the user in at a public client, as a browser would but without
// one, and returns tokens for the resource: authorization code with PKCE (RFC
// 7636), resource indicator (RFC 8707), issuer check (RFC 9207). Each call is a
// new login.
func (o *OIDC) UserToken(ctx context.Context, user, clientID, resource string) (Tokens, error) {
	client, known := o.config.client(clientID)
	if !known || !o.config.hasUser(user) {
		return Tokens{}, fmt.Errorf("%w: client %q or user %q is not in the provider's configuration", ErrToken, clientID, user)
	}
	config := oauth2.Config{
		ClientID:    clientID,
		RedirectURL: client.redirect(),
		Scopes:      append([]string{"openid", "email", "groups", "offline_access"}, o.scopes(resource)...),
		Endpoint:    oauth2.Endpoint{AuthURL: o.URL + "/auth", TokenURL: o.URL + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	browser, err := newBrowser(user, client.redirect())
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	code, err := browser.authorize(ctx, o.URL, state, config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("prompt", "consent"), oauth2.SetAuthURLParam("resource", resource)))
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: logging in: %w", ErrToken, err)
	}
	token, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, browser.http), code.Reveal(),
		oauth2.VerifierOption(verifier), oauth2.SetAuthURLParam("resource", resource))
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: exchanging the code: %w", ErrToken, withoutBody(err))
	}
	return tokens(token), nil
}

// Consent is the person who follows an authorization address that somebody else
// made, logs in and agrees. It returns what the provider sends to the redirect
// address of the client.
func (o *OIDC) Consent(ctx context.Context, user, address, redirect string) (url.Values, error) {
	browser, err := newBrowser(user, redirect)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	answer, err := browser.walk(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: consenting: %w", ErrToken, err)
	}
	u, err := url.Parse(answer)
	if err != nil {
		return nil, fmt.Errorf("%w: the provider redirected to an address that does not parse", ErrToken)
	}
	return u.Query(), nil
}

// Asked tells how many token requests of a grant type the provider got, also of
// those that it refused.
func (o *OIDC) Asked(ctx context.Context, grantType string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+"/asked", nil)
	if err != nil {
		return 0, err
	}
	response, err := (&http.Client{Timeout: requestTime}).Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	counted := map[string]int{}
	err = json.NewDecoder(response.Body).Decode(&counted)
	return counted[grantType], err
}

// ClientToken returns an access token of the confidential client itself for the
// resource (client credentials, RFC 6749 section 4.4).
func (o *OIDC) ClientToken(ctx context.Context, clientID string, clientSecret secret.Value, resource string) (Tokens, error) {
	config := clientcredentials.Config{
		ClientID:       clientID,
		ClientSecret:   clientSecret.Reveal(),
		TokenURL:       o.URL + "/token",
		Scopes:         o.scopes(resource),
		AuthStyle:      oauth2.AuthStyleInHeader,
		EndpointParams: url.Values{"resource": {resource}},
	}
	client := &http.Client{Timeout: requestTime}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return Tokens{}, fmt.Errorf("%w: client credentials: %w", ErrToken, withoutBody(err))
	}
	return tokens(token), nil
}

// scopes are all that the resource offers.
func (o *OIDC) scopes(resource string) []string {
	for _, known := range o.config.Resources {
		if known.Audience == resource {
			return strings.Fields(known.Scope)
		}
	}
	return nil
}

func tokens(t *oauth2.Token) Tokens {
	id, _ := t.Extra("id_token").(string) // a client gets none
	return Tokens{Access: secret.New(t.AccessToken), Refresh: secret.New(t.RefreshToken), ID: secret.New(id), Expiry: t.Expiry}
}

// withoutBody keeps status and code of a refused token request: the library's
// own message holds the whole answer.
func withoutBody(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("refused with status %d, code %.60q", refused.Response.StatusCode, refused.ErrorCode)
	}
	return err
}

const requestTime = 20 * time.Second

// browser walks through the provider's login pages for one person.
type browser struct {
	http     *http.Client
	user     string
	redirect string // of the client: the walk ends there
}

func newBrowser(user, redirect string) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{http: &http.Client{Jar: jar, Timeout: requestTime, CheckRedirect: stay}, user: user, redirect: redirect}, nil
}

// authorize walks from the authorization URL and returns the code that is sent
// to the client.
func (b *browser) authorize(ctx context.Context, issuer, state, start string) (secret.Value, error) {
	answer, err := b.walk(ctx, start)
	if err != nil {
		return secret.Value{}, err
	}
	return codeFrom(answer, issuer, state)
}

// walk answers the login and the consent page, and returns the address at the
// client that the provider then sends the browser to.
func (b *browser) walk(ctx context.Context, start string) (string, error) {
	at, form := start, url.Values(nil)
	for range 12 { // a login takes seven requests
		next, page, err := b.request(ctx, at, form)
		if err != nil {
			return "", err
		}
		form = nil
		switch {
		case strings.HasPrefix(next, b.redirect+"?"):
			return next, nil
		case next != "":
			at = next
		case strings.Contains(page, `name="prompt" value="login"`):
			form = url.Values{"prompt": {"login"}, "login": {b.user}, "password": {"any"}}
		case strings.Contains(page, `name="prompt" value="consent"`):
			form = url.Values{"prompt": {"consent"}}
		default:
			return "", errors.New("the provider showed a page that is neither login nor consent")
		}
	}
	return "", errors.New("the login pages never came to an end")
}

// request gets the address, or posts the form to it, and returns the address it
// is sent on to, or the page.
func (b *browser) request(ctx context.Context, at string, form url.Values) (next, page string, err error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return "", "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	if location, err := resp.Location(); err == nil {
		return location.String(), "", nil
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("a login page answered with status %d", resp.StatusCode)
	}
	return "", string(content), nil
}

// codeFrom reads the answer that the provider sends to the client.
func codeFrom(redirected, issuer, state string) (secret.Value, error) {
	u, err := url.Parse(redirected)
	if err != nil {
		return secret.Value{}, errors.New("the provider redirected to an address that does not parse")
	}
	answer := u.Query()
	switch {
	case answer.Get("error") != "":
		return secret.Value{}, fmt.Errorf("refused with code %.60q", answer.Get("error"))
	case answer.Get("state") != state:
		return secret.Value{}, errors.New("the answer has another state")
	case answer.Get("iss") != issuer:
		return secret.Value{}, errors.New("the answer names another issuer")
	case answer.Get("code") == "":
		return secret.Value{}, errors.New("the answer has no code")
	}
	return secret.New(answer.Get("code")), nil
}
