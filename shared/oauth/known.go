package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Known makes of a provider's row what can be asked: the row's own endpoints or
// those that its metadata name, and the client that Bindery is there. A provider
// where clients register themselves is registered with when that is first
// needed; all processes end as the same client. All fields are required, but
// Sign is for private_key_jwt only.
type Known struct {
	Registered broker.Providers
	Sealer     broker.Sealer
	// Secret reads the client's secret of a preregistered client.
	Secret   func(ctx context.Context, p broker.Provider, stores []broker.Store) (secret.Value, error)
	Sign     func(ctx context.Context, key string) (Key, error)
	HTTP     func(networks []netip.Prefix) *http.Client // for a provider or upstream that opens networks
	Redirect func(provider string) string               // where its answers go
	Document func(provider string) string               // where the client's metadata document is
	Now      func() time.Time
	Loopback bool
}

// Party is a provider that can be asked in Bindery's name about one upstream.
type Party struct {
	*Requester
	Provider Provider
	Client   Client
	Resource string // for resource indicators
	// Authority names the party in a grant (broker.Grant).
	Authority string
	life      time.Duration
}

// Find makes a Party. It asks the upstream and the provider for their metadata
// unless the row says it all. With register, a provider that does not know
// Bindery yet is registered with, which changes something there; without it that
// is ErrInvalidClient.
func (k *Known) Find(ctx context.Context, row broker.Provider, server broker.Server, stores []broker.Store, register bool) (Party, error) {
	p := Party{Requester: New(k.HTTP(row.Networks), k.Now, k.Loopback), Resource: server.URL, life: row.Quirks.AccessTokenLife}
	var err error
	if p.Provider, err = k.provider(ctx, &p, row, server); err != nil {
		return Party{}, err
	}
	p.Provider.Quirks = quirksOf(row.Quirks)
	p.Authority = cmp.Or(row.Authority(), p.Provider.Issuer)
	p.Client, err = k.client(ctx, p, row, stores, register)
	return p, err
}

func (k *Known) provider(ctx context.Context, p *Party, row broker.Provider, server broker.Server) (Provider, error) {
	if e := row.Endpoints; e != (broker.Endpoints{}) {
		static := Provider{Issuer: row.Issuer, AuthorizationURL: e.Authorization, TokenURL: e.Token, RevocationURL: e.Revocation, Configured: true}
		return static, p.Check(static)
	}
	if row.Issuer != "" {
		return p.Requester.Provider(ctx, row.Issuer)
	}
	upstream := New(k.HTTP(server.Networks), k.Now, k.Loopback)
	found, err := upstream.Resource(ctx, server.URL, Challenge{})
	if err != nil {
		return Provider{}, err
	}
	p.Resource = found.Resource
	return p.Requester.Provider(ctx, found.Issuers[0])
}

func quirksOf(q broker.Quirks) Quirks {
	return Quirks{Authorize: q.AuthorizationParameters, ScopeSeparator: q.ScopeSeparator, GrantedSeparator: q.GrantedSeparator, ImpliedScopes: q.ImpliedScopes,
		NoResource: q.NoResource, NoScopeOnRefresh: q.NoScopeOnRefresh, NoTokenType: q.NoTokenType, DeadCodes: q.DeadCodes, AssertionAudience: q.AssertionAudience}
}

func (k *Known) client(ctx context.Context, p Party, row broker.Provider, stores []broker.Store, register bool) (Client, error) {
	c := Client{ID: row.ClientID, Auth: AuthMethod(row.ClientAuth)}
	var err error
	if c.Key, err = k.key(ctx, row); err != nil {
		return Client{}, err
	}
	switch row.Registration {
	case broker.MetadataDocument:
		c.ID = k.Document(row.Name)
		return c, nil
	case broker.Dynamic:
		return k.dynamic(ctx, p, row, c, register)
	case broker.Preregistered:
	}
	if c.Auth == SecretBasic || c.Auth == SecretPost {
		c.Secret, err = k.Secret(ctx, row, stores)
	}
	return c, err
}

// key is what signs as the client of a row that authenticates by private_key_jwt.
func (k *Known) key(ctx context.Context, row broker.Provider) (Key, error) {
	if AuthMethod(row.ClientAuth) != PrivateKeyJWT {
		return Key{}, nil
	}
	if k.Sign == nil {
		return Key{}, fault("find the client", ErrInvalid, "no key can sign here")
	}
	return k.Sign(ctx, row.SigningKey)
}

// Describe makes the metadata document of a provider's row. A client with a key
// publishes its public half there.
func (k *Known) Describe(ctx context.Context, row broker.Provider) (Document, error) {
	key, err := k.key(ctx, row)
	if err != nil {
		return Document{}, err
	}
	return NewDocument(k.Document(row.Name), k.metadata(row.Name, AuthMethod(row.ClientAuth), key))
}

