package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// GrantFact is the detail of facts about a grant.
type GrantFact struct {
	Provider   string `json:"provider"`
	Generation int64  `json:"generation,omitempty"` // of the consent, where it is known
	Fault      string `json:"fault,omitempty"`      // of a grant that died: what the provider made of its refresh token
}

// FactOf is a fact about a grant; who tells it adds the receipt.
func FactOf(kind broker.FactKind, k broker.GrantKey, detail GrantFact) broker.Fact {
	return broker.Fact{Kind: kind, Environment: k.Environment, Object: "grant/" + k.Principal + "/" + k.Server, Server: k.Server, Detail: detail}
}

// TellUnknown tells that nobody knows what the grant's latest attempt at a token
// came to. Its receipt follows from the attempt, so that it is told once: by whoever
// made it, or by whoever comes next and is about to put something in its place.
func TellUnknown(ctx context.Context, j *broker.Journal, g broker.Grant, now time.Time) error {
	f := FactOf(broker.GrantOutcomeUnknown, g.GrantKey, GrantFact{Provider: g.Provider, Generation: g.Generation})
	f.Receipt = attempt(g)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	if err := j.Tell(ctx, f, now); err != nil && !errors.Is(err, broker.ErrConflict) {
		return fmt.Errorf("tell of an attempt of unknown outcome: %w", err)
	}
	return nil
}

// attempt is the receipt of the grant's latest attempt: holders are unique.
func attempt(g broker.Grant) string {
	return broker.ReceiptOf(g.Attempted, "fact", string(broker.GrantOutcomeUnknown), g.Environment, g.Principal, g.Server, g.Origin, g.Lease)
}
