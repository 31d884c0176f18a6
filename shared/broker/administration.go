package broker

import (
	"context"
	"time"
)

// Page asks for the rows of a list that come after a name.
type Page struct {
	After string // empty: from the beginning. Any name will do, also one that is no longer there or never was
	Limit int    // 1 to MaxPage
}

// MaxPage is the longest page.
const MaxPage = 200

// Check refuses what no backend can read.
func (p Page) Check() error {
	c := rowCheck{row: "page"}
	if p.After != "" {
		c.id("name to begin after", p.After)
	}
	c.require("limit", p.Limit >= 1 && p.Limit <= MaxPage, "it must lie between 1 and 200")
	return c.err
}

// CatalogueReader reads the catalogue for administrators. Every read is
// strongly consistent. A single row that never was is ErrNotFound; a tombstone
// is given like any row. A list gives tombstones too, in an order that depends on
// the names alone and never changes, and fewer than Limit rows only at its end;
// whoever goes on after the last name of each page finds every row that was
// there before the first page on exactly one page. A row that does not decode
// is an error, never an absence. What is given may be shared and must not be
// changed.
type CatalogueReader interface {
	Environment(ctx context.Context, name string) (Environment, error)
	Store(ctx context.Context, environment, name string) (Store, error)
	Server(ctx context.Context, r Route) (Server, error)
	Agent(ctx context.Context, environment, id string) (Agent, error)
	Tool(ctx context.Context, r Route, name string) (Tool, error)
	Binding(ctx context.Context, r Route, name string) (Binding, error) // the current version

	Stores(ctx context.Context, environment string, p Page) ([]Store, error)
	Servers(ctx context.Context, environment string, p Page) ([]Server, error)
	Agents(ctx context.Context, environment string, p Page) ([]Agent, error)
	Tools(ctx context.Context, r Route, p Page) ([]Tool, error)
	Bindings(ctx context.Context, r Route, p Page) ([]Binding, error)
}

// Attempt is one administrator's request under an idempotency key, and, once it
// has ended, its answer, so that the same request sent again changes nothing
// and is answered alike.
type Attempt struct {
	Environment string
	Principal   string
	Key         string // the client's, 1 to 256 bytes
	Request     string // digest of what was asked
	Receipt     string // of the attempt that counts
	Begun       time.Time
	Status      int    // 0: it has not ended; 500 and above: it has, and may be begun anew
	Answer      []byte // at most 64 KiB; it never holds a secret
	ETag        string
}

// AttemptLife is how long a key is remembered.
const AttemptLife = 24 * time.Hour

// AttemptTime is how long an attempt may take. One that has not ended by then
// has died: its key may be begun anew.
const AttemptTime = time.Minute

// Attempts remembers idempotency keys. BeginAttempt stores a fresh attempt
// unless its key is known, and gives the attempt that counts: the caller's own
// if it was first, which it recognises by the receipt. EndAttempt adds status,
// answer and tag to the very attempt that was begun, if it has none; otherwise it
// fails with ErrConflict, except that the same end again succeeds. A key older
// than AttemptLife, one whose attempt has not ended AttemptTime after it began,
// and one whose attempt failed, is not known. After any other error either may be repeated.
type Attempts interface {
	BeginAttempt(ctx context.Context, a Attempt) (Attempt, error)
	EndAttempt(ctx context.Context, a Attempt) error
}

// AttemptFailed is the least status of an attempt that ended with a fault which
// may pass.
const AttemptFailed = 500

// Check refuses what no backend may keep.
func (a Attempt) Check() error {
	c := rowCheck{row: "attempt"}
	c.name("environment", a.Environment)
	c.id("principal", a.Principal)
	c.id("key", a.Key)
	c.id("request", a.Request)
	c.id("receipt", a.Receipt)
	c.time("beginning", a.Begun)
	c.text("tag", a.ETag)
	c.require("status", a.Status == 0 || a.Status >= 100 && a.Status <= 599, "it must be an HTTP status, or 0")
	c.require("answer", len(a.Answer) <= maxSealed, "it is longer than 64 KiB")
	return c.err
}

// CheckBeginning refuses what no backend may begin.
func (a Attempt) CheckBeginning() error {
	c := rowCheck{row: "attempt", err: a.Check()}
	c.require("status", a.Status == 0 && len(a.Answer) == 0 && a.ETag == "", "an attempt begins without status, answer and tag")
	return c.err
}

// CheckEnd refuses what no backend may keep as the end of an attempt.
func (a Attempt) CheckEnd() error {
	c := rowCheck{row: "attempt", err: a.Check()}
	c.require("status", a.Status != 0, "an attempt ends with one")
	return c.err
}
