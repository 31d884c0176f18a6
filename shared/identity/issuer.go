package identity

import (
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// trusted is an issuer of the document, ready to judge tokens.
type trusted struct {
	Issuer
	publicURL  string // base of every resource URL
	keys       *keyring
	times      *jwt.Validator
	now        func() time.Time
	required   map[string]path
	principals []path
	email      path
	groups     path
	clients    []path
	actors     []path
	person     []path
	attributes map[string]path
}

func newTrusted(i Issuer, publicURL string, keys *keyring, now func() time.Time) *trusted {
	t := &trusted{
		Issuer: i, publicURL: publicURL, keys: keys, now: now,
		times: jwt.NewValidator(jwt.WithTimeFunc(now), jwt.WithLeeway(time.Duration(i.ClockSkew)),
			jwt.WithIssuedAt(), jwt.WithExpirationRequired()),
		principals: newPaths(i.Claims.Principal), person: newPaths(i.Claims.Person),
		required: map[string]path{}, attributes: map[string]path{},
	}
	for _, s := range i.Claims.Agent {
		switch p := newPath(s); {
		case p[0] != "act":
			t.clients = append(t.clients, p)
		case i.ActTrusted:
			t.actors = append(t.actors, p)
		}
	}
	for s := range i.Require {
		t.required[s] = newPath(s)
	}
	for name, s := range i.Claims.Attributes {
		t.attributes[name] = newPath(s)
	}
	if i.Claims.Email != "" {
		t.email = newPath(i.Claims.Email)
	}
	if i.Claims.Groups != "" {
		t.groups = newPath(i.Claims.Groups)
	}
	return t
}

// checkHeader refuses headers that would choose the key, the rules or the type.
func (t *trusted) checkHeader(header map[string]any, types []string) error {
	for _, name := range []string{"crit", "jku", "jwk", "x5u", "x5c", "b64"} {
		if _, ok := header[name]; ok {
			return invalid(HeaderForbidden)
		}
	}
	typ, ok := header["typ"].(string)
	if _, present := header["typ"]; present && (!ok || typ == "") {
		return invalid(TypeRefused)
	}
	if !slices.ContainsFunc(types, func(s string) bool { return strings.EqualFold(s, typ) }) {
		return invalid(TypeRefused)
	}
	if alg, ok := header["alg"].(string); !ok || !slices.Contains(t.Algorithms, alg) {
		return invalid(AlgorithmRefused)
	}
	return nil
}

// checkClaims holds the claims to everything that needs no key. It comes
// before the key is looked up, so that a token that could never be good costs
// the issuer no request.
func (t *trusted) checkClaims(c *claimSet, to resource) error {
	if !t.opens(c, to) {
		return invalid(AudienceWrong)
	}
	if err := t.times.Validate(c); err != nil {
		return translateTimes(err)
	}
	if t.MaxAge > 0 {
		issued, err := c.GetIssuedAt()
		switch {
		case err != nil || issued == nil:
			return invalid(IssueTimeMissing)
		case t.now().Sub(issued.Time) > time.Duration(t.MaxAge)+time.Duration(t.ClockSkew):
			return invalid(TokenTooOld)
		}
	}
	for s, p := range t.required {
		if c.lookup(p) != any(t.Require[s]) {
			return invalid(RequirementUnmet)
		}
	}
	return c.accessToken()
}

// expires is when a token stops being good, without tolerance.
func (t *trusted) expires(c *claimSet) time.Time {
	exp, err := c.GetExpirationTime()
	if err != nil || exp == nil {
		return time.Time{}
	}
	end := exp.Time
	if issued, err := c.GetIssuedAt(); t.MaxAge > 0 && err == nil && issued != nil {
		if old := issued.Add(time.Duration(t.MaxAge)); old.Before(end) {
			end = old
		}
	}
	return end
}
