package broker

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Check refuses what no backend could find again.
func (k GrantKey) Check() error {
	c := rowCheck{row: "grant"}
	c.name("environment", k.Environment)
	c.id("principal", k.Principal)
	c.name("server", k.Server)
	c.name("origin", k.Origin) // a digest has the form of a name
	return c.err
}

// Check refuses what no backend may keep. A grant that has ended holds no
// sealed text, and one that lives does.
func (g Grant) Check() error {
	c := rowCheck{row: "grant", err: g.GrantKey.Check()}
	c.seen(g)
	c.require("state", g.State == Active || g.State == Revoked || g.State == Deleted, "it must be active, revoked or deleted")
	if g.Provider != "" {
		c.name("provider", g.Provider)
	}
	c.tokens(Tokens{g.Sealed, g.Expires, g.Scopes, g.Refreshes}, g.State == Active)
	c.time("consent", g.Consented)
	for _, t := range []time.Time{g.Until, g.LeaseUntil, g.Attempted, g.Unsettled, g.CoolUntil, g.Dead, g.Ended} {
		c.timeOrNone("time", t)
	}
	c.text("lease, fault, authority and resource", g.Lease, g.Fault, g.Authority, g.Resource)
	c.require("lease", (g.Lease == "") == g.LeaseUntil.IsZero() && (g.Lease == "" || !g.Attempted.IsZero()), "it needs holder, end and attempt")
	c.require("failures", g.Failures >= 0 && g.Failures <= maxWeight, "they are out of range")
	c.require("end", g.Ended.IsZero() == (g.State == Active), "it goes with the state")
	return c.err
}

// Begins gives what BeginGrant makes of g: the next generation, in its first
// version if there was none before.
func (g Grant) Begins() Grant {
	return Grant{GrantKey: g.GrantKey, Generation: g.Generation + 1, Version: 1, State: Active, Provider: g.Provider, Authority: g.Authority,
		Resource: g.Resource, Scopes: g.Scopes, Consented: g.Consented, Until: g.Until, Sealed: g.Sealed, Expires: g.Expires, Refreshes: g.Refreshes}
}

// DueAt is when a refresh is due: when the access token expires, or cooling
// ends. Zero: never, as the grant is; its consent may end before its token does.
func (g Grant) DueAt() time.Time {
	due := g.Expires
	if g.CoolUntil.After(due) {
		due = g.CoolUntil
	}
	lasts := g.Until.IsZero() || g.Until.After(due)
	if g.State != Active || !g.Dead.IsZero() || !g.Refreshes || g.Expires.IsZero() || !lasts {
		return time.Time{}
	}
	return due
}

// DueBefore reports whether DueGrants lists g.
func (g Grant) DueBefore(t time.Time) bool {
	due := g.DueAt()
	return !due.IsZero() && due.Before(t) && (g.Until.IsZero() || g.Until.After(t))
}

// Ending is what holders begin with who take a lease to end the grant: they ask the
// provider for no token.
const Ending = "ending-"

// Abandoned reports whether whoever last asked the provider was not heard of again
// in the time of their lease: what the provider may have given them nobody has.
func (v *GrantView) Abandoned(now time.Time) bool {
	g := &v.Grant
	return v.Spare == nil && g.Lease != "" && !strings.HasPrefix(g.Lease, Ending) && g.LeaseUntil.Before(now.Add(-ClockSkew))
}

// Token is what a page of a person's grants begins after.
func (k GrantKey) Token() string { return k.Server + "/" + k.Origin }

// CheckGrantsOf refuses what no backend can list.
func CheckGrantsOf(environment, principal, after string, limit int) error {
	c := rowCheck{row: "page of grants"}
	k := GrantKey{Environment: environment, Principal: principal, Server: "x", Origin: "x"}
	if after != "" {
		k.Server, k.Origin, _ = strings.Cut(after, "/")
	}
	c.keep(k.Check())
	c.keep(Page{Limit: limit}.Check())
	return c.err
}

