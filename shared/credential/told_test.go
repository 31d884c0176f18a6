package credential

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// told records what befell grants, as wire does.
type told struct {
	journal *broker.Journal
	db      *memory.DB
	now     func() time.Time
	n       int
}

func newTold(db *memory.DB, now func() time.Time) *told {
	return &told{journal: broker.NewJournal(db, rand.Text), db: db, now: now}
}

func (e *told) fact(kind broker.FactKind, g broker.Grant) broker.Fact {
	f := FactOf(kind, g.GrantKey, GrantFact{Provider: g.Provider, Generation: g.Generation, Fault: g.Fault})
	f.Receipt = rand.Text()
	return f
}

func (e *told) Death(g broker.Grant, at time.Time) (broker.Record, error) {
	return e.journal.Record(e.fact(broker.GrantDied, g), at)
}

func (e *told) GrantDied(broker.Grant) { e.n++ }

func (e *told) OutcomeUnknown(ctx context.Context, g broker.Grant) error {
	return TellUnknown(ctx, e.journal, g, e.now())
}

func (e *told) RevocationFailed(ctx context.Context, g broker.Grant) error {
	return e.journal.Tell(ctx, e.fact(broker.GrantNotRevoked, g), e.now())
}

// of gives the receipts of the facts of a kind, with what the grants' faults were.
func (e *told) of(kind broker.FactKind) (receipts, faults []string) {
	for _, r := range e.db.Log() {
		var detail GrantFact
		if r.Method == string(kind) && json.Unmarshal([]byte(r.After), &detail) == nil {
			receipts, faults = append(receipts, r.Receipt), append(faults, detail.Fault)
		}
	}
	slices.Sort(receipts)
	return receipts, faults
}

// died gives the faults that grants died of.
func (e *told) died() []string {
	_, faults := e.of(broker.GrantDied)
	return faults
}

func (e *told) unknown() []string {
	receipts, _ := e.of(broker.GrantOutcomeUnknown)
	return receipts
}
