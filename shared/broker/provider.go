package broker

import (
	"context"
	"net/netip"
	"strings"
	"time"
)

// Provider is an authorization server (RFC 6749) that issues tokens for
// upstreams, and how Bindery is registered there. It never holds a secret.
type Provider struct {
	Environment string
	Name        string
	Version     int64
	State       State
	// Issuer is its issuer identifier (RFC 8414). Empty: the upstream's own
	// metadata names it (RFC 9728), or Endpoints say all there is to know.
	Issuer       string
	Endpoints    Endpoints // of a provider without metadata; all empty: they are discovered
	Registration RegistrationKind
	ClientID     string // preregistered only
	ClientSecret Reference
	ClientAuth   ClientAuth
	SigningKey   string // ARN of the KMS key that signs for private_key_jwt
	Quirks       Quirks
	Networks     []netip.Prefix // private ranges opened for this provider
}

// Authority names the authorization server that the row itself names: by its
// issuer, or, where endpoints are configured, by a digest of the one that issues
// tokens. Empty: the upstream's metadata name it.
func (p Provider) Authority() string {
	if p.Endpoints != (Endpoints{}) {
		return Digest("token endpoint", p.Endpoints.Token)
	}
	return p.Issuer
}

// Of gives the provider as the party that issued a grant's tokens, and whether
// it still is that party: nobody else may see them. Where the upstream's
// metadata name the authorization server, it remains the one they named when the
// person agreed, since an upstream could name itself at any time. A grant that
// does not say is the party's only where the row names it.
func (p Provider) Of(g Grant) (Provider, bool) {
	named := p.Authority()
	if named == "" {
		p.Issuer = g.Authority
		return p, strings.Contains(g.Authority, "://")
	}
	return p, g.Authority == "" || g.Authority == named
}

// Endpoints are the addresses of a provider, each https.
type Endpoints struct {
	Authorization string
	Token         string
	Revocation    string
}

// RegistrationKind is how Bindery came to be a client of a provider.
type RegistrationKind string

// The ways of being registered.
const (
	Preregistered    RegistrationKind = "preregistered"
	MetadataDocument RegistrationKind = "metadata_document" // the client id is the URL of a document that Bindery serves
	Dynamic          RegistrationKind = "dynamic"           // RFC 7591
)

// ClientAuth is how Bindery authenticates at a token endpoint.
type ClientAuth string

// The ways of authenticating (RFC 6749, RFC 7523).
const (
	ClientNone          ClientAuth = "none"
	ClientSecretBasic   ClientAuth = "client_secret_basic"
	ClientSecretPost    ClientAuth = "client_secret_post"
	ClientPrivateKeyJWT ClientAuth = "private_key_jwt"
)

// Quirks say where a provider differs from the specifications.
type Quirks struct {
	AuthorizationParameters map[string]string // added to the authorization request, as in access_type=offline
	ScopeSeparator          string            // between scopes in requests; empty: a space
	GrantedSeparator        string            // between scopes in answers; empty: as in requests
	ImpliedScopes           []string          // granted besides those asked for, or by another name
	NoResource              bool              // it refuses the resource parameter (RFC 8707)
	NoScopeOnRefresh        bool              // it refuses scopes in a refresh
	NoTokenType             bool              // its answers have no token_type
	DeadCodes               []string          // further error codes that mean invalid_grant
	AssertionAudience       string            // of private_key_jwt; empty: the issuer, or the token endpoint if there is none
	AccessTokenLife         time.Duration     // where its answers have no expires_in; 0: an hour
}

// Registered is what a dynamic registration gave. The sealed text holds the
// client secret and the means to change the registration (RFC 7592).
type Registered struct {
	Environment string
	Provider    string
	Issuer      string
	ClientID    string
	Sealed      []byte
	Expires     time.Time // of the secret; zero: never
	At          time.Time
}

// Providers keeps providers by the rules of CatalogueWriter and
// CatalogueReader, and what dynamic registration gave. Registered fails with
// ErrNotFound where there never was a registration, and gives one that has expired.
// AddRegistered stores a registration unless the provider has one for that issuer
// that has not expired, and gives the one that the provider has afterwards: all
// processes end as the same client.
type Providers interface {
	PutProvider(ctx context.Context, p Provider) error
	Provider(ctx context.Context, environment, name string) (Provider, error)
	Providers(ctx context.Context, environment string, p Page) ([]Provider, error)
	Registered(ctx context.Context, environment, provider, issuer string) (Registered, error)
	AddRegistered(ctx context.Context, r Registered, now time.Time) (Registered, error)
}
