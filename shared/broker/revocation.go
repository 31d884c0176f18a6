package broker

import (
	"context"
	"time"
)

// Revocation is the case of one revocation, or of its lifting: who stopped what,
// why, and what has been done about what was under way. The marker stops; the
// case is the work that follows it, and the evidence.
type Revocation struct {
	Environment string
	ID          string // a receipt; names the audit records of the request, too
	Version     int64
	Kind        MarkerKind
	Subject     string // id of the marker
	Epoch       int64  // of the marker
	Lifts       bool   // it takes an earlier revocation back
	By          string // principal, or what event
	Via         string // ViaAdmin, ViaEvent
	Reason      string // as it was typed
	At          time.Time
	Work        WorkState
	NextTry     time.Time // when what could not be reached is tried again; zero: nothing waits
	Tries       int       // runs of the work so far
	Done        time.Time // when everything was; zero: it is not

	Sessions Tally // legacy sessions, ended at their upstreams
	Grants   Tally // of people, their tokens revoked at providers
	Values   Tally // sealed values, deleted
	// Accepted is until when a provider or upstream may still accept what could
	// not be revoked there; zero: nothing of the kind is known.
	Accepted  time.Time
	Unreached []Unreached // the first MaxUnreached that are still to do, or were given up
	Unknown   []string    // what cannot be enumerated, each in a sentence
	// Counted names (by digests, at most MaxUnreached) what the tallies hold
	// already although its row may still be there: a run that goes on where another
	// one died ends these again, and counts none of them twice.
	Counted []string
}

// How a revocation came.
const (
	ViaAdmin = "admin"
	ViaEvent = "event"
)

// WorkState says whether the work of a revocation is done.
type WorkState string

// The states of work.
const (
	WorkOpen WorkState = "open" // to begin, or to go on
	WorkDone WorkState = "done" // nothing is left that trying again would change
)

// Tally counts what the work found of one sort. What is neither ended nor given
// up is still to do.
type Tally struct{ Found, Ended, GivenUp int }

// Unreached is one thing that could not be ended at its provider or upstream.
type Unreached struct {
	What     string // "session", "grant" or "value"
	ID       string // digest of the session, principal and server of the grant, or the reference
	Server   string
	Provider string
	Fault    string    // a word
	Until    time.Time // when it ends by itself; zero: unknown
	GivenUp  bool      // trying again would not help: the provider has no revocation, or says no
}

// MaxUnreached is how many unreached things a case names.
const MaxUnreached = 100

// Revocations keeps cases. AddRevocation stores a new one (Version 0 becomes 1)
// and succeeds again for the very same; PutRevocation replaces the version that
// it carries, or fails with ErrConflict. OpenRevocations lists those whose work
// is open, oldest first, read consistently. RevocationsOf lists all, newest
// first; a page begins after the id that the page before ended with. Rows that do
// not decode are PassedOver by both.
type Revocations interface {
	AddRevocation(ctx context.Context, r Revocation) error
	PutRevocation(ctx context.Context, r Revocation) error
	Revocation(ctx context.Context, environment, id string) (Revocation, error)
	OpenRevocations(ctx context.Context, environment string, limit int) ([]Revocation, error)
	RevocationsOf(ctx context.Context, environment, after string, limit int) ([]Revocation, error)
}

// LiveSession is a legacy session that an upstream may still keep: what is
// needed to end it there, and to know whom a revocation concerns.
type LiveSession struct {
	Environment string
	Digest      string // Digest("session", id): the id of its marker
	Server      string
	Origin      string
	Principal   string
	Agent       string
	Issuer      string
	Groups      []string // at the beginning of the session
	Binding     string
	Wrapped     string // the id as the client has it: sealed for server, origin, principal and agent
	Expires     time.Time
}

// LiveSessions keeps them for as long as their ids can be opened. AddSession
// stores one; again, the same. EndSession forgets one, known or not. SessionsOf
// gives a person's; ScanSessions goes through all of an environment and may be
// slow. Rows that do not decode are PassedOver. What has expired is not given. A
// page begins after the token that the page before ended with, may hold fewer than
// limit, even none, and not be the last: an empty next is the end.
type LiveSessions interface {
	AddSession(ctx context.Context, s LiveSession) error
	EndSession(ctx context.Context, environment, principal, digest string) error
	SessionsOf(ctx context.Context, environment, principal, after string, limit int) (found []LiveSession, next string, err error)
	ScanSessions(ctx context.Context, environment, after string, limit int) (found []LiveSession, next string, err error)
}

// GrantScanner goes through all grants of an environment that are not Deleted,
// with their sealed texts; it may be slow. A page may hold fewer than limit, even
// none, and not be the last: an empty next is the end. Rows that do not decode are
// PassedOver.
type GrantScanner interface {
	ScanGrants(ctx context.Context, environment, after string, limit int) (found []Grant, next string, err error)
}
