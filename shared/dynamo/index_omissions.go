package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

// Looked implements broker.IntentWatch.
func (s *DB) Looked(ctx context.Context, environment string) (time.Time, error) {
	const doing = "read how far intents were looked at"
	if err := broker.CheckName("environment", environment); err != nil {
		return time.Time{}, err
	}
	a, err := s.get(ctx, doing, s.tables.AuditIndex, lookedKey(environment))
	if err != nil || a == nil {
		return time.Time{}, err
	}
	r, err := row(a, func(lookedRow) key { return lookedKey(environment) })
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", doing, err)
	}
	return stampOf(r.Until)
}

// MoveLooked implements broker.IntentWatch.
func (s *DB) MoveLooked(ctx context.Context, environment string, from, to time.Time) error {
	const doing = "move how far intents were looked at"
	if err := broker.CheckLooked(environment, from, to); err != nil {
		return err
	}
	item, err := encode(doing, lookedRow{lookedKey(environment).item(), stamp(to)})
	if err != nil {
		return err
	}
	still := absent()
	if !from.IsZero() {
		still = expression.Name("until").Equal(expression.Value(stamp(from)))
	}
	return s.put(ctx, doing, s.tables.AuditIndex, item, still)
}

// AddWithoutOutcome implements broker.IntentWatch. The entry is the one that is
// found by other ways too: nothing can be replaced by something else.
func (s *DB) AddWithoutOutcome(ctx context.Context, e broker.Entry) error {
	lead := broker.Lead{By: broker.ByOmission}
	if err := e.Check(); err != nil {
		return err
	}
	if !e.LedBy(lead) {
		return fmt.Errorf("%w entry: it is no intent", broker.ErrInvalid)
	}
	return s.putAll(ctx, "add the intent without outcome", map[key]any{entryKey(e, lead): newEntryRow(e, lead)})
}
