package dynamo

import (
	"fmt"
	"time"

	"bindery/shared/broker"
)

// grantRow has its states, times and lease always there: the absence of none of
// them must read as "alive", "for ever" or "free".
type grantRow struct {
	item
	Environment string    `dynamodbav:"environment"`
	Principal   string    `dynamodbav:"principal"`
	Server      string    `dynamodbav:"server"`
	Origin      string    `dynamodbav:"origin"`
	Generation  int64     `dynamodbav:"generation"`
	Version     int64     `dynamodbav:"version"`
	State       string    `dynamodbav:"state"`
	Provider    string    `dynamodbav:"provider"`
	Authority   string    `dynamodbav:"authority,omitempty"`
	Resource    string    `dynamodbav:"resource,omitempty"`
	Scopes      []string  `dynamodbav:"scopes,omitempty"`
	Consented   string    `dynamodbav:"consented"`
	Until       *string   `dynamodbav:"until"`
	Sealed      []byte    `dynamodbav:"sealed,omitempty"`
	Expires     *string   `dynamodbav:"expires"`
	Refreshes   *bool     `dynamodbav:"refreshes"`
	Lease       *string   `dynamodbav:"lease"`
	LeaseUntil  *string   `dynamodbav:"lease_until"`
	Attempted   *string   `dynamodbav:"attempted"`
	Unsettled   *string   `dynamodbav:"unsettled"`
	CoolUntil   *string   `dynamodbav:"cool_until"`
	Failures    *int      `dynamodbav:"failures"`
	Dead        *string   `dynamodbav:"dead"`
	Fault       string    `dynamodbav:"fault"`
	Ended       *string   `dynamodbav:"ended"`
	Spare       *spareRow `dynamodbav:"spare,omitempty"`

	// What tells a write that was applied from somebody else's.
	Begun   string `dynamodbav:"begun"`             // digest of what this generation began with
	Settled string `dynamodbav:"settled,omitempty"` // the lease that was ended last
	Spared  string `dynamodbav:"spared,omitempty"`  // digest of the spare that was kept last
}

type spareRow struct {
	Generation int64    `dynamodbav:"generation"`
	Version    int64    `dynamodbav:"version"`
	Sealed     []byte   `dynamodbav:"sealed"`
	Expires    *string  `dynamodbav:"expires"`
	Scopes     []string `dynamodbav:"scopes,omitempty"`
	Refreshes  *bool    `dynamodbav:"refreshes"`
}

// grant is the decoded grantRow.
type grant struct {
	broker.Grant
	spare                   *broker.Spare
	begun, settled, spareID string
}

func (r grantRow) value() (grant, error) {
	if r.Refreshes == nil || r.Lease == nil || r.Failures == nil {
		return grant{}, fmt.Errorf("%w grant: an attribute is missing", broker.ErrInvalid)
	}
	g := broker.Grant{GrantKey: broker.GrantKey{Environment: r.Environment, Principal: r.Principal, Server: r.Server, Origin: r.Origin},
		Generation: r.Generation, Version: r.Version, State: broker.State(r.State), Provider: r.Provider, Authority: r.Authority, Resource: r.Resource, Scopes: r.Scopes,
		Sealed: r.Sealed, Refreshes: *r.Refreshes, Lease: *r.Lease, Failures: *r.Failures, Fault: r.Fault}
	times, err := parseStamps(&r.Consented, r.Until, r.Expires, r.LeaseUntil, r.Attempted, r.Unsettled, r.CoolUntil, r.Dead, r.Ended)
	if err != nil {
		return grant{}, err
	}
	for i, t := range []*time.Time{&g.Consented, &g.Until, &g.Expires, &g.LeaseUntil, &g.Attempted, &g.Unsettled, &g.CoolUntil, &g.Dead, &g.Ended} {
		*t = times[i]
	}
	spare, err := r.Spare.value()
	return grant{g, spare, r.Begun, r.Settled, r.Spared}, err
}

