package dynamo

import (
	"context"
	"errors"
	"fmt"

	"bindery/shared/broker"
)

// rollingKeyRow carries expires, the table's TTL attribute. DynamoDB deletes
// late, so the life of a key is compared here as well.
type rollingKeyRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Day         int64  `dynamodbav:"day"`
	Sealed      []byte `dynamodbav:"sealed"`
	Expires     int64  `dynamodbav:"expires"`
}

func (r rollingKeyRow) value() (broker.RollingKey, error) {
	return broker.RollingKey{Environment: r.Environment, Day: r.Day, Sealed: r.Sealed}, nil
}

func decodeRollingKey(a attributes) (broker.RollingKey, error) {
	return decode(a, rollingKeyRow.value, func(k broker.RollingKey) key { return rollingKeyKey(k.Environment, k.Day) })
}

// LoadRollingKey implements broker.RollingKeys.
func (s *DB) LoadRollingKey(ctx context.Context, environment string, day int64) (broker.RollingKey, error) {
	const doing = "load the rolling key"
	if err := broker.CheckName("environment", environment); err != nil {
		return broker.RollingKey{}, err
	}
	a, err := s.get(ctx, doing, s.tables.Transient, rollingKeyKey(environment, day))
	if err != nil {
		return broker.RollingKey{}, err
	}
	if a == nil {
		return broker.RollingKey{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	k, err := decodeRollingKey(a)
	if err != nil {
		return broker.RollingKey{}, fmt.Errorf("%s: %w", doing, err)
	}
	if !s.now().Before(k.Expires()) {
		return broker.RollingKey{}, fmt.Errorf("%s: %w: it is past its life", doing, broker.ErrNotFound)
	}
	return k, nil
}

// AddRollingKey implements broker.RollingKeys. Where the day has a key, the
// refused put gives it: it was there, and it never changes.
func (s *DB) AddRollingKey(ctx context.Context, k broker.RollingKey) (broker.RollingKey, error) {
	const doing = "add the rolling key"
	if err := k.Check(); err != nil {
		return broker.RollingKey{}, err
	}
	item, err := encode(doing, rollingKeyRow{rollingKeyKey(k.Environment, k.Day).item(), k.Environment, k.Day, k.Sealed, k.Expires().Unix()})
	if err != nil {
		return broker.RollingKey{}, err
	}
	there, err := s.tryPut(ctx, doing, s.tables.Transient, item, absent())
	switch {
	case err == nil:
		return k, nil
	case !errors.Is(err, broker.ErrConflict):
		return broker.RollingKey{}, err
	}
	if k, err = decodeRollingKey(there); err != nil {
		return broker.RollingKey{}, fmt.Errorf("%s: %w", doing, err)
	}
	return k, nil
}
