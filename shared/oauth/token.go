package oauth

import (
	"context"
	"maps"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"bindery/shared/secret"
)

// Token is what a provider issued.
type Token struct {
	Access  secret.Value
	Refresh secret.Value // zero: the provider sent none, and one that was used to get this is still the one
	Type    string       // "Bearer"; "N_A" for what is not an access token (RFC 8693)
	Scopes  []string     // granted; those asked for, if the provider named none
	Expires time.Time    // zero: the provider did not say
	ID      secret.Value // the ID token (OpenID Connect), if there is one; nobody has verified it
}

// Code is an authorization code with what belongs to its request.
type Code struct {
	Code        secret.Value
	Verifier    secret.Value
	RedirectURL string
	Resource    string
	Scopes      []string // those asked for; not sent again
}

// ExchangeCode redeems a code. ErrOutcomeUnknown means that the code is used up
// and its tokens are lost.
func (r *Requester) ExchangeCode(ctx context.Context, p Provider, c Client, in Code) (Token, error) {
	const doing = "exchange the code"
	if in.Code.IsZero() || in.Verifier.IsZero() || in.RedirectURL == "" {
		return Token{}, fault(doing, ErrInvalid, "code, verifier or redirect")
	}
	return r.call(ctx, doing, p, c, expected{scopes: in.Scopes}, func(ctx context.Context, how credentials) (*oauth2.Token, error) {
		config := oauth2.Config{
			ClientID: c.ID, ClientSecret: how.secret, RedirectURL: in.RedirectURL,
			Endpoint: oauth2.Endpoint{TokenURL: p.TokenURL, AuthStyle: how.style},
		}
		options := []oauth2.AuthCodeOption{oauth2.VerifierOption(in.Verifier.Reveal())}
		for name := range how.params {
			options = append(options, oauth2.SetAuthURLParam(name, how.params.Get(name)))
		}
		if in.Resource != "" && !p.Quirks.NoResource {
			options = append(options, oauth2.SetAuthURLParam("resource", in.Resource))
		}
		return config.Exchange(ctx, in.Code.Reveal(), options...)
	})
}

// Refresh gets a new access token, and perhaps a new refresh token. Scopes are
// those of the grant: they are sent unless a quirk forbids it, and bound what
// comes back. With a provider that rotates, ErrOutcomeUnknown means that the
// refresh token may be used up: it must not be sent again.
func (r *Requester) Refresh(ctx context.Context, p Provider, c Client, refresh secret.Value, resource string, scopes []string) (Token, error) {
	const doing = "refresh the token"
	if refresh.IsZero() || refresh.Len() > maxToken {
		return Token{}, fault(doing, ErrInvalid, "the refresh token")
	}
	params := target(p, resource, "", scopes)
	if p.Quirks.NoScopeOnRefresh {
		delete(params, "scope")
	}
	params.Set("grant_type", "refresh_token")
	params.Set("refresh_token", refresh.Reveal())
	return r.post(ctx, doing, p, c, expected{scopes: scopes}, params)
}

// ClientCredentials gets a token for the client itself (RFC 6749, 4.4). Audience
// is what some providers want in place of a resource.
func (r *Requester) ClientCredentials(ctx context.Context, p Provider, c Client, resource, audience string, scopes []string) (Token, error) {
	params := target(p, resource, audience, scopes)
	params.Set("grant_type", "client_credentials")
	return r.post(ctx, "get a token for the client", p, c, expected{scopes: scopes}, params)
}

// Token types of RFC 8693, 3, and of the identity assertion grant.
const (
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token" // #nosec G101 -- a name of the standard
	TypeIDToken     = "urn:ietf:params:oauth:token-type:id_token"     // #nosec G101 -- a name of the standard
	TypeJWT         = "urn:ietf:params:oauth:token-type:jwt"          // #nosec G101 -- a name of the standard
	TypeIDJAG       = "urn:ietf:params:oauth:token-type:id-jag"       // #nosec G101 -- a name of the draft
)

// Exchange is a token exchange (RFC 8693): the subject's token, and with an
// actor's token the one who acts for them.
type Exchange struct {
	Subject     secret.Value
	SubjectType string
	Actor       secret.Value // may be zero
	ActorType   string
	Requested   string // the type of token wanted; "" is an access token, and is not sent
	Resource    string
	Audience    string
	Scopes      []string
}

