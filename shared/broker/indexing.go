package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// EntryOf is what the index keeps of a record. It fails with ErrInvalid where a
// record cannot be indexed: it breaks its own rules, its receipt is no ULID or
// its environment no name.
func EntryOf(r Record) (Entry, error) {
	if err := r.Check(); err != nil {
		return Entry{}, err
	}
	at, err := ReceiptTime(r.Receipt)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{
		Receipt: r.Receipt, Phase: r.Phase, At: at, Environment: r.Environment, Server: r.Server,
		Principal: r.Principal, Kind: r.Kind, Agent: r.Agent, Method: r.Method, Action: r.Action, Target: r.Target,
		Binding: r.Binding, BindingVersion: r.BindingVersion, References: r.References,
		Policy: r.Policy, Policies: r.Policies, Reason: r.Reason, Status: r.Status, RequestID: r.RequestID, Object: r.Object,
	}
	if r.Shadow != nil {
		e.Shadow = r.Shadow.Effect
	}
	return e, e.Check()
}

// Check refuses what no index may hold.
func (e Entry) Check() error {
	c := rowCheck{row: "audit entry"}
	at, err := ReceiptTime(e.Receipt)
	c.keep(err)
	c.require("time", e.At.Equal(at), "it must be the receipt's")
	c.require("phase", e.Phase == Intent || e.Phase == Outcome || e.Phase == Refused, "it is unknown")
	c.name("environment", e.Environment)
	c.text("text", e.Server, e.Principal, string(e.Kind), e.Agent, e.Method, string(e.Action), e.Target, e.Binding, e.Policy,
		e.Shadow, string(e.Reason), e.RequestID, e.Object)
	c.text("reference", e.References...)
	c.list("policies", e.Policies)
	return c.err
}

// Supersedes reports whether a record of this phase says more of a receipt than
// one of the other: a refusal more than an outcome, an outcome more than an
// intent.
func (p Phase) Supersedes(other Phase) bool { return p.weight() > other.weight() }

func (p Phase) weight() int {
	switch p {
	case Refused:
		return 2
	case Outcome:
		return 1
	case Intent:
	}
	return 0
}

// Dimension is one way into the index.
type Dimension string

// The dimensions.
const (
	ByTime      Dimension = "time"
	ByPrincipal Dimension = "principal"
	ByAgent     Dimension = "agent"
	ByServer    Dimension = "server"
	ByBinding   Dimension = "binding"
	ByReference Dimension = "reference"
	ByRequest   Dimension = "request"

	// ByOmission leads to intents without outcome, which somebody has to find first.
	ByOmission Dimension = "omission"
)

// Lead is one value of a dimension: where entries are found.
type Lead struct {
	By Dimension
	ID string // empty for ByTime
}

// Leads gives every way that leads to an entry.
func (e Entry) Leads() []Lead {
	leads := []Lead{{By: ByTime}}
	add := func(by Dimension, id string) {
		if id != "" {
			leads = append(leads, Lead{by, id})
		}
	}
	add(ByPrincipal, e.Principal)
	add(ByAgent, e.Agent)
	add(ByServer, e.Server)
	if e.Server != "" && e.Binding != "" {
		add(ByBinding, e.Server+"/"+e.Binding)
	}
	for _, r := range e.references() {
		add(ByReference, r)
	}
	add(ByRequest, e.RequestID)
	return leads
}

// references are the secrets that the binding names, each once and without key.
// What does not parse is not found by reference, and is found by all else.
func (e Entry) references() []string {
	var found []string
	for _, named := range e.References {
		_, text, _ := strings.Cut(named, "=")
		r, err := StoredReference(text)
		if err != nil {
			continue
		}
		if whole := r.WithoutKey().String(); !slices.Contains(found, whole) {
			found = append(found, whole)
		}
	}
	return found
}

// Check refuses what no backend can ask.
func (f AuditFilter) Check() error {
	c := rowCheck{row: "audit filter"}
	c.name("environment", f.Environment)
	c.time("beginning", f.From)
	c.time("end", f.To)
	c.require("time", f.From.Before(f.To), "the beginning must be before the end")
	c.text("text", f.Principal, f.Agent, f.Server, f.Binding, f.RequestID, string(f.Reason), f.Shadow)
	c.require("binding", f.Binding == "" || f.Server != "", "it needs its server")
	return c.err
}

// Lead is the way by which a filter is asked: the one that the fewest entries
// are likely to be found on.
func (f AuditFilter) Lead() Lead {
	switch {
	case f.WithoutOutcome:
		return Lead{By: ByOmission}
	case f.RequestID != "":
		return Lead{ByRequest, f.RequestID}
	case f.Principal != "":
		return Lead{ByPrincipal, f.Principal}
	case f.Binding != "":
		return Lead{ByBinding, f.Server + "/" + f.Binding}
	case !f.Reference.IsZero():
		return Lead{ByReference, f.Reference.WithoutKey().String()}
	case f.Agent != "":
		return Lead{ByAgent, f.Agent}
	case f.Server != "":
		return Lead{ByServer, f.Server}
	}
	return Lead{By: ByTime}
}

