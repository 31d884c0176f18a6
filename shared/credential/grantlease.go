package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// lease is the right to ask the provider, taken by one attempt.
type lease struct {
	*Grants
	*wanted
	ask      TokenAsk
	holder   string
	taken    time.Time
	answerBy time.Time    // when the provider must have answered
	grant    broker.Grant // as it was read under the lease
	spare    *broker.Spare
}

// storeTries is how often a write of unknown fate is repeated. Adapters repeat
// what was throttled by themselves; this is for answers that were lost.
const storeTries = 3

// retry repeats what failed for a passing reason.
func (g *Grants) retry(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || errors.Is(err, broker.ErrConflict) || errors.Is(err, broker.ErrNotFound) || n == storeTries {
			return err
		}
		if g.parts.Pause(ctx, 50*time.Millisecond<<n) != nil {
			return err
		}
	}
}

// take leases the very version that was seen, and reads the grant anew. Of whoever
// asked before and was not heard of again, and left no spare, it tells first: with
// the lease their attempt is no longer the grant's latest.
func (l *lease) take(ctx context.Context, view *broker.GrantView) error {
	l.holder, l.taken = l.parts.Holder(), l.parts.Now()
	if view.Abandoned(l.taken) {
		if err := l.parts.Events.OutcomeUnknown(ctx, view.Grant); err != nil {
			return err
		}
	}
	err := l.retry(ctx, func() error {
		leased, err := l.parts.Grants.LeaseGrant(ctx, view.Grant, l.holder, l.taken, l.taken.Add(leaseTime))
		l.grant, l.spare = leased.Grant, leased.Spare
		return err
	})
	if err != nil {
		return fmt.Errorf("take the lease: %w", err)
	}
	return nil
}

// adopt stores what somebody got and could not store, in place of asking.
func (l *lease) adopt(ctx context.Context) (turn, error) {
	s := l.spare
	err := l.retry(ctx, func() error {
		_, err := l.parts.Grants.StoreTokens(ctx, l.grant,
			broker.Tokens{Sealed: s.Sealed, Expires: s.Expires, Scopes: s.Scopes, Refreshes: s.Refreshes}, l.parts.Now())
		return err
	})
	if err != nil && !errors.Is(err, broker.ErrConflict) {
		return turn{}, fmt.Errorf("store the spare: %w", err)
	}
	return turn{again: true}, nil
}

// keep stores a new token set. While the grant cannot be written, the set is
// kept beside it, so that it survives this process; if neither can be done in
// time, the call goes on with it and it is counted as lost.
func (l *lease) keep(ctx context.Context, old tokens, set TokenSet) (turn, error) {
	if set.Refresh.IsZero() {
		set.Refresh = old.Refresh
	}
	t := tokens{TokenSet: set, previous: old.Access, generation: l.grant.Generation, version: l.grant.Version + 1}
	var sealed broker.Tokens
	spared, until := false, l.parts.Now().Add(settleTime)
	for n := 0; ; n++ {
		err := error(nil)
		if sealed.Sealed == nil {
			sealed, err = sealTokens(ctx, l.parts.Sealer, l.key, set, l.grant.Scopes, old.Access)
		}
		if err == nil {
			_, err = l.parts.Grants.StoreTokens(ctx, l.grant, sealed, l.parts.Now())
			if err != nil && !errors.Is(err, broker.ErrConflict) && !spared {
				err = l.parts.Grants.KeepSpare(ctx, l.grant, sealed)
				if spared = err == nil; spared {
					continue // now there is time for another try
				}
			}
		}
		switch {
		case errors.Is(err, broker.ErrConflict):
			return l.displaced(ctx, t, sealed)
		case err == nil, spared:
			return l.use(t)
		}
		if l.parts.Now().After(until) || n == 2*storeTries || l.parts.Pause(ctx, 50*time.Millisecond<<n) != nil {
			_ = l.parts.Events.OutcomeUnknown(ctx, l.grant) // else whoever has the lease next tells it
			return l.use(t)
		}
	}
}