// ExchangeToken makes a token exchange. What is issued must be of the type that
// was asked for.
func (r *Requester) ExchangeToken(ctx context.Context, p Provider, c Client, in Exchange) (Token, error) {
	const doing = "exchange the token"
	if in.Subject.IsZero() || in.SubjectType == "" || in.Actor.IsZero() != (in.ActorType == "") {
		return Token{}, fault(doing, ErrInvalid, "subject or actor token")
	}
	params := target(p, in.Resource, in.Audience, in.Scopes)
	params.Set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
	params.Set("subject_token", in.Subject.Reveal())
	params.Set("subject_token_type", in.SubjectType)
	if !in.Actor.IsZero() {
		params.Set("actor_token", in.Actor.Reveal())
		params.Set("actor_token_type", in.ActorType)
	}
	want := expected{scopes: in.Scopes, issued: TypeAccessToken}
	if in.Requested != "" {
		params.Set("requested_token_type", in.Requested)
		want.issued = in.Requested
	}
	return r.post(ctx, doing, p, c, want, params)
}

// JWTBearer redeems a JWT as an authorization grant (RFC 7523, 2.1).
func (r *Requester) JWTBearer(ctx context.Context, p Provider, c Client, assertion secret.Value, resource string, scopes []string) (Token, error) {
	const doing = "redeem the assertion"
	if assertion.IsZero() || assertion.Len() > maxToken {
		return Token{}, fault(doing, ErrInvalid, "the assertion")
	}
	params := target(p, resource, "", scopes)
	params.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
	params.Set("assertion", assertion.Reveal())
	return r.post(ctx, doing, p, c, expected{scopes: scopes}, params)
}

// target is what a token is for.
func target(p Provider, resource, audience string, scopes []string) url.Values {
	params := url.Values{}
	if resource != "" && !p.Quirks.NoResource {
		params.Set("resource", resource)
	}
	if audience != "" {
		params.Set("audience", audience)
	}
	if len(scopes) > 0 {
		params.Set("scope", p.Quirks.joinScopes(scopes))
	}
	return params
}

// post makes every token request but the exchange of a code. It is x/oauth2's
// client credentials with another grant type: the library's own refresh can
// carry neither resource nor scope nor an assertion, and it has no exported
// token exchange.
func (r *Requester) post(ctx context.Context, doing string, p Provider, c Client, want expected, params url.Values) (Token, error) {
	return r.call(ctx, doing, p, c, want, func(ctx context.Context, how credentials) (*oauth2.Token, error) {
		maps.Copy(params, how.params)
		config := clientcredentials.Config{
			ClientID: c.ID, ClientSecret: how.secret, TokenURL: p.TokenURL, AuthStyle: how.style, EndpointParams: params,
		}
		return config.Token(ctx)
	})
}

// call makes one token request. The library gets an HTTP client whose transport
// is the reader: it sees no byte that was not checked, and its errors, which
// print bodies and addresses, are dropped for the reader's.
func (r *Requester) call(ctx context.Context, doing string, p Provider, c Client, want expected,
	request func(context.Context, credentials) (*oauth2.Token, error),
) (Token, error) {
	if why := r.endpoints(p); why != "" {
		return Token{}, fault(doing, ErrMetadata, why)
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	how, err := r.credentials(ctx, doing, p, c)
	if err != nil {
		return Token{}, err
	}
	reader := &reader{requester: r, doing: doing, quirks: p.Quirks, want: want}
	client := *r.http
	client.Transport = reader
	token, err := request(context.WithValue(ctx, oauth2.HTTPClient, &client), how)
	switch {
	case reader.fault != nil:
		return Token{}, reader.fault
	case err != nil || token == nil || reader.token.Access.IsZero():
		return Token{}, fault(doing, ErrOutcomeUnknown, "the request could not be followed")
	}
	got := reader.token
	if got.Access = secret.New(token.AccessToken); p.Quirks.wider(got.Scopes, want.scopes) {
		return got, fault(doing, ErrWiderScope, "")
	}
	return got, nil
}
