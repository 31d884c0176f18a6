package wire

import (
	"context"
	"crypto/rand"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/telemetry"
)

// grantFacts records what befell a grant, and says it in the log. What could not
// be recorded is in the log, too.
type grantFacts struct {
	journal *broker.Journal
	now     func() time.Time
	log     *slog.Logger
}

// Death implements credential.Events.
func (f grantFacts) Death(g broker.Grant, at time.Time) (broker.Record, error) {
	fact := credential.FactOf(broker.GrantDied, g.GrantKey, credential.GrantFact{Provider: g.Provider, Generation: g.Generation, Fault: g.Fault})
	fact.Receipt = fresh(at)
	return f.journal.Record(fact, at)
}

// GrantDied implements credential.Events.
func (f grantFacts) GrantDied(g broker.Grant) {
	f.log.Warn("a grant died", "principal", g.Principal, "server", g.Server, "provider", g.Provider, "generation", g.Generation, "fault", g.Fault)
}

// OutcomeUnknown implements credential.Events.
func (f grantFacts) OutcomeUnknown(ctx context.Context, g broker.Grant) error {
	f.log.Error("outcome of a token request unknown", "principal", g.Principal, "server", g.Server, "provider", g.Provider)
	return f.told(broker.GrantOutcomeUnknown, credential.TellUnknown(ctx, f.journal, g, f.now()))
}

// RevocationFailed implements credential.Events.
func (f grantFacts) RevocationFailed(ctx context.Context, g broker.Grant) error {
	f.log.Warn("a token was not revoked", "principal", g.Principal, "server", g.Server, "provider", g.Provider)
	at := f.now()
	fact := credential.FactOf(broker.GrantNotRevoked, g.GrantKey, credential.GrantFact{Provider: g.Provider, Generation: g.Generation})
	fact.Receipt = fresh(at)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime) // a fact does not end with the call that met it
	defer cancel()
	return f.told(fact.Kind, f.journal.Tell(ctx, fact, at))
}

func (f grantFacts) told(kind broker.FactKind, err error) error {
	if err != nil {
		f.log.Error("a fact could not be recorded", "fact", string(kind), "cause", err.Error(), string(telemetry.AuditFailures), 1)
	}
	return err
}

func fresh(at time.Time) string { return ulid.MustNew(ulid.Timestamp(at), rand.Reader).String() }
