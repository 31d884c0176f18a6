package broker

import (
	"fmt"
	"net/netip"
	"time"
	"unicode/utf8"
)

// MaxID is the longest id that is not a name (principal, agent, tool, issuer,
// sealed value), in bytes.
const MaxID = 256

const (
	maxText    = 2048     // one text of a row, in bytes
	maxEntries = 256      // one list of a row
	maxTotal   = 64 << 10 // all texts of a row together, in bytes
	maxUses    = 90       // secrets that one binding references; a binding and its uses are one transaction
	maxSealed  = 64 << 10 // one sealed text, in bytes
	maxKeys    = 256 << 10

	maxPolicies    = 256 << 10 // text of one policy set, in bytes
	maxPolicyTests = 64 << 10
	maxVersion     = 1 << 53
	maxWeight      = 1_000_000 // largest priority, either way
)

// CheckID accepts 1 to 256 bytes of UTF-8.
func CheckID(what, id string) error {
	if id == "" || len(id) > MaxID || !utf8.ValidString(id) {
		return fmt.Errorf("%w %s: it must have 1 to %d bytes of UTF-8", ErrInvalid, what, MaxID)
	}
	return nil
}

// The Check methods say what every backend refuses, before it writes and after
// it reads: rows that no key could hold, that would not come back the same, or
// that no decision could judge. They are not the rules for a good card: those
// are Registry's. The error is ErrInvalid and repeats no value.

// Check refuses what no backend may keep.
func (e Environment) Check() error {
	c := rowCheck{row: "environment"}
	c.name("name", e.Name)
	c.standing(e.Version, e.State)
	for _, set := range []string{e.Policies, e.Shadow} {
		if set != "" {
			c.keep(CheckSetID(set))
		}
	}
	return c.err
}

// Check refuses what no backend may keep.
func (s Store) Check() error {
	c := rowCheck{row: "store"}
	c.name("environment", s.Environment)
	c.name("name", s.Name)
	c.name("kind", s.Kind)
	c.standing(s.Version, s.State)
	c.list("paths", s.Paths)
	c.keep(CheckScope(s.Paths))
	c.text("address and sign-in", s.Address, s.Namespace, string(s.Auth.Method), s.Auth.Mount, s.Auth.Role,
		s.Auth.Credential.String(), s.Auth.ServerID)
	c.networks(s.Networks)
	c.require("greatest age of values", s.MaxValueAge >= 0 && s.MaxValueAge%time.Second == 0, "it must be whole seconds, and not negative")
	c.keep(s.checkSignIn())
	return c.err
}

// Check refuses what no backend may keep.
func (s Server) Check() error {
	c := rowCheck{row: "server"}
	c.name("environment", s.Environment)
	c.name("name", s.Name)
	c.standing(s.Version, s.State)
	c.text("owner, description, URL and proposer", s.Owner, s.Description, s.URL, s.Proposer)
	_, err := OriginDigest(s.URL)
	c.keep(err)
	c.entries("attachments", len(s.Attach))
	c.entries("propagations", len(s.Propagate))
	for _, a := range s.Attach {
		c.text("attachment", string(a.In), a.Name, a.Template)
	}
	for _, p := range s.Propagate {
		c.text("propagation", p.Attribute, p.Header)
	}
	c.networks(s.Networks)
	c.require("timeout", s.Timeout >= 0, "it must not be negative")
	c.limits(s.Limits)
	return c.err
}

// Check refuses what no backend may keep.
func (a Agent) Check() error {
	c := rowCheck{row: "agent"}
	c.name("environment", a.Environment)
	c.id("id", a.ID)
	c.standing(a.Version, a.State)
	c.text("team", a.Team)
	c.risk("ceiling", a.Ceiling)
	c.limits(a.Limits)
	return c.err
}

// Check refuses what no backend may keep.
func (t Tool) Check() error {
	c := rowCheck{row: "tool"}
	c.name("environment", t.Environment)
	c.name("server", t.Server)
	c.id("name", t.Name)
	c.standing(t.Version, t.State)
	c.text("owner", t.Owner)
	c.risk("risk", t.Risk)
	c.list("teams", t.Teams)
	return c.err
}

// Check refuses what no backend may keep.
func (b Binding) Check() error {
	c := rowCheck{row: "binding"}
	c.name("environment", b.Environment)
	c.name("server", b.Server)
	c.name("name", b.Name)
	c.standing(b.Version, b.State)
	c.keep(checkActor(b.Actor))
	for _, id := range []string{b.Actor.Principal, b.Actor.Agent} {
		if id != "" {
			c.id("actor", id)
		}
	}
	c.text("actor", b.Actor.Group, b.Actor.Attribute.Name, b.Actor.Attribute.Value)
	c.require("priority", b.Priority >= -maxWeight && b.Priority <= maxWeight, "it must lie within a million either way")
	c.list("tools", b.Allow.Tools)
	c.list("prompts", b.Allow.Prompts)
	c.list("resources", b.Allow.Resources)
	c.text("mode, source, owner, origin and audience", string(b.Mode), string(b.Source), b.Owner, b.Origin, b.Audience)
	c.list("scopes", b.Scopes)
	if b.Provider != "" {
		c.name("provider", b.Provider)
	}
	c.entries("fields", len(b.Fields))
	for _, f := range b.Fields {
		c.text("field", f.Name, f.Reference.String())
		c.require("field", f.Name != "" && !f.Reference.IsZero(), "it needs a name and a reference")
	}
	c.require("fields", len(b.Fields) <= maxUses || len(UsesOf(b)) <= maxUses, "they name more than 90 secrets")
	if !b.Expires.IsZero() {
		c.time("expiry", b.Expires)
	}
	c.require("max age", b.MaxAge >= 0 && b.MaxAge <= MaxMaxAge, "it must lie between 0 and an hour")
	return c.err
}