func newSpareRow(g broker.Grant, t broker.Tokens) spareRow {
	expires := stamp(t.Expires)
	return spareRow{g.Generation, g.Version, t.Sealed, &expires, t.Scopes, &t.Refreshes}
}

func (r *spareRow) value() (*broker.Spare, error) {
	if r == nil {
		return nil, nil
	}
	times, err := parseStamps(r.Expires)
	if err != nil || r.Refreshes == nil {
		return nil, fmt.Errorf("%w spare: an attribute is missing", broker.ErrInvalid)
	}
	return &broker.Spare{Generation: r.Generation, Version: r.Version, Sealed: r.Sealed, Expires: times[0], Scopes: r.Scopes, Refreshes: *r.Refreshes}, nil
}

// Check implements what decode asks for.
func (g grant) Check() error {
	if err := g.Grant.Check(); err != nil || g.spare == nil {
		return err
	}
	return g.spare.Check()
}

func (g grant) key() key { return grantKey(g.GrantKey) }

func decodeGrant(a attributes) (grant, error) { return decode(a, grantRow.value, grant.key) }

// view is the grant as its users see it: a spare of another version than its
// own is none.
func (g grant) view() broker.GrantView {
	v := broker.GrantView{Grant: g.Grant}
	if g.spare != nil && g.spare.Generation == g.Generation && g.spare.Version == g.Version {
		v.Spare = g.spare
	}
	return v
}

// living reports whether the grant is as it was seen, and lives.
func (g grant) living(seen broker.Grant) bool {
	return g.Generation == seen.Generation && g.Version == seen.Version && g.State == broker.Active && g.Dead.IsZero()
}

// leaseID names a lease. Holders are unique to an attempt; its time makes sure.
func leaseID(g broker.Grant) string { return broker.Digest(g.Lease, stamp(g.Attempted)) }

type consentRow struct {
	item
	Environment string  `dynamodbav:"environment"`
	Principal   string  `dynamodbav:"principal"`
	Server      string  `dynamodbav:"server"`
	Origin      string  `dynamodbav:"origin"`
	Agent       *string `dynamodbav:"agent"` // its absence must not read as "without an agent"
	Generation  int64   `dynamodbav:"generation"`
	At          string  `dynamodbav:"at"`
}

func newConsentRow(k broker.GrantKey, c broker.Consent) consentRow {
	return consentRow{consentKey(k, c.Agent).item(), k.Environment, k.Principal, k.Server, k.Origin, &c.Agent, c.Generation, stamp(c.At)}
}

// consent is the decoded consentRow.
type consent struct {
	of    broker.GrantKey
	given broker.Consent
}

func (r consentRow) value() (consent, error) {
	at, err := parseStamp(r.At)
	if err != nil || r.Agent == nil {
		return consent{}, fmt.Errorf("%w consent: an attribute is missing", broker.ErrInvalid)
	}
	return consent{broker.GrantKey{Environment: r.Environment, Principal: r.Principal, Server: r.Server, Origin: r.Origin},
		broker.Consent{Agent: *r.Agent, Generation: r.Generation, At: at}}, nil
}

// Check implements what decode asks for.
func (c consent) Check() error { return c.given.Check() }

func decodeConsent(a attributes) (consent, error) {
	return decode(a, consentRow.value, func(c consent) key { return consentKey(c.of, c.given.Agent) })
}

// parseStamps refuses those that are not there. An empty one is no time.
func parseStamps(stamps ...*string) ([]time.Time, error) {
	times := make([]time.Time, len(stamps))
	for i, s := range stamps {
		if s == nil {
			return nil, fmt.Errorf("%w time: it is missing", broker.ErrInvalid)
		}
		var err error
		if times[i], err = parseStamp(*s); err != nil {
			return nil, err
		}
	}
	return times, nil
}
