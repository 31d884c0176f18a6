package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/secret"
)

const granted = `{"access_token":"made-up-access","token_type":"bearer","expires_in":3600,"refresh_token":"made-up-next","scope":"read write","id_token":7}`

// plain is a token in clear, for comparing.
type plain struct {
	Access, Refresh, Type string
	Scopes                []string
	Expires               time.Time
}

func inClear(t Token) plain {
	return plain{t.Access.Reveal(), t.Refresh.Reveal(), t.Type, t.Scopes, t.Expires}
}

func TestEveryTokenRequest(t *testing.T) {
	for name, c := range map[string]struct {
		call func(context.Context, *Requester, Provider) (Token, error)
		want url.Values
	}{
		"code": {func(ctx context.Context, r *Requester, p Provider) (Token, error) {
			return r.ExchangeCode(ctx, p, publicClient(), Code{Code: secret.New(madeUpCode), Verifier: secret.New("made-up-verifier"),
				RedirectURL: "https://bindery.example/callback", Resource: "https://up.example/mcp", Scopes: []string{"read", "write"}})
		}, url.Values{"grant_type": {"authorization_code"}, "code": {madeUpCode}, "code_verifier": {"made-up-verifier"}, "client_id": {"broker"},
			"redirect_uri": {"https://bindery.example/callback"}, "resource": {"https://up.example/mcp"}}},
		"refresh": {func(ctx context.Context, r *Requester, p Provider) (Token, error) {
			return r.Refresh(ctx, p, publicClient(), secret.New(madeUpRefresh), "https://up.example/mcp", []string{"read", "write"})
		}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {madeUpRefresh}, "client_id": {"broker"},
			"resource": {"https://up.example/mcp"}, "scope": {"read write"}}},
		"client credentials": {func(ctx context.Context, r *Requester, p Provider) (Token, error) {
			return r.ClientCredentials(ctx, p, publicClient(), "", "up", []string{"read", "write"})
		}, url.Values{"grant_type": {"client_credentials"}, "client_id": {"broker"}, "audience": {"up"}, "scope": {"read write"}}},
		"assertion": {func(ctx context.Context, r *Requester, p Provider) (Token, error) {
			return r.JWTBearer(ctx, p, publicClient(), secret.New("made-up-assertion"), "https://up.example/mcp", nil)
		}, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"made-up-assertion"},
			"client_id": {"broker"}, "resource": {"https://up.example/mcp"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, says(200, granted))
			got, err := c.call(t.Context(), requester(), p.configured())
			if err != nil {
				t.Fatal(err)
			}
			want := plain{"made-up-access", "made-up-next", "Bearer", []string{"read", "write"}, clock.Add(time.Hour)}
			if diff := cmp.Diff(want, inClear(got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.want, p.requests()[0].form); diff != "" {
				t.Errorf("the request (-want +got):\n%s", diff)
			}
			if !p.requests()[0].closes {
				t.Error("the connection is kept, and a stale one looks like a lost answer")
			}
		})
	}
}