// Check refuses what no backend may keep.
func (v SealedValue) Check() error {
	c := rowCheck{row: "sealed value"}
	c.name("environment", v.Environment)
	c.id("id", v.ID)
	c.standing(v.Version, v.State)
	c.require("version", v.Version >= 1, "it must be at least 1")
	c.require("text", len(v.Sealed) <= maxSealed, "it is longer than 64 KiB")
	c.time("time", v.At)
	return c.err
}

// Check refuses what no backend may keep.
func (k KeySet) Check() error {
	c := rowCheck{row: "key set"}
	c.name("environment", k.Environment)
	c.id("issuer", k.Issuer)
	c.require("text", len(k.Sealed) > 0 && len(k.Sealed) <= maxKeys, "it must have 1 byte to 256 KiB")
	c.time("fetch time", k.Fetched)
	return c.err
}

// Check refuses what no backend may keep.
func (k RollingKey) Check() error {
	c := rowCheck{row: "rolling key"}
	c.name("environment", k.Environment)
	c.require("day", k.Day > 0 && k.Day < 1_000_000, "it must count days since 1970")
	c.require("text", len(k.Sealed) > 0 && len(k.Sealed) <= maxSealed, "it must have 1 byte to 64 KiB")
	return c.err
}

// Check refuses what no backend may keep: a record without key or nonce, and
// text that would come back changed and break the hash.
func (r Record) Check() error {
	c := rowCheck{row: "audit record"}
	c.require("schema", r.Schema == RecordSchema, "it is unknown")
	c.id("receipt", r.Receipt)
	c.require("phase", r.Phase == Intent || r.Phase == Outcome || r.Phase == Refused, "it is unknown")
	c.id("nonce", r.Nonce)
	c.time("time", r.At)
	c.text("text", r.Writer, r.Previous, r.RequestID, r.Environment, r.Server, r.Origin, r.Issuers, r.Principal,
		string(r.Kind), r.Agent, r.Session, r.Era, r.Method, string(r.Action), r.Target, r.MessageID, r.Named, r.Binding,
		string(r.Mode), string(r.Source), r.Policy, string(r.Reason), r.DecidedAt)
	c.text("reference", r.References...)
	for _, a := range r.Accesses {
		c.text("access", a.Reference, a.Version, a.RequestID)
	}
	c.text("object", r.Object)
	c.require("change", len(r.Before) <= maxSealed && len(r.After) <= maxSealed && utf8.ValidString(r.Before) && utf8.ValidString(r.After),
		"before and after must be UTF-8 of at most 64 KiB each")
	c.list("policies", r.Policies)
	if r.Shadow != nil {
		c.text("shadow", r.Shadow.Set, r.Shadow.Effect)
		c.list("shadow", r.Shadow.Policies)
	}
	for _, f := range r.Candidates {
		c.text("candidate", f.Binding, f.Rank, string(f.State))
	}
	return c.err
}

// rowCheck keeps the first fault of a row.
type rowCheck struct {
	row   string
	total int
	err   error
}

func (c *rowCheck) keep(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *rowCheck) require(what string, ok bool, rule string) {
	if c.err == nil && !ok {
		c.err = fmt.Errorf("%w %s of the %s: %s", ErrInvalid, what, c.row, rule)
	}
}

func (c *rowCheck) name(what, s string) { c.keep(CheckName(what, s)) }
func (c *rowCheck) id(what, s string)   { c.keep(CheckID(what, s)) }

func (c *rowCheck) standing(version int64, s State) {
	c.require("version", version >= 0 && version < maxVersion, "it is out of range")
	c.require("state", s == Active || s == Pending || s == Suspended || s == Revoked || s == Deleted, "it is unknown")
}

func (c *rowCheck) risk(what string, r Risk) {
	c.require(what, r >= 0 && r <= Critical, "it is unknown")
}

func (c *rowCheck) limits(l Limits) {
	whole := func(n, most int64) bool { return n >= 0 && n <= most }
	c.require("limits", whole(int64(l.CallsPerMinute), maxWeight) && whole(int64(l.Streams), maxWeight) &&
		whole(l.RequestBytes, 1<<40) && whole(l.AnswerBytes, 1<<40), "they must be 0 or more, and at most a million calls or streams")
}

func (c *rowCheck) quota(q Quota) {
	c.name("environment", q.Environment)
	c.require("subject", q.Subject != "" && len(q.Subject) <= MaxID+MaxName, "it must have 1 to 296 bytes")
	c.text("subject", q.Subject)
	c.require("limit", q.Limit >= 1 && q.Limit <= maxWeight, "it must lie between 1 and a million")
}

func (c *rowCheck) text(what string, texts ...string) {
	for _, s := range texts {
		c.total += len(s)
		c.require(what, len(s) <= maxText && utf8.ValidString(s), "it must be UTF-8 of at most 2048 bytes")
	}
	c.require(what, c.total <= maxTotal, "the row has more than 64 KiB of text")
}

func (c *rowCheck) list(what string, entries []string) {
	c.entries(what, len(entries))
	c.text(what, entries...)
}

func (c *rowCheck) networks(networks []netip.Prefix) {
	c.entries("networks", len(networks))
	for _, n := range networks {
		c.require("network", n.IsValid(), "it must be a prefix")
	}
}

func (c *rowCheck) entries(what string, n int) {
	c.require(what, n <= maxEntries, "it has more than 256 entries")
}

func (c *rowCheck) time(what string, t time.Time) {
	year := t.UTC().Year()
	c.require(what, !t.IsZero() && year >= 1 && year <= 9999, "it must be a time")
}
