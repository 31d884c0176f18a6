package broker

import (
	"context"
	"slices"
	"time"
)

// IntentOverdue is when an intent without an outcome is a finding: no invocation
// lasts longer than 15 minutes, and clocks are never 5 apart.
const IntentOverdue = 20 * time.Minute

// IntentWatch keeps, in the audit index, how far intents have been held against
// their outcomes, and those that have none. Looked gives the time up to which that
// was done, zero where it never was. MoveLooked changes that, forth or back, on the
// condition that it still is from, else it fails with ErrConflict; a change that is
// there already succeeds. AddWithoutOutcome has an AuditFilter find an intent; it may
// be repeated.
type IntentWatch interface {
	Looked(ctx context.Context, environment string) (time.Time, error)
	MoveLooked(ctx context.Context, environment string, from, to time.Time) error
	AddWithoutOutcome(ctx context.Context, e Entry) error
}

// LedBy reports whether a way leads to an entry.
func (e Entry) LedBy(l Lead) bool {
	return l == Lead{By: ByOmission} && e.Phase == Intent || slices.Contains(e.Leads(), l)
}

// CheckLooked refuses what no backend can keep of how far intents were looked at.
func CheckLooked(environment string, from, to time.Time) error {
	c := rowCheck{row: "place of the look"}
	c.name("environment", environment)
	c.time("place", to)
	c.require("place", from.IsZero() || from.Location() == time.UTC, "it must be in UTC")
	return c.err
}
