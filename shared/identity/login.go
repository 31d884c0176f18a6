package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"

	"github.com/golang-jwt/jwt/v5"
)

// Login is how an issuer's people log in at Bindery's connect page: Bindery as
// an OpenID Connect client of the issuer.
type Login struct {
	ClientID string `json:"client_id"`
	// ClientAuth: none, client_secret_basic or client_secret_post. Default: none.
	ClientAuth broker.ClientAuth `json:"client_auth,omitempty"`
	// ClientSecret is the reference of the client's secret, never the secret.
	ClientSecret string `json:"client_secret,omitempty"`
	// Scopes asked for; openid must be among them. Default: openid.
	Scopes []string `json:"scopes,omitempty"`
}

func (l *Login) setDefaults() {
	if l == nil {
		return
	}
	if l.ClientAuth == "" {
		l.ClientAuth = broker.ClientNone
	}
	defaultTo(&l.Scopes, "openid")
}

// Secret is the parsed reference of the client's secret; zero for a public client.
func (l *Login) Secret() broker.Reference {
	r, err := broker.ParseReference(l.ClientSecret)
	if err != nil { // Parse has refused any but an empty one
		return broker.Reference{}
	}
	return r
}

func (i *Issuer) checkLogin(at string, f *faults) {
	l := i.Login
	if l == nil {
		return
	}
	if i.Kind != broker.User {
		f.add(at, "people log in at an issuer of kind user")
	}
	if !isText(l.ClientID) {
		f.add(at+".client_id", "it is required")
	}
	switch l.ClientAuth {
	case broker.ClientNone:
		if l.ClientSecret != "" {
			f.add(at+".client_secret", "a client that authenticates by none has no secret")
		}
	case broker.ClientSecretBasic, broker.ClientSecretPost:
		if _, err := broker.ParseReference(l.ClientSecret); err != nil {
			f.add(at+".client_secret", "it must be a reference by name, as in aws-sm:prod/login#secret, and never the secret itself")
		}
	default:
		f.add(at+".client_auth", "it must be none, client_secret_basic or client_secret_post")
	}
	if !slices.Contains(l.Scopes, "openid") {
		f.add(at+".scopes", "openid must be among them")
	}
	f.addErr(at+".scopes", broker.CheckScopes(l.Scopes))
}

// LoginOf gives the entry of an issuer of this environment where people log in.
func (v *Verifier) LoginOf(issuer string) (Issuer, bool) {
	t := v.byIssuer[issuer]
	if t == nil || t.Login == nil {
		return Issuer{}, false
	}
	return t.Issuer, true
}

// maxLoginAge is how old an ID token may be: it comes straight from the issuer.
const maxLoginAge = 10 * time.Minute

// VerifyLogin tells who logged in, from the ID token that the issuer's token
// endpoint gave to a client. It is held to the issuer's entry as an access token
// is, its principal claims included, so that a person has the same id in both.
// Nonce is the one that was sent with the request; empty: none was. Its errors
// are ErrInvalidToken and ErrIssuerUnavailable.
func (v *Verifier) VerifyLogin(ctx context.Context, issuer, client string, token secret.Value, nonce string) (broker.Principal, error) {
	if token.Len() > MaxToken || strings.ContainsFunc(token.Reveal(), notToken) {
		return broker.Principal{}, invalid(TokenMalformed)
	}
	l := login{Verifier: v, ctx: ctx, client: client, nonce: nonce, issuer: v.byIssuer[issuer]}
	if l.issuer == nil || l.issuer.Kind != broker.User {
		return broker.Principal{}, invalid(IssuerUnknown)
	}
	if _, err := v.parser.ParseWithClaims(token.Reveal(), &l.claims, l.keyFor); err != nil {
		if errors.Is(err, jwt.ErrTokenSignatureInvalid) && !l.asked {
			return broker.Principal{}, invalid(AlgorithmRefused)
		}
		return broker.Principal{}, translate(err)
	}
	return l.person()
}

// login is one ID token on its way through the parser.
type login struct {
	*Verifier
	ctx           context.Context
	client, nonce string
	issuer        *trusted
	claims        claimSet
	asked         bool
}

// keyFor is asked by the parser for the key of an ID token that is not verified
// yet. The issuer is the one where the person was sent, whatever the token says.
func (l *login) keyFor(t *jwt.Token) (any, error) {
	l.asked = true
	header, err := headerOf(t.Raw)
	if err != nil {
		return nil, err
	}
	if name, _ := l.claims.MapClaims["iss"].(string); name != l.issuer.Issuer.Issuer {
		return nil, invalid(IssuerUnknown)
	}
	if err := l.issuer.checkHeader(header, []string{"", "JWT"}); err != nil {
		return nil, err
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	kid, ok := header["kid"].(string)
	if _, present := header["kid"]; present && (!ok || !isText(kid)) {
		return nil, invalid(TokenMalformed)
	}
	key, err := l.issuer.keys.find(l.ctx, kid, t.Method.Alg())
	if err != nil {
		return nil, err
	}
	return key.public, nil
}

// check holds the claims to OpenID Connect Core, 3.1.3.7.
func (l *login) check() error {
	c, t := &l.claims, l.issuer
	audiences, err := c.texts(path{"aud"}, maxScopes)
	party, partyErr := c.text(path{"azp"})
	switch {
	case err != nil || partyErr != nil || !slices.Contains(audiences, l.client),
		party != "" && party != l.client, len(audiences) > 1 && party == "":
		return invalid(AudienceWrong)
	case c.MapClaims["token_use"] != nil && c.MapClaims["token_use"] != "id":
		return invalid(TypeRefused)
	}
	if err := t.times.Validate(c); err != nil {
		return translateTimes(err)
	}
	issued, err := c.GetIssuedAt()
	switch {
	case err != nil || issued == nil:
		return invalid(IssueTimeMissing)
	case t.now().Sub(issued.Time) > maxLoginAge+time.Duration(t.ClockSkew):
		return invalid(TokenTooOld)
	}
	for s, p := range t.required {
		if c.lookup(p) != any(t.Require[s]) {
			return invalid(RequirementUnmet)
		}
	}
	if nonce, _ := c.MapClaims["nonce"].(string); l.nonce != "" && subtle.ConstantTimeCompare([]byte(nonce), []byte(l.nonce)) != 1 {
		return invalid(NonceWrong)
	}
	return nil
}

// person reads who logged in from verified claims.
func (l *login) person() (broker.Principal, error) {
	c, t := &l.claims, l.issuer
	p := broker.Principal{Kind: broker.User, Issuer: t.Issuer.Issuer, Email: t.believedEmail(c), Expires: t.expires(c)}
	var err error
	if p.Subject, err = c.text(path{"sub"}); err != nil {
		return p, err
	}
	if p.Subject == "" {
		return p, invalid(ClaimMissing)
	}
	p.ID, err = t.personID(c)
	return p, err
}
