package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"bindery/shared/broker"
)

// grant is all there is about one grant. It is replaced, never written into.
type grant struct {
	broker.Grant
	begun    string // what began this generation
	settled  string // the lease that was ended last
	spared   string // the spare that was kept last, though it may be gone
	spare    *broker.Spare
	consents map[string]broker.Consent
}

func (g *grant) view() broker.GrantView {
	v := broker.GrantView{Grant: g.Grant, Spare: g.spare}
	for _, c := range g.consents {
		if c.Generation == g.Generation {
			v.Consents = append(v.Consents, c)
		}
	}
	slices.SortFunc(v.Consents, func(a, b broker.Consent) int { return cmp.Compare(a.Agent, b.Agent) })
	return v
}

// living reports whether the grant is as it was seen, and lives.
func (g *grant) living(seen broker.Grant) bool {
	return g.Generation == seen.Generation && g.Version == seen.Version && g.State == broker.Active && g.Dead.IsZero()
}

// alter replaces a grant by what change makes of it. One that never was is a
// conflict.
func (s *DB) alter(ctx context.Context, op Op, k broker.GrantKey, change func(next *grant) error) error {
	return s.do(ctx, op, func() error {
		now := s.grants[k]
		switch {
		case now == nil:
			return broker.ErrConflict
		case s.spoilt[k]:
			return broker.ErrUndecodable
		}
		next := *now
		if err := change(&next); err != nil {
			return err
		}
		s.grants[k] = &next
		return nil
	})
}

// Grant implements broker.Grants.
func (s *DB) Grant(ctx context.Context, k broker.GrantKey) (broker.GrantView, error) {
	if err := k.Check(); err != nil {
		return broker.GrantView{}, err
	}
	var found broker.GrantView
	err := s.do(ctx, ReadGrant, func() error {
		g := s.grants[k]
		switch {
		case g == nil:
			return broker.ErrNotFound
		case s.spoilt[k]:
			return broker.ErrUndecodable
		}
		found = g.view()
		return nil
	})
	if err != nil {
		return broker.GrantView{}, err
	}
	return found, nil
}

// BeginGrant implements broker.Grants.
func (s *DB) BeginGrant(ctx context.Context, g broker.Grant, c broker.Consent) error {
	next := g.Begins()
	c.Generation, c.At = next.Generation, plain(c.At)
	if err := cmp.Or(next.Check(), c.Check()); err != nil {
		return err
	}
	next.Scopes, next.Sealed = clone(next.Scopes), clone(next.Sealed)
	next.Consented, next.Until, next.Expires = plain(next.Consented), plain(next.Until), plain(next.Expires)
	begun := broker.Digest(string(next.Sealed), c.Agent)
	return s.do(ctx, BeginGrant, func() error {
		now := cmp.Or(s.grants[g.GrantKey], &grant{})
		switch {
		case now.Generation == next.Generation && now.begun == begun:
			return nil
		case now.Generation != g.Generation, !now.Ended.IsZero() && !now.Ended.Before(next.Consented):
			return broker.ErrConflict
		}
		next.Version = now.Version + 1
		consents := maps.Clone(now.consents)
		if consents == nil {
			consents = map[string]broker.Consent{}
		}
		consents[c.Agent] = c
		s.grants[g.GrantKey] = &grant{Grant: next, begun: begun, consents: consents}
		return nil
	})
}

// AddConsent implements broker.Grants.
func (s *DB) AddConsent(ctx context.Context, k broker.GrantKey, c broker.Consent) error {
	if err := cmp.Or(k.Check(), c.Check()); err != nil {
		return err
	}
	c.At = plain(c.At)
	return s.alter(ctx, AddConsent, k, func(next *grant) error {
		if !next.living(broker.Grant{Generation: c.Generation, Version: next.Version}) {
			return broker.ErrConflict
		}
		next.consents = maps.Clone(next.consents)
		next.consents[c.Agent] = c
		return nil
	})
}

// EndGrant implements broker.Grants.
func (s *DB) EndGrant(ctx context.Context, k broker.GrantKey, to broker.State, at time.Time) (broker.Grant, error) {
	if err := k.CheckEnding(to, at); err != nil {
		return broker.Grant{}, err
	}
	var was broker.Grant
	err := s.do(ctx, EndGrant, func() error {
		now := s.grants[k]
		switch {
		case now == nil:
			return broker.ErrNotFound
		case s.spoilt[k]:
			return broker.ErrUndecodable
		}
		next := *now
		was = now.Grant
		if now.spare != nil {
			was.Sealed, was.Expires, was.Scopes, was.Refreshes = now.spare.Sealed, now.spare.Expires, now.spare.Scopes, now.spare.Refreshes
		}
		switch {
		case now.State == broker.Active:
			next.release()
			next.State, next.Ended, next.Sealed, next.spare = to, plain(at), nil, nil
		case to == broker.Deleted:
			next.State = to
		}
		s.grants[k] = &next
		return nil
	})
	if err != nil {
		return broker.Grant{}, err
	}
	return was, nil
}

// GrantsOf implements broker.Grants.
func (s *DB) GrantsOf(ctx context.Context, environment, principal, after string, limit int) (grants []broker.Grant, next string, err error) {
	if err := broker.CheckGrantsOf(environment, principal, after, limit); err != nil {
		return nil, "", err
	}
	grants, next, err = s.grantsAfter(ctx, ListGrants, after, limit, broker.Grant.Token, func(k broker.GrantKey) bool {
		return k.Environment == environment && k.Principal == principal
	})
	for i := range grants {
		grants[i].Sealed = nil
	}
	return grants, next, err
}

// DueGrants implements broker.Grants.
func (s *DB) DueGrants(ctx context.Context, environment string, before time.Time, limit int) ([]broker.Grant, error) {
	if err := broker.CheckDueGrants(environment, before, limit); err != nil {
		return nil, err
	}
	var due []broker.Grant
	spoilt := 0
	err := s.do(ctx, ListDue, func() error {
		for k, g := range s.grants {
			switch {
			case k.Environment != environment || !g.DueBefore(before):
			case s.spoilt[k]:
				spoilt++
			default:
				due = append(due, g.Grant)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(due, func(a, b broker.Grant) int { return a.DueAt().Compare(b.DueAt()) })
	return due[:min(limit, len(due))], passedOver(ListDue, spoilt)
}
