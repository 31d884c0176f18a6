package broker

import (
	"context"
	"time"
)

// Entry is what the audit index keeps of one receipt: its outcome or refusal,
// or its intent as long as there is nothing else.
type Entry struct {
	Receipt        string
	Phase          Phase
	At             time.Time // of the call: the time in the receipt
	Environment    string
	Server         string
	Principal      string
	Kind           Kind
	Agent          string
	Method         string
	Action         Action
	Target         string
	Binding        string
	BindingVersion int64
	References     []string // "field=reference"
	Policy         string
	Policies       []string
	Shadow         string // what the set in shadow would have done, as Shadowed.Effect says it
	Reason         Reason
	Status         int
	RequestID      string
	Object         string // of an administrator's request
}

// AuditFilter asks the audit index. Everything that is set must hold, of the
// entry: what a receipt's intent said counts no more once there is an outcome.
// Binding needs Server.
type AuditFilter struct {
	Environment string
	From, To    time.Time // of the call: at or after From, before To; both required
	Principal   string
	Agent       string
	Server      string
	Binding     string
	Reference   Reference // its key does not count
	RequestID   string
	Reason      Reason
	Shadow      string

	WithoutOutcome bool // only intents that were found to be without: see IntentWatch
}

// AuditPage is one page of entries, newest first. Next is empty at the end; a
// page may hold fewer entries than asked for, even none, and still not be the
// last.
type AuditPage struct {
	Entries []Entry
	Next    string
}

// SeenKind is what somebody was seen using, or as what.
type SeenKind string

// The kinds.
const (
	SeenReference SeenKind = "reference" // ID: the reference without key
	SeenStore     SeenKind = "store"     // ID: the store's name
	SeenBinding   SeenKind = "binding"   // ID: "server/binding"
	SeenPrincipal SeenKind = "principal"
	SeenAgent     SeenKind = "agent"
)

// Seen says that a principal used a binding, through an agent or without one:
// a secret was read for a call, as its outcome says, whether or not the upstream
// was reached. First and Last are exact once the index has caught up. A call that
// has only an intent, because its process died, is among the entries and not
// here.
type Seen struct {
	Principal string
	Agent     string
	Server    string
	Binding   string
	First     time.Time
	Last      time.Time
}

// Usage is how a binding's calls went lately.
type Usage struct {
	Server   string
	Binding  string
	Last     time.Time // newest call that ended
	Reason   Reason    // of that call; empty: it went well
	LastGood time.Time // newest call that went well
}

// SeenVersion says since when a version of a secret is the newest that was seen
// in use.
type SeenVersion struct {
	Reference string // without key
	Version   string
	Since     time.Time
}

// Lag says how far the index is behind: Newest is the time of the newest record
// it holds, Indexed when that was written to it. Both are zero where nothing has
// been indexed.
type Lag struct {
	Newest  time.Time
	Indexed time.Time
}

// AuditIndexWriter fills the index. IndexRecords may be given records in any
// order and any number of times: the index depends only on which records it was
// given, except for Lag.Indexed. A record for which EntryOf fails is refused with
// ErrInvalid, and the others with it. After an error the same records may be given
// again.
type AuditIndexWriter interface {
	IndexRecords(ctx context.Context, records []Record) error
}

// AuditReader reads evidence. Receipt gives the records of one receipt from the
// audit table itself, intent before outcome, consistently, and none without an
// error where there are none. All else comes from the index, which may lag. A
// limit is 1 to MaxPage. What Entries and SeenOf are to go on after is what they
// gave as next; anything else fails with ErrInvalid or is a place in this very
// list. Usages and SeenVersions are asked for up to MaxPage at once, and leave out
// what was never seen. Rows of the index that do not decode are PassedOver, each on
// one page of a list: an entry that is left out may be another phase of one that is
// given, a usage that is left out may be any of those that are not given, and
// nothing is said of a reference of which a version does not decode. Lag fails with
// ErrUndecodable where its row does not decode. A receipt gives the records that
// decode, and the others are PassedOver.
type AuditReader interface {
	Receipt(ctx context.Context, receipt string) ([]Record, error)
	Entries(ctx context.Context, f AuditFilter, after string, limit int) (AuditPage, error)
	SeenOf(ctx context.Context, environment string, kind SeenKind, id, after string, limit int) (seen []Seen, next string, err error)
	Usages(ctx context.Context, environment string, of []Binding) (map[string]Usage, error) // by "server/binding"
	SeenVersions(ctx context.Context, environment string, references []string) (map[string]SeenVersion, error)
	Lag(ctx context.Context, environment string) (Lag, error)
}
