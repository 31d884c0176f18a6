package identity

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"

	"github.com/golang-jwt/jwt/v5"
)

// Config is what a Verifier is made of.
type Config struct {
	Document    *Document
	Environment string // the one this deployment serves
	PublicURL   string // https://host, without a trailing slash; base of every resource URL
	HTTP        *http.Client
	KeySets     broker.KeySets
	Sealer      broker.Sealer
	Now         func() time.Time
	// NoCache verifies every token afresh (benchmarks).
	NoCache bool
	// Report, if set, hears of trouble behind a call: an issuer that cannot be
	// reached, a shared key set that cannot be read. It must not block.
	Report func(issuer string, err error)
}

// Verifier turns tokens into principals. It is safe for concurrent use.
type Verifier struct {
	environment string
	publicURL   string
	adminAgents []string
	issuers     []*trusted // of this environment, in the document's order
	byIssuer    map[string]*trusted
	parser      *jwt.Parser
	now         func() time.Time
	results     *cache // nil: no cache
}

// New makes a Verifier for one environment. It asks no issuer yet.
func New(c Config) (*Verifier, error) {
	if c.Document == nil || c.HTTP == nil || c.KeySets == nil || c.Sealer == nil || c.Now == nil {
		return nil, errors.New("identity: document, HTTP client, key sets, sealer and clock are required")
	}
	var bad faults
	checkURL("public URL", c.PublicURL, true, &bad)
	if len(bad) > 0 || strings.HasSuffix(c.PublicURL, "/") {
		return nil, fmt.Errorf("%w public URL: it must be https://host without a trailing slash", broker.ErrInvalid)
	}
	if c.Report == nil {
		c.Report = func(string, error) {}
	}
	v := &Verifier{
		environment: c.Environment, publicURL: c.PublicURL, adminAgents: c.Document.AdminAgents, byIssuer: map[string]*trusted{}, now: c.Now,
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
	}
	if !c.NoCache {
		v.results = newCache(cacheSize)
	}
	fetch := newFetcher(c.HTTP)
	wall := func() time.Time { return c.Now().Round(0) } // a monotonic clock can stand still while a sandbox is frozen
	for n := range c.Document.Issuers {
		i := &c.Document.Issuers[n]
		if !slices.Contains(i.Environments, c.Environment) {
			continue
		}
		t := newTrusted(*i, c.PublicURL, &keyring{
			issuer: i, environment: c.Environment, fetch: fetch, rows: c.KeySets,
			sealer: c.Sealer, now: wall, report: c.Report,
		}, c.Now)
		v.issuers, v.byIssuer[i.Issuer] = append(v.issuers, t), t
	}
	if len(v.issuers) == 0 {
		return nil, fmt.Errorf("%w issuer document: no issuer is good in environment %q", broker.ErrInvalid, c.Environment)
	}
	return v, nil
}

// Verify tells who sent a request to a route. Its errors are ErrMissingToken,
// ErrInvalidToken, ErrInsufficientScope and ErrIssuerUnavailable.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, route broker.Route) (broker.Principal, error) {
	return v.verify(ctx, r, resource{Route: route})
}

func (v *Verifier) verify(ctx context.Context, r *http.Request, to resource) (broker.Principal, error) {
	token, err := bearer(r)
	if err != nil {
		return broker.Principal{}, err
	}
	if v.results == nil {
		judged, err := v.judge(ctx, token, to)
		if err != nil {
			return broker.Principal{}, err
		}
		return judged.principal, nil
	}
	id := idOf(token, to)
	known := v.results.get(id, v.now())
	if known != nil {
		keys, err := known.issuer.keys.current(ctx)
		if err != nil {
			return broker.Principal{}, err
		}
		if keys.has(known.print) {
			return known.own(), nil
		}
	}
	judged, err := v.judge(ctx, token, to)
	if err != nil {
		return broker.Principal{}, err
	}
	v.results.put(id, judged)
	return judged.own(), nil
}

// judgement is one token on its way through the parser.
type judgement struct {
	*Verifier
	ctx    context.Context
	to     resource
	claims claimSet
	issuer *trusted
	key    *publicKey
}

// judge verifies a token. Nothing of its claims is used for an answer before
// the parser has found the signature good.
func (v *Verifier) judge(ctx context.Context, token string, to resource) (*result, error) {
	j := &judgement{Verifier: v, ctx: ctx, to: to}
	if _, err := v.parser.ParseWithClaims(token, &j.claims, j.keyFor); err != nil {
		if j.issuer == nil && errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			return nil, invalid(AlgorithmRefused) // the parser stopped before it asked for a key
		}
		return nil, translate(err)
	}
	p, err := j.issuer.principal(&j.claims)
	if err != nil {
		return nil, err
	}
	if to.admin {
		if err := j.issuer.mayAdminister(&j.claims, p, v.adminAgents); err != nil {
			return nil, err
		}
	}
	return &result{principal: p, issuer: j.issuer, print: j.key.print, until: p.Expires}, nil
}

// keyFor is asked by the parser for the key of a token that is not verified
// yet. It chooses the issuer by the exact iss claim, holds header and claims to
// that issuer's rules, and takes the key from that issuer's set alone.
func (j *judgement) keyFor(t *jwt.Token) (any, error) {
	header, err := headerOf(t.Raw)
	if err != nil {
		return nil, err
	}
	name, _ := j.claims.MapClaims["iss"].(string)
	issuer, ok := j.byIssuer[name]
	if !ok || j.to.Environment != j.environment {
		return nil, invalid(IssuerUnknown)
	}
	j.issuer = issuer
	if err := issuer.checkHeader(header, issuer.TokenTypes); err != nil {
		return nil, err
	}
	if err := issuer.checkClaims(&j.claims, j.to); err != nil {
		return nil, err
	}
	kid, ok := header["kid"].(string)
	if _, present := header["kid"]; present && (!ok || !isText(kid)) {
		return nil, invalid(TokenMalformed)
	}
	if j.key, err = issuer.keys.find(j.ctx, kid, t.Method.Alg()); err != nil {
		return nil, err
	}
	return j.key.public, nil
}

// headerOf decodes the header again, because the parser takes the last of
// duplicate keys.
func headerOf(token string) (map[string]any, error) {
	segment, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, invalid(TokenMalformed)
	}
	header, err := strictObject(raw)
	if err != nil {
		return nil, invalid(TokenMalformed)
	}
	return header, nil
}