func TestTokenExchangeHoldsTheProviderToTheTypeItWasAskedFor(t *testing.T) {
	ask := Exchange{Subject: secret.New("made-up-subject"), SubjectType: TypeAccessToken, Actor: secret.New("made-up-actor"), ActorType: TypeJWT,
		Resource: "https://up.example/mcp", Audience: "up", Scopes: []string{"read"}}
	for name, c := range map[string]struct {
		requested, body string
		kind            error
	}{
		"access token": {"", `{"access_token":"a","token_type":"Bearer","issued_token_type":"` + TypeAccessToken + `"}`, nil},
		"assertion":    {TypeIDJAG, `{"access_token":"a","token_type":"N_A","issued_token_type":"` + TypeIDJAG + `"}`, nil},
		"other type":   {"", `{"access_token":"a","token_type":"Bearer","issued_token_type":"` + TypeIDToken + `"}`, ErrOutcomeUnknown},
		"no type":      {"", `{"access_token":"a","token_type":"Bearer"}`, ErrOutcomeUnknown},
		"no bearer":    {"", `{"access_token":"a","token_type":"N_A","issued_token_type":"` + TypeAccessToken + `"}`, ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, says(200, c.body))
			ask.Requested = c.requested
			_, err := requester().ExchangeToken(t.Context(), p.configured(), basicClient(), ask)
			if c.kind != nil {
				wantKind(t, err, c.kind)
			} else if err != nil {
				t.Error(err)
			}
			want := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"made-up-subject"},
				"subject_token_type": {TypeAccessToken}, "actor_token": {"made-up-actor"}, "actor_token_type": {TypeJWT},
				"resource": {"https://up.example/mcp"}, "audience": {"up"}, "scope": {"read"}}
			if c.requested != "" {
				want.Set("requested_token_type", c.requested)
			}
			if diff := cmp.Diff(want, p.requests()[0].form); diff != "" {
				t.Errorf("the request (-want +got):\n%s", diff)
			}
		})
	}
	ask.ActorType = ""
	_, err := requester().ExchangeToken(t.Context(), (&provider{Server: newProvider(t, says(200, "{}")).Server}).configured(), basicClient(), ask)
	wantKind(t, err, ErrInvalid)
}

func TestClientsAuthenticate(t *testing.T) {
	signer := newSigner(t)
	keyed := Client{ID: "broker", Auth: PrivateKeyJWT, Key: Key{ID: "key-1", Algorithm: "ES256", Signer: signer}}
	post := Client{ID: "broker", Auth: SecretPost, Secret: secret.New(madeUpSecret)}
	for name, c := range map[string]Client{"none": publicClient(), "basic": basicClient(), "post": post, "key": keyed} {
		for _, act := range []string{"token", "revoke"} {
			t.Run(name+" "+act, func(t *testing.T) {
				p := newProvider(t, says(200, granted))
				var err error
				if act == "token" {
					_, err = requester().ClientCredentials(t.Context(), p.configured(), c, "", "", nil)
				} else {
					err = requester().Revoke(t.Context(), p.configured(), c, secret.New(madeUpRefresh), RefreshToken)
				}
				if err != nil {
					t.Fatal(err)
				}
				authenticated(t, c, p, signer)
			})
		}
	}
}