// use gives a token that was just issued, if its scopes still do for the call.
func (l *lease) use(t tokens) (turn, error) {
	if t.Scopes != nil && !within(l.scopes, t.Scopes) && l.due.IsZero() {
		return turn{}, l.lacks(broker.ConsentScopes)
	}
	return turn{tokens: t}, nil
}

// displaced finds out who was there first. A lease that was lost does not
// matter as long as the version is the same: whoever has it now finds the spare.
func (l *lease) displaced(ctx context.Context, t tokens, sealed broker.Tokens) (turn, error) {
	err := l.retry(ctx, func() error { return l.parts.Grants.KeepSpare(ctx, l.grant, sealed) })
	if err == nil {
		return l.use(t)
	}
	view, err := l.reread(ctx)
	switch {
	case err != nil && !errors.Is(err, broker.ErrNotFound): // nobody can say whether it was revoked
		return turn{}, errors.Join(err, l.parts.Events.OutcomeUnknown(ctx, l.grant))
	case err != nil || view.Grant.State != broker.Active || !view.Grant.Dead.IsZero():
		if err := l.revoke(ctx, t.TokenSet); err != nil {
			return turn{}, err
		}
	}
	// A new consent leaves the set to expire: some providers would end the new
	// one with it. A later version of the same consent is its successor.
	return turn{again: true}, nil
}

// invalid is the provider's word that the refresh token is not good. It counts
// only if that token is still the grant's.
func (l *lease) invalid(ctx context.Context) (turn, error) {
	for range storeTries { // a spare may come up at the last moment
		view, err := l.reread(ctx)
		if err != nil { // one that is gone is no reason to tell of a death either
			return turn{}, err
		}
		switch now := &view.Grant; {
		case now.State != broker.Active || now.Generation != l.grant.Generation || now.Version != l.grant.Version:
			return turn{again: true}, nil
		case view.Spare != nil:
			l.spare = view.Spare
			return l.adopt(ctx)
		}
		fault := InvalidGrant
		if !l.grant.Unsettled.IsZero() { // whoever asked before was not heard of again
			fault = OutcomeUnknown
		}
		if t, err := l.kill(ctx, fault); err != nil || !t.again {
			return t, err
		}
	}
	return turn{again: true}, nil
}

// kill latches the grant's death together with the record of it: what is not
// recorded has not died.
func (l *lease) kill(ctx context.Context, fault FaultKind) (turn, error) {
	dead, at := l.grant, l.parts.Now()
	dead.Fault = string(fault)
	told, err := l.parts.Events.Death(dead, at)
	if err != nil {
		return turn{}, fmt.Errorf("make the record of the grant's death: %w", err)
	}
	var first bool
	err = l.retry(ctx, func() (err error) {
		first, err = l.parts.Grants.KillGrant(ctx, l.grant, at, dead.Fault, told)
		return err
	})
	switch {
	case errors.Is(err, broker.ErrConflict):
		return turn{again: true}, nil
	case err != nil:
		return turn{}, fmt.Errorf("latch the grant's death: %w", err)
	case first:
		l.parts.Events.GrantDied(dead)
	}
	return turn{}, l.lacks(broker.ConsentDead)
}

// cool ends the lease after a failure that says nothing of the grant. If that
// cannot be stored, the lease runs out by itself.
func (l *lease) cool(ctx context.Context, d time.Duration, fault string) {
	_ = l.retry(ctx, func() error {
		return l.parts.Grants.CoolGrant(ctx, l.grant, l.parts.Now().Add(d), fault)
	})
}

// revoke ends a token set that must not be used, at the provider, or tells that it
// did not; it fails if it can do neither.
func (l *lease) revoke(ctx context.Context, set TokenSet) error {
	if set.Access.IsZero() && set.Refresh.IsZero() {
		return nil
	}
	if err := l.parts.Tokens.Revoke(ctx, l.ask, set); err != nil {
		return l.parts.Events.RevocationFailed(ctx, l.grant)
	}
	return nil
}

func (l *lease) reread(ctx context.Context) (view broker.GrantView, err error) {
	err = l.retry(ctx, func() error {
		view, err = l.parts.Grants.Grant(ctx, l.key)
		return err
	})
	if err != nil {
		return view, fmt.Errorf("read the grant again: %w", err)
	}
	return view, nil
}
