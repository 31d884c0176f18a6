package memory

import (
	"cmp"
	"context"
	"time"

	"bindery/shared/broker"
)

// release ends a lease, whose attempt is over.
func (g *grant) release() {
	g.settled = lease(g.Grant)
	g.Lease, g.LeaseUntil, g.Attempted, g.Unsettled = "", time.Time{}, time.Time{}, time.Time{}
}

// lease names a lease: holders are unique to an attempt, and this makes sure.
func lease(g broker.Grant) string { return broker.Digest(g.Lease, plain(g.Attempted).String()) }

func (g *grant) holds(leased broker.Grant) bool {
	return g.Lease == leased.Lease && g.Attempted.Equal(leased.Attempted)
}

// LeaseGrant implements broker.Grants.
func (s *DB) LeaseGrant(ctx context.Context, seen broker.Grant, holder string, now, until time.Time) (broker.GrantView, error) {
	if err := seen.CheckLeasing(holder, now, until); err != nil {
		return broker.GrantView{}, err
	}
	var under broker.GrantView
	err := s.alter(ctx, LeaseGrant, seen.GrantKey, func(next *grant) error {
		switch {
		case !next.living(seen) || next.CoolUntil.After(now):
			return broker.ErrConflict
		case next.Lease != holder && !next.Attempted.Equal(seen.Attempted): // somebody else's, that was not seen
			return broker.ErrConflict
		case next.Lease == "" || next.LeaseUntil.Before(now.Add(-broker.ClockSkew)):
			next.Unsettled = next.Attempted
			next.Lease, next.LeaseUntil, next.Attempted = holder, plain(until), plain(now)
		case next.Lease != holder || !next.LeaseUntil.After(now):
			return broker.ErrConflict
		}
		under = broker.GrantView{Grant: next.Grant, Spare: next.spare}
		return nil
	})
	if err != nil {
		return broker.GrantView{}, err
	}
	return under, nil
}

// StoreTokens implements broker.Grants.
func (s *DB) StoreTokens(ctx context.Context, leased broker.Grant, t broker.Tokens, now time.Time) (broker.Grant, error) {
	if err := cmp.Or(leased.CheckLeased(now, ""), t.CheckFor(leased)); err != nil {
		return broker.Grant{}, err
	}
	sealed := clone(t.Sealed)
	var stored broker.Grant
	err := s.alter(ctx, StoreTokens, leased.GrantKey, func(next *grant) error {
		after := leased
		after.Version++
		if next.living(after) && next.settled == lease(leased) && string(next.Sealed) == string(sealed) {
			stored = next.Grant // an earlier attempt was applied and its answer lost
			return nil
		}
		if !next.living(leased) || !next.holds(leased) {
			return broker.ErrConflict
		}
		next.release()
		next.Version++
		next.Sealed, next.Expires, next.Scopes, next.Refreshes = sealed, plain(t.Expires), clone(t.Scopes), t.Refreshes
		next.CoolUntil, next.Failures, next.Fault, next.spare = time.Time{}, 0, "", nil
		stored = next.Grant
		return nil
	})
	if err != nil {
		return broker.Grant{}, err
	}
	return stored, nil
}

// KeepSpare implements broker.Grants.
func (s *DB) KeepSpare(ctx context.Context, leased broker.Grant, t broker.Tokens) error {
	if err := t.CheckFor(leased); err != nil {
		return err
	}
	spare := broker.Spare{Generation: leased.Generation, Version: leased.Version, Sealed: clone(t.Sealed),
		Expires: plain(t.Expires), Scopes: clone(t.Scopes), Refreshes: t.Refreshes}
	mine := broker.Digest(string(t.Sealed))
	return s.alter(ctx, KeepSpare, leased.GrantKey, func(next *grant) error {
		switch {
		case next.Generation == leased.Generation && next.State == broker.Active && next.spared == mine:
			return nil // kept by an earlier attempt, and perhaps stored since
		case !next.living(leased):
			return broker.ErrConflict
		}
		next.spare, next.spared = &spare, mine
		return nil
	})
}

// CoolGrant implements broker.Grants.
func (s *DB) CoolGrant(ctx context.Context, leased broker.Grant, until time.Time, fault string) error {
	if err := leased.CheckLeased(until, fault); err != nil {
		return err
	}
	return s.alter(ctx, CoolGrant, leased.GrantKey, func(next *grant) error {
		switch {
		case next.living(leased) && next.settled == lease(leased):
			return nil
		case !next.living(leased) || !next.holds(leased):
			return broker.ErrConflict
		}
		before := next.Unsettled
		next.release()
		next.Attempted, next.CoolUntil, next.Fault = before, plain(until), fault
		next.Failures++
		return nil
	})
}

// KillGrant implements broker.Grants.
func (s *DB) KillGrant(ctx context.Context, leased broker.Grant, at time.Time, fault string, told broker.Record) (first bool, err error) {
	if err := cmp.Or(leased.CheckLeased(at, fault), told.Check()); err != nil {
		return false, err
	}
	err = s.alter(ctx, KillGrant, leased.GrantKey, func(next *grant) error {
		dead := !next.Dead.IsZero() && next.State == broker.Active && next.Generation == leased.Generation && next.Version == leased.Version
		switch {
		case dead:
			first = next.settled == lease(leased)
			return nil
		case !next.living(leased) || !next.holds(leased) || next.spare != nil:
			return broker.ErrConflict
		}
		if err := s.append(told); err != nil {
			return err
		}
		next.release()
		next.Dead, next.Fault, first = plain(at), fault, true
		return nil
	})
	return first && err == nil, err
}