func authenticated(t *testing.T, c Client, p *provider, signer ecSigner) {
	t.Helper()
	got := p.requests()[0]
	user, password, basic := (&http.Request{Header: got.header}).BasicAuth()
	if basic != (c.Auth == SecretBasic) {
		t.Fatalf("basic authentication: %t", basic)
	}
	switch c.Auth {
	case SecretBasic: // RFC 6749, 2.3.1: form-encoded, then joined
		if user != "broker%3A%26%2B+%25" || password != "made-up-client-secret%3A%26%2B+%25" {
			t.Errorf("sent %q and %q", user, password)
		}
		if got.form.Has("client_id") || got.form.Has("client_secret") {
			t.Error("the credentials are in the body too")
		}
	case SecretPost:
		if got.form.Get("client_id") != "broker" || got.form.Get("client_secret") != madeUpSecret {
			t.Error("the credentials are not in the body")
		}
	case PrivateKeyJWT:
		if got.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || got.form.Has("client_secret") {
			t.Error("not an assertion of RFC 7523")
		}
		parsed, err := jwt.Parse(got.form.Get("client_assertion"), func(*jwt.Token) (any, error) { return signer.Public(), nil },
			jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer("broker"), jwt.WithSubject("broker"), jwt.WithAudience(p.URL),
			jwt.WithTimeFunc(func() time.Time { return clock }), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
		if err != nil || parsed.Header["kid"] != "key-1" {
			t.Errorf("the assertion: %v, %v", err, parsed.Header)
		}
	case NoAuth:
		if got.form.Get("client_id") != "broker" || got.form.Has("client_secret") || got.form.Has("client_assertion") {
			t.Errorf("a public client sent %v", got.form)
		}
	}
}

func TestAKeyThatCannotSignIsNoRefusal(t *testing.T) {
	p := newProvider(t, says(200, granted))
	c := Client{ID: "broker", Auth: PrivateKeyJWT, Key: Key{Algorithm: "ES256", Signer: ecSigner{err: errors.New(planted)}}}
	_, err := requester().ClientCredentials(t.Context(), p.configured(), c, "", "", nil)
	wantKind(t, err, ErrTransient)
	if len(p.requests()) != 0 {
		t.Error("the provider was asked")
	}
	for _, bad := range []Client{
		{}, {ID: "a\nb", Auth: NoAuth}, {ID: "a", Auth: "client_secret_jwt"}, {ID: "a", Auth: SecretBasic},
		{ID: "a", Auth: PrivateKeyJWT}, {ID: "a", Auth: PrivateKeyJWT, Key: Key{Algorithm: "none", Signer: newSigner(t)}},
	} {
		_, err := requester().ClientCredentials(t.Context(), p.configured(), bad, "", "", nil)
		wantKind(t, err, ErrInvalid)
	}
}

func TestARefreshWithoutANewRefreshTokenKeepsTheOld(t *testing.T) {
	p := newProvider(t, says(200, `{"access_token":"a","token_type":"Bearer"}`))
	got, err := requester().Refresh(t.Context(), p.configured(), publicClient(), secret.New(madeUpRefresh), "", []string{"read"})
	if err != nil || !got.Refresh.IsZero() || !got.Expires.IsZero() || !slices.Equal(got.Scopes, []string{"read"}) {
		t.Errorf("got %v, %v: a refresh token that nobody sent, a life that nobody told, or other scopes than the grant's", inClear(got), err)
	}
}

func TestAWiderScopeComesWithItsTokensToRevoke(t *testing.T) {
	p := newProvider(t, says(200, granted))
	got, err := requester().Refresh(t.Context(), p.configured(), publicClient(), secret.New(madeUpRefresh), "", []string{"read"})
	wantKind(t, err, ErrWiderScope)
	if got.Refresh.Reveal() != "made-up-next" || got.Access.IsZero() {
		t.Error("the tokens that exist at the provider are lost")
	}
	with := p.configured()
	with.Quirks.ImpliedScopes = []string{"write"}
	if _, err := requester().Refresh(t.Context(), with, publicClient(), secret.New(madeUpRefresh), "", []string{"read"}); err != nil {
		t.Error(err)
	}
}

func TestQuirksOfTokenRequests(t *testing.T) {
	p := newProvider(t, says(200, `{"access_token":"a","scope":"read,write"}`))
	with := p.configured()
	with.Quirks = Quirks{ScopeSeparator: ",", NoResource: true, NoScopeOnRefresh: true, NoTokenType: true}
	got, err := requester().Refresh(t.Context(), with, publicClient(), secret.New(madeUpRefresh), "https://up.example", []string{"read", "write"})
	if err != nil || !slices.Equal(got.Scopes, []string{"read", "write"}) || got.Type != "Bearer" {
		t.Errorf("%v, %v", inClear(got), err)
	}
	if form := p.requests()[0].form; form.Has("scope") || form.Has("resource") {
		t.Errorf("sent %v", form)
	}
	if _, err := requester().ClientCredentials(t.Context(), with, publicClient(), "https://up.example", "", []string{"read", "write"}); err != nil {
		t.Fatal(err)
	}
	if form := p.requests()[1].form; form.Get("scope") != "read,write" {
		t.Errorf("sent %v", form)
	}
	with.Quirks = Quirks{NoTokenType: true, GrantedSeparator: ","}
	if got, err := requester().ClientCredentials(t.Context(), with, publicClient(), "", "", []string{"read", "write"}); err != nil || len(got.Scopes) != 2 {
		t.Errorf("%v, %v", inClear(got), err)
	}
}
