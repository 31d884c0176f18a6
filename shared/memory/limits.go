package memory

import (
	"context"
	"time"

	"bindery/shared/broker"
)

// LoadRollingKey implements broker.RollingKeys.
func (s *DB) LoadRollingKey(ctx context.Context, environment string, day int64) (broker.RollingKey, error) {
	if err := broker.CheckName("environment", environment); err != nil {
		return broker.RollingKey{}, err
	}
	var found broker.RollingKey
	err := s.do(ctx, LoadRollingKey, func() error {
		k, ok := s.rollingKeys[dayKey{environment, day}]
		if !ok || !s.now().Before(k.Expires()) {
			return broker.ErrNotFound
		}
		found = k
		return nil
	})
	if err != nil {
		return broker.RollingKey{}, err
	}
	return found, nil
}

// AddRollingKey implements broker.RollingKeys.
func (s *DB) AddRollingKey(ctx context.Context, k broker.RollingKey) (broker.RollingKey, error) {
	if err := k.Check(); err != nil {
		return broker.RollingKey{}, err
	}
	err := s.do(ctx, AddRollingKey, func() error {
		at := dayKey{k.Environment, k.Day}
		if there, ok := s.rollingKeys[at]; ok {
			k = there
			return nil
		}
		k.Sealed = clone(k.Sealed)
		s.rollingKeys[at] = k
		return nil
	})
	if err != nil {
		return broker.RollingKey{}, err
	}
	return k, nil
}

// CountCall implements broker.Quotas.
func (s *DB) CountCall(ctx context.Context, q broker.Quota, at time.Time) (bool, error) {
	if err := q.CheckCall(at); err != nil {
		return false, err
	}
	counted := false
	err := s.do(ctx, CountCall, func() error {
		window := windowKey{q.Environment, q.Subject, at.Truncate(broker.QuotaWindow).Unix()}
		if counted = s.calls[window] < q.Limit; counted {
			s.calls[window]++
		}
		return nil
	})
	return counted && err == nil, err
}

// stay is who holds a place, and until when.
type stay struct {
	holder string
	until  time.Time
}

// TakePlace implements broker.Quotas.
func (s *DB) TakePlace(ctx context.Context, q broker.Quota, holder string, now, until time.Time) (broker.Place, bool, error) {
	if err := q.CheckTaking(holder, now, until); err != nil {
		return broker.Place{}, false, err
	}
	number := -1
	err := s.do(ctx, TakePlace, func() error {
		for n := range q.Limit {
			held, ok := s.places[placeKey{q.Environment, q.Subject, n}]
			if held.holder == holder {
				number = n
				break
			}
			if free := !ok || held.until.Before(now.Add(-broker.ClockSkew)); free && number < 0 {
				number = n
			}
		}
		if number >= 0 {
			s.places[placeKey{q.Environment, q.Subject, number}] = stay{holder, plain(until)}
		}
		return nil
	})
	if err != nil || number < 0 {
		return broker.Place{}, false, err
	}
	return broker.Place{Quota: q, Number: number, Holder: holder}, true, nil
}

// FreePlace implements broker.Quotas.
func (s *DB) FreePlace(ctx context.Context, p broker.Place) error {
	if err := p.Check(); err != nil {
		return err
	}
	return s.do(ctx, FreePlace, func() error {
		at := placeKey{p.Quota.Environment, p.Quota.Subject, p.Number}
		if s.places[at].holder == p.Holder {
			delete(s.places, at)
		}
		return nil
	})
}