// CheckDueGrants refuses what no backend can list.
func CheckDueGrants(environment string, before time.Time, limit int) error {
	c := rowCheck{row: "page of grants"}
	c.name("environment", environment)
	c.time("time", before)
	c.keep(Page{Limit: limit}.Check())
	return c.err
}

// Check refuses what no backend may keep.
func (n Consent) Check() error {
	c := rowCheck{row: "consent"}
	if n.Agent != "" {
		c.id("agent", n.Agent)
	}
	c.require("generation", n.Generation >= 1 && n.Generation < maxVersion, "it is out of range")
	c.time("time", n.At)
	return c.err
}

// CheckLeasing refuses what no backend can keep as a lease.
func (g Grant) CheckLeasing(holder string, now, until time.Time) error {
	c := rowCheck{row: "lease", err: g.GrantKey.Check()}
	c.seen(g)
	c.id("holder", holder)
	c.time("time", now)
	c.time("end", until)
	c.require("end", now.Before(until), "it must lie ahead")
	return c.err
}

// CheckLeased refuses what was not given under a lease; at is when what the
// holder reports of it happened or ends, fault its word for that.
func (g Grant) CheckLeased(at time.Time, fault string) error {
	c := rowCheck{row: "grant", err: g.GrantKey.Check()}
	c.seen(g)
	c.id("lease", g.Lease)
	c.time("attempt", g.Attempted)
	c.time("time", at)
	c.text("fault", fault)
	return c.err
}

// CheckEnding refuses ends that are none.
func (k GrantKey) CheckEnding(to State, at time.Time) error {
	c := rowCheck{row: "grant", err: k.Check()}
	c.require("state", to == Revoked || to == Deleted, "a grant ends revoked or deleted")
	c.time("time", at)
	return c.err
}

// CheckFor refuses tokens that the grant cannot have: a refresh never widens
// what was consented to.
func (t Tokens) CheckFor(g Grant) error {
	c := rowCheck{row: "token set", err: g.GrantKey.Check()}
	c.seen(g)
	c.tokens(t, true)
	for _, s := range t.Scopes {
		c.require("scopes", slices.Contains(g.Scopes, s), "they must lie within those of the grant")
	}
	return c.err
}

// Check refuses what no backend may keep.
func (s Spare) Check() error {
	c := rowCheck{row: "spare"}
	c.seen(Grant{Generation: s.Generation, Version: s.Version})
	c.tokens(Tokens{s.Sealed, s.Expires, s.Scopes, s.Refreshes}, true)
	return c.err
}

// Check refuses what no backend may keep.
func (h Handle) Check() error {
	c := rowCheck{row: "handle", err: CheckHandle(h.Environment, h.Kind, h.ID)}
	c.require("body", len(h.Body) <= maxSealed && json.Valid(h.Body), "it must be JSON of at most 64 KiB")
	c.time("end", h.Expires)
	return c.err
}

// CheckHandle refuses what no handle could be found by.
func CheckHandle(environment, kind, id string) error {
	c := rowCheck{row: "handle"}
	c.name("environment", environment)
	c.name("kind", kind)
	c.id("id", id)
	return c.err
}

func (c *rowCheck) seen(g Grant) {
	c.require("generation", g.Generation >= 1 && g.Generation < maxVersion, "it is out of range")
	c.require("version", g.Version >= 1 && g.Version < maxVersion, "it is out of range")
}

func (c *rowCheck) tokens(t Tokens, there bool) {
	c.require("text", (len(t.Sealed) > 0) == there && len(t.Sealed) <= maxSealed, "it must have 1 byte to 64 KiB while the grant lives, and none afterwards")
	c.timeOrNone("expiry", t.Expires)
	c.list("scopes", t.Scopes)
}

func (c *rowCheck) timeOrNone(what string, t time.Time) {
	if !t.IsZero() {
		c.time(what, t)
	}
}
