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
// be recorded has befallen it all the same, so nothing fails by that: the log has
// it.
type grantFacts struct {
	journal *broker.Journal
	now     func() time.Time
	log     *slog.Logger
}

// GrantDied implements credential.Events.
func (f grantFacts) GrantDied(ctx context.Context, g broker.Grant) {
	f.log.Warn("a grant died", "principal", g.Principal, "server", g.Server, "provider", g.Provider, "generation", g.Generation, "fault", g.Fault)
	f.tell(ctx, broker.GrantDied, g.GrantKey, credential.GrantFact{Provider: g.Provider, Generation: g.Generation, Fault: g.Fault})
}

// OutcomeUnknown implements credential.Events.
func (f grantFacts) OutcomeUnknown(ctx context.Context, k broker.GrantKey, provider string) {
	f.log.Error("outcome of a token request unknown", "principal", k.Principal, "server", k.Server, "provider", provider)
	f.tell(ctx, broker.GrantOutcomeUnknown, k, credential.GrantFact{Provider: provider})
}

// RevocationFailed implements credential.Events.
func (f grantFacts) RevocationFailed(ctx context.Context, k broker.GrantKey, provider string) {
	f.log.Warn("a token was not revoked", "principal", k.Principal, "server", k.Server, "provider", provider)
	f.tell(ctx, broker.GrantNotRevoked, k, credential.GrantFact{Provider: provider})
}

// tell records within a time of its own: a fact does not end with the call that
// met it.
func (f grantFacts) tell(ctx context.Context, kind broker.FactKind, k broker.GrantKey, detail credential.GrantFact) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	at := f.now()
	fact := credential.FactOf(kind, k, detail)
	fact.Receipt = ulid.MustNew(ulid.Timestamp(at), rand.Reader).String()
	if err := f.journal.Tell(ctx, fact, at); err != nil {
		f.log.Error("a fact could not be recorded", "fact", string(kind), "cause", err.Error(), string(telemetry.AuditFailures), 1)
	}
}
