package oauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"bindery/shared/secret"
)

// AuthMethod is how a client authenticates at the token endpoint (RFC 7591, 2;
// RFC 7523).
type AuthMethod string

// The methods known here.
const (
	NoAuth        AuthMethod = "none"
	SecretBasic   AuthMethod = "client_secret_basic"
	SecretPost    AuthMethod = "client_secret_post"
	PrivateKeyJWT AuthMethod = "private_key_jwt"
)

func (m AuthMethod) known() bool {
	return m == NoAuth || m == SecretBasic || m == SecretPost || m == PrivateKeyJWT
}

// Signer signs with a key that stays where it is. The signature has the form
// that JWS wants (RFC 7518, 3): for ES256 the two numbers, 32 bytes each, not
// ASN.1. An error is taken for one that may pass.
type Signer interface {
	Sign(ctx context.Context, signingInput []byte) (signature []byte, err error)
}

// Key is the key of a client that authenticates by private_key_jwt.
type Key struct {
	ID        string // kid; may be empty
	Algorithm string // ES256, RS256 or PS256
	Signer    Signer
	Public    json.RawMessage // its public half (RFC 7517), for what Bindery says of itself
}

// Client is how Bindery is known to one provider: registered beforehand, by the
// address of its metadata document, or dynamically. It belongs to the issuer
// that it was registered with and must never be shown to another.
type Client struct {
	ID     string
	Auth   AuthMethod
	Secret secret.Value // for client_secret_basic and client_secret_post
	Key    Key          // for private_key_jwt
}

func (c Client) fault() string {
	switch {
	case c.ID == "" || len(c.ID) > maxClient || !printable(c.ID):
		return "the client identifier"
	case !c.Auth.known():
		return "the client's way to authenticate"
	case (c.Auth == SecretBasic || c.Auth == SecretPost) && (c.Secret.IsZero() || c.Secret.Len() > maxClient):
		return "the client's secret"
	case c.Auth == PrivateKeyJWT && (c.Key.Signer == nil || !signable(c.Key.Algorithm)):
		return "the client's key"
	}
	return ""
}

func signable(algorithm string) bool {
	return algorithm == "ES256" || algorithm == "RS256" || algorithm == "PS256"
}

// credentials are what x/oauth2 needs to authenticate the client, and what goes
// into the request's body besides.
type credentials struct {
	secret string
	style  oauth2.AuthStyle
	params url.Values
}

func (r *Requester) credentials(ctx context.Context, doing string, p Provider, c Client) (credentials, error) {
	if why := c.fault(); why != "" {
		return credentials{}, fault(doing, ErrInvalid, why)
	}
	switch c.Auth {
	case SecretBasic: // x/oauth2 form-encodes both parts, as RFC 6749, 2.3.1 wants
		return credentials{c.Secret.Reveal(), oauth2.AuthStyleInHeader, nil}, nil
	case SecretPost:
		return credentials{c.Secret.Reveal(), oauth2.AuthStyleInParams, nil}, nil
	case PrivateKeyJWT:
		assertion, err := r.assertion(ctx, doing, p, c)
		if err != nil {
			return credentials{}, err
		}
		return credentials{"", oauth2.AuthStyleInParams, url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion},
		}}, nil
	default:
		return credentials{"", oauth2.AuthStyleInParams, nil}, nil
	}
}

// assertionLife is short: an assertion is made for each request.
const assertionLife = time.Minute

// assertion makes the JWT of private_key_jwt.
func (r *Requester) assertion(ctx context.Context, doing string, p Provider, c Client) (string, error) {
	return r.signed(ctx, doing, p, c, c.ID)
}

// Actor makes the token of an actor (RFC 8693, 2.1) whose own is not at hand:
// the client vouches for them with its key. The provider has to trust it to.
func (r *Requester) Actor(ctx context.Context, p Provider, c Client, actor string) (secret.Value, error) {
	const doing = "vouch for the actor"
	switch {
	case c.fault() != "" || c.Auth != PrivateKeyJWT:
		return secret.Value{}, fault(doing, ErrInvalid, "the client has no key")
	case actor == "" || actor == c.ID || len(actor) > maxClient || !printable(actor): // as the client itself it would log the client in
		return secret.Value{}, fault(doing, ErrInvalid, "the actor")
	}
	token, err := r.signed(ctx, doing, p, c, actor)
	return secret.New(token), err
}

// signed makes a JWT of the client's about a subject. Its audience is the issuer
// alone: a token endpoint can be named by a hostile document, an issuer was
// compared.
func (r *Requester) signed(ctx context.Context, doing string, p Provider, c Client, subject string) (string, error) {
	audience := p.Issuer
	if p.Quirks.AssertionAudience != "" {
		audience = p.Quirks.AssertionAudience
	} else if audience == "" {
		audience = p.TokenURL
	}
	now := r.now()
	header := map[string]any{"alg": c.Key.Algorithm, "typ": "JWT"}
	if c.Key.ID != "" {
		header["kid"] = c.Key.ID
	}
	input, err := signingInput(header, map[string]any{
		"iss": c.ID, "sub": subject, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fault(doing, ErrInvalid, "the client's assertion")
	}
	signature, err := c.Key.Signer.Sign(ctx, []byte(input))
	if err != nil {
		f := fault(doing, ErrTransient, "the client's key could not sign")
		f.cause = ctx.Err()
		return "", f
	}
	if len(signature) == 0 || c.Key.Algorithm == "ES256" && len(signature) != 64 {
		return "", fault(doing, ErrInvalid, "the client's key gave no signature of its algorithm")
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func signingInput(header, claims map[string]any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c), nil
}