// metadata is what Bindery says of itself to a provider.
func (k *Known) metadata(provider string, auth AuthMethod, key Key) Metadata {
	m := Metadata{
		Name: "Bindery", RedirectURIs: []string{k.Redirect(provider)}, Auth: auth, ApplicationType: "web",
		GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
	}
	if len(key.Public) > 0 {
		m.JWKS = slices.Concat([]byte(`{"keys":[`), key.Public, []byte(`]}`))
	}
	return m
}

// early is how long before a client's secret expires it is registered anew.
const early = time.Hour

// dynamic gives the client that was registered with this very issuer: what one
// provider gave is never shown to another.
func (k *Known) dynamic(ctx context.Context, p Party, row broker.Provider, c Client, register bool) (Client, error) {
	known, err := k.Registered.Registered(ctx, row.Environment, row.Name, p.Provider.Issuer)
	fresh := err == nil && (known.Expires.IsZero() || k.Now().Add(early).Before(known.Expires))
	switch {
	case err != nil && !errors.Is(err, broker.ErrNotFound):
		return Client{}, fmt.Errorf("read the registration: %w", err)
	case !fresh && !register && err != nil:
		return Client{}, fault("find the client", ErrInvalidClient, "it is not registered yet")
	case !fresh && register:
		if known, err = k.register(ctx, p, row, c); err != nil {
			return Client{}, err
		}
	}
	text, err := k.Sealer.Open(ctx, registrationContext(known), known.Sealed)
	if err != nil {
		return Client{}, fmt.Errorf("open the registration: %w", err)
	}
	members, err := text.Members()
	if err != nil {
		return Client{}, fmt.Errorf("%w: the registration is not one object", broker.ErrSecretMalformed)
	}
	c.ID, c.Auth, c.Secret = known.ClientID, AuthMethod(members["auth"].Reveal()), members["secret"]
	return c, nil
}

// register registers a client and gives the one that all processes use: another
// may have been faster, and then this one is deleted again.
func (k *Known) register(ctx context.Context, p Party, row broker.Provider, c Client) (broker.Registered, error) {
	made, err := p.Register(ctx, p.Provider, k.metadata(row.Name, c.Auth, c.Key), c.Key)
	if err != nil {
		return broker.Registered{}, err
	}
	now := k.Now().UTC()
	mine := broker.Registered{Environment: row.Environment, Provider: row.Name, Issuer: p.Provider.Issuer,
		ClientID: made.Client.ID, Expires: made.SecretExpires, At: now}
	text, err := json.Marshal(map[string]string{"auth": string(made.Client.Auth), "secret": made.Client.Secret.Reveal(),
		"url": made.URL, "token": made.Token.Reveal()})
	if err != nil {
		return broker.Registered{}, fmt.Errorf("%w: the registration does not encode", broker.ErrSecretMalformed)
	}
	if mine.Sealed, err = k.Sealer.Seal(ctx, registrationContext(mine), secret.New(string(text))); err != nil {
		return broker.Registered{}, fmt.Errorf("seal the registration: %w", err)
	}
	kept, err := k.Registered.AddRegistered(ctx, mine, now)
	if err != nil {
		return broker.Registered{}, fmt.Errorf("store the registration: %w", err)
	}
	if kept.ClientID != mine.ClientID && made.URL != "" {
		_ = p.Unregister(ctx, made) // one client too many harms nobody
	}
	return kept, nil
}

func registrationContext(r broker.Registered) broker.SealContext {
	return broker.SealContext{Environment: r.Environment, Purpose: "registration", ID: broker.Digest("registration", r.Provider, r.Issuer)}
}

// defaultLife is how long an access token is taken to live where nobody says.
const defaultLife = time.Hour

// Lives gives the end of a token's life, where the provider does not say it.
func (p Party) Lives(t Token, now time.Time) time.Time {
	switch {
	case !t.Expires.IsZero():
		return t.Expires
	case p.life > 0:
		return now.Add(p.life)
	}
	return now.Add(defaultLife)
}

// Same names what must not change between the request for consent and its
// answer: whom a code may be shown to, and as whom.
func (p Party) Same() string {
	return broker.Digest("party", p.Provider.Issuer, p.Provider.AuthorizationURL, p.Provider.TokenURL, p.Client.ID, p.Resource)
}

// RevokeAll ends what a provider issued: the refresh token where there is one,
// because it takes the rest with it, else the access token.
func (p Party) RevokeAll(ctx context.Context, access, refresh secret.Value) error {
	if refresh.IsZero() {
		return p.Revoke(ctx, p.Provider, p.Client, access, AccessToken)
	}
	return p.Revoke(ctx, p.Provider, p.Client, refresh, RefreshToken)
}

// Lacking lists what was asked for and not granted.
func Lacking(asked, granted []string) []string {
	return slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return slices.Contains(granted, s) })
}