// CheckAfter refuses what no page of this filter ended with. A page ends with a
// receipt, or with a text of its form, and the next one has what is older.
func (f AuditFilter) CheckAfter(after string) error {
	if after == "" {
		return nil
	}
	at, err := ReceiptTime(after)
	if err != nil || at.Before(f.From.Truncate(time.Millisecond)) || at.After(f.To) {
		return fmt.Errorf("%w page: it is none of this list's", ErrInvalid)
	}
	return nil
}

// Holds reports whether an entry is what the filter asks for.
func (f AuditFilter) Holds(e Entry) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	if f.WithoutOutcome && e.Phase != Intent || f.Environment != e.Environment || e.At.Before(f.From) || !e.At.Before(f.To) {
		return false
	}
	if !f.Reference.IsZero() && !slices.Contains(e.references(), f.Reference.WithoutKey().String()) {
		return false
	}
	return is(f.Principal, e.Principal) && is(f.Agent, e.Agent) && is(f.Server, e.Server) && is(f.Binding, e.Binding) &&
		is(f.RequestID, e.RequestID) && is(string(f.Reason), string(e.Reason)) && is(f.Shadow, e.Shadow)
}

// Sighting is a Seen under one of the names it is asked by.
type Sighting struct {
	Environment string
	By          SeenKind
	ID          string
	Seen
}

// Sightings gives what a record shows in use: nothing, unless it is the outcome
// of a call for which a secret was read. An intent shows nothing: whether a
// credential was obtained is not known before the outcome.
func Sightings(r Record) []Sighting {
	at, err := ReceiptTime(r.Receipt)
	if err != nil || r.Phase != Outcome || len(r.Accesses) == 0 {
		return nil
	}
	seen := Seen{Principal: r.Principal, Agent: r.Agent, Server: r.Server, Binding: r.Binding, First: at, Last: at}
	var all []Sighting
	add := func(by SeenKind, id string) {
		s := Sighting{r.Environment, by, id, seen}
		if id != "" && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	add(SeenPrincipal, r.Principal)
	add(SeenAgent, r.Agent)
	if r.Server != "" && r.Binding != "" { // an administrator may use a secret for none
		add(SeenBinding, r.Server+"/"+r.Binding)
	}
	for _, a := range r.Accesses {
		reference, err := StoredReference(a.Reference)
		if err != nil {
			continue
		}
		add(SeenReference, reference.WithoutKey().String())
		add(SeenStore, reference.Scheme())
	}
	return all
}

// Use is a stable name of who used what. Lists of Seen are in its order, and a
// page ends with it.
func (s Seen) Use() string { return Digest("use", s.Principal, s.Agent, s.Server, s.Binding) }

// CheckUse refuses what is no name of a use, and allows an empty one.
func CheckUse(use string) error {
	if use != "" && !isDigest(use) {
		return fmt.Errorf("%w page: it is none of this list's", ErrInvalid)
	}
	return nil
}

// CheckSeen refuses what no backend can be asked about who was seen.
func CheckSeen(environment string, kind SeenKind, id string) error {
	c := rowCheck{row: "question who was seen"}
	c.name("environment", environment)
	c.require("kind", kind == SeenReference || kind == SeenStore || kind == SeenBinding || kind == SeenPrincipal || kind == SeenAgent, "it is unknown")
	c.require("id", id != "", "it is empty")
	c.text("id", id)
	return c.err
}

// CheckUsages refuses what no backend can be asked about the use of bindings.
func CheckUsages(environment string, of []Binding) error {
	c := rowCheck{row: "question for usages"}
	c.name("environment", environment)
	c.require("length", len(of) <= MaxPage, "it may name 200 bindings")
	for _, b := range of {
		c.name("server", b.Server)
		c.name("binding", b.Name)
	}
	return c.err
}

// CheckRotations refuses what no backend can be asked about versions.
func CheckRotations(environment string, references []string) error {
	c := rowCheck{row: "question for rotations"}
	c.name("environment", environment)
	c.require("length", len(references) <= MaxPage, "it may name 200 references")
	for _, text := range references {
		r, err := StoredReference(text)
		c.keep(err)
		c.require("reference", r.Key() == "", "it must be without key")
	}
	return c.err
}

// CheckLimit refuses a page that no backend gives.
func CheckLimit(limit int) error { return Page{Limit: limit}.Check() }

// Versions gives the versions of secrets that a record shows in use, each since
// the time of the call.
func Versions(r Record) []SeenVersion {
	at, err := ReceiptTime(r.Receipt)
	if err != nil || r.Phase != Outcome {
		return nil
	}
	var found []SeenVersion
	for _, a := range r.Accesses {
		reference, err := StoredReference(a.Reference)
		if err == nil && a.Version != "" {
			found = append(found, SeenVersion{Reference: reference.WithoutKey().String(), Version: a.Version, Since: at})
		}
	}
	return found
}

// Replaces reports whether a version is newer than the other of the same secret.
func (r SeenVersion) Replaces(other SeenVersion) bool {
	return r.Since.After(other.Since) || r.Since.Equal(other.Since) && r.Version > other.Version
}
