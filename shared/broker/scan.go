package broker

import (
	"context"
	"time"
)

// Scan is how far the search for drift has come in an environment, so that the
// next run goes on where one ended or died. There is one row, for ever.
type Scan struct {
	Environment string
	Version     int64
	Begun       time.Time // of the round under way; never before what the round before saw
	Ended       time.Time // of the round before; zero: there was none
	Phase       string    // what the round is looking at; empty: no round is under way
	After       string    // and where in it the next run begins
	Holder      string    // which run works on it now; empty: none
	HeldUntil   time.Time // until when no other may
	Told        int       // facts that the round told one by one
	Unknown     []string  // what the round could not look at: "store/vault", "grants"; nothing of it is closed
}

// Scans keeps it. PutScan replaces the version that it carries (0: must not
// exist) and fails with ErrConflict otherwise; again, the same succeeds. Scan
// gives ErrNotFound where there never was one.
type Scans interface {
	Scan(ctx context.Context, environment string) (Scan, error)
	PutScan(ctx context.Context, s Scan) error
}

// Check refuses what no backend may keep.
func (s Scan) Check() error {
	c := rowCheck{row: "scan"}
	c.name("environment", s.Environment)
	c.require("version", s.Version >= 0 && s.Version < maxVersion, "it is out of range")
	c.require("count", s.Told >= 0 && s.Told <= maxWeight, "it is out of range")
	c.time("beginning", s.Begun)
	c.timeOrNone("end", s.Ended)
	c.timeOrNone("end of the hold", s.HeldUntil)
	c.list("what is unknown", s.Unknown)
	c.text("place and holder", s.Phase, s.After, s.Holder)
	return c.err
}

// Inspection is what a store says of a secret without giving its value. A zero
// time is one that it does not say.
type Inspection struct {
	Deleting time.Time // when the secret will be gone: it is scheduled for deletion, and gives no value already
	Changed  time.Time // when anything of it was last changed: the value is at least as old
}

// StoreInspector is a SecretStore that can say it. Inspect asks for no value,
// and fails like Fetch.
type StoreInspector interface {
	Inspect(ctx context.Context, w Want) (Inspection, error)
}
