package memory

import (
	"cmp"
	"context"
	"slices"

	"bindery/shared/broker"
)

// AddRevocation implements broker.Revocations.
func (s *DB) AddRevocation(ctx context.Context, r broker.Revocation) error {
	return s.putRevocation(ctx, AddRevocation, r, r.CheckBeginning())
}

// PutRevocation implements broker.Revocations.
func (s *DB) PutRevocation(ctx context.Context, r broker.Revocation) error {
	return s.putRevocation(ctx, PutRevocation, r, r.CheckChange())
}

func (s *DB) putRevocation(ctx context.Context, op Op, r broker.Revocation, invalid error) error {
	if invalid != nil {
		return invalid
	}
	return s.do(ctx, op, func() error {
		expected := r.Version
		r.Version++
		r.At, r.NextTry, r.Done, r.Accepted = plain(r.At), plain(r.NextTry), plain(r.Done), plain(r.Accepted)
		r.Unknown, r.Unreached, r.Counted = clone(r.Unknown), clone(r.Unreached), clone(r.Counted)
		for i := range r.Unreached {
			r.Unreached[i].Until = plain(r.Unreached[i].Until)
		}
		return replace(s.revocations, idKey{r.Environment, r.ID}, r, func(now *broker.Revocation) bool {
			return now == nil && expected == 0 || now != nil && now.Version == expected
		})
	})
}

// Revocation implements broker.Revocations.
func (s *DB) Revocation(ctx context.Context, environment, id string) (broker.Revocation, error) {
	invalid := broker.CheckCase(environment, id)
	return one(ctx, s, ReadRevocation, invalid, func() *broker.Revocation { return s.revocations[idKey{environment, id}] })
}

// OpenRevocations implements broker.Revocations.
func (s *DB) OpenRevocations(ctx context.Context, environment string, limit int) ([]broker.Revocation, error) {
	return s.listRevocations(ctx, environment, "", limit, func(r broker.Revocation) bool { return r.Work == broker.WorkOpen },
		func(a, b broker.Revocation) int { return cmp.Compare(a.ID, b.ID) })
}

// RevocationsOf implements broker.Revocations.
func (s *DB) RevocationsOf(ctx context.Context, environment, after string, limit int) ([]broker.Revocation, error) {
	return s.listRevocations(ctx, environment, after, limit, func(r broker.Revocation) bool { return after == "" || r.ID < after },
		func(a, b broker.Revocation) int { return cmp.Compare(b.ID, a.ID) })
}

func (s *DB) listRevocations(ctx context.Context, environment, after string, limit int, wanted func(broker.Revocation) bool, order func(a, b broker.Revocation) int) ([]broker.Revocation, error) {
	if err := broker.CheckCases(environment, after, limit); err != nil {
		return nil, err
	}
	var found []broker.Revocation
	spoilt := 0
	err := s.do(ctx, ListRevocations, func() error {
		var all []broker.Revocation
		for at, r := range s.revocations {
			if at.environment == environment && wanted(*r) {
				all = append(all, *r)
			}
		}
		slices.SortFunc(all, order)
		found, spoilt = decoding(all, limit, func(r broker.Revocation) bool { return s.spoilt[caseKey{environment, r.ID}] })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, passedOver(ListRevocations, spoilt)
}
