package credential

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"bindery/shared/broker"
)

// Times of the protocol. The provider has answered, and what it gave is stored,
// long before the lease is over: a living holder is never overtaken.
const (
	leaseTime  = 30 * time.Second
	callTime   = 10 * time.Second // from taking the lease to the provider's answer
	settleTime = 10 * time.Second // from then on, to store it
	leastTime  = 3 * time.Second  // of an invocation: with less left, nothing is begun
	spareTime  = 2 * time.Second  // of an invocation, kept for storing

	patience     = 12 * time.Second       // of those who wait for a holder, without a token that works
	lessPatience = 500 * time.Millisecond // with one
	maxTurns     = 6                      // attempts of one call at what others change meanwhile
)

// turn is what a step of the protocol led to: an answer, or that the grant has
// to be read anew.
type turn struct {
	tokens tokens
	again  bool
}

// current gives a token of the grant that works, refreshed if need be.
func (g *Grants) current(ctx context.Context, w *wanted) (tokens, error) {
	wait, first := waiting{}, int64(-1)
	for turns := 0; ; {
		view, err := g.read(ctx, w)
		if err != nil {
			return tokens{}, err
		}
		grant, now := &view.Grant, g.parts.Now()
		if first < 0 {
			first = grant.Version
		}
		switch {
		case w.fresh(grant, now), grant.Version != first && works(grant, now): // the second: somebody's new one, however short-lived
			return g.leftOver(ctx, w, grant, nil)
		case !grant.Refreshes:
			return g.leftOver(ctx, w, grant, w.lacks(broker.ConsentDead))
		case now.Before(grant.CoolUntil):
			return g.leftOver(ctx, w, grant, fmt.Errorf("%w: it is left alone for a while", broker.ErrProviderUnavailable))
		case grant.Lease != "" && now.Before(grant.LeaseUntil.Add(broker.ClockSkew)):
			if err := g.pause(ctx, w, &wait, works(grant, now)); err != nil {
				return g.leftOver(ctx, w, grant, fmt.Errorf("%w: somebody else's refresh did not end in time", broker.ErrProviderUnavailable))
			}
		case turns == maxTurns:
			return g.leftOver(ctx, w, grant, fmt.Errorf("%w: the grant keeps changing", broker.ErrUnavailable))
		default:
			turns++
			if t, err := g.refresh(ctx, w, &view); err != nil || !t.again {
				return t.tokens, err
			}
		}
	}
}

// leftOver gives the token at hand as long as it works, and else the fault that
// kept it from being replaced. Ahead of time nobody needs it opened.
func (g *Grants) leftOver(ctx context.Context, w *wanted, grant *broker.Grant, fault error) (tokens, error) {
	if w.due.IsZero() && works(grant, g.parts.Now()) {
		return g.open(ctx, w, grant)
	}
	return tokens{}, fault
}

// waiting counts how long a call has waited for somebody else's refresh.
type waiting struct {
	pauses int
	total  time.Duration
}

// pause waits a little longer each time, nobody exactly as long as another.
func (g *Grants) pause(ctx context.Context, w *wanted, n *waiting, works bool) error {
	limit := patience
	switch {
	case !w.due.IsZero():
		limit = 0
	case works:
		limit = lessPatience
	}
	if n.total >= limit {
		return broker.ErrUnavailable
	}
	d := min(scatter(min(100*time.Millisecond<<n.pauses, time.Second), g.parts.Holder()), limit-n.total)
	n.pauses++
	n.total += d
	return g.parts.Pause(ctx, d)
}

// scatter gives between half of d and d, by what only one process knows.
func scatter(d time.Duration, by string) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(by))
	return d/2 + time.Duration(h.Sum64()%uint64(d/2+1))
}

// refresh makes one attempt: takes the lease, and either stores a spare that
// somebody left or asks the provider. What was seen is not fresh, and nobody holds it.
func (g *Grants) refresh(ctx context.Context, w *wanted, view *broker.GrantView) (turn, error) {
	seen := &view.Grant
	end, bounded := ctx.Deadline()
	if bounded && time.Until(end) < leastTime {
		return g.instead(ctx, w, seen, fmt.Errorf("%w: no time is left to refresh", broker.ErrProviderUnavailable))
	}
	provider, err := g.parts.Providers.Provider(ctx, w.key.Environment, w.provider)
	if err == nil && provider.State != broker.Active || errors.Is(err, broker.ErrNotFound) {
		err = fmt.Errorf("%w: it is not registered and active here", broker.ErrProviderRefused)
	}
	if err != nil {
		return g.instead(ctx, w, seen, fmt.Errorf("provider of the grant: %w", err))
	}
	if w.recorded == nil {
		return turn{}, broker.ErrUnrecorded
	}
	if err := w.recorded(ctx); err != nil {
		return turn{}, err
	}
	provider, same := provider.Of(*seen)
	l := &lease{Grants: g, wanted: w, ask: TokenAsk{Provider: provider, Server: w.server, Stores: w.stores, Scopes: slices.Clone(seen.Scopes)}}
	if seen.Resource != "" {
		l.ask.Server.URL = seen.Resource // what the tokens were asked for, wherever at its origin the server is now
	}
	switch err := l.take(ctx, view); {
	case errors.Is(err, broker.ErrConflict):
		return turn{again: true}, nil
	case err != nil:
		return g.instead(ctx, w, seen, err)
	}
	// From here on the caller may go away: what is begun is brought to its end.
	if l.answerBy = l.taken.Add(callTime); bounded {
		l.answerBy = earlier(l.answerBy, l.taken.Add(time.Until(end)-spareTime))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime+settleTime)
	defer cancel()
	if l.spare != nil {
		return l.adopt(ctx)
	}
	if !same { // it gets to see no token of another's
		return l.kill(ctx, AnotherParty)
	}
	return l.request(ctx)
}

func (g *Grants) instead(ctx context.Context, w *wanted, grant *broker.Grant, fault error) (turn, error) {
	t, err := g.leftOver(ctx, w, grant, fault)
	return turn{tokens: t}, err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// request asks the provider, under the lease.
func (l *lease) request(ctx context.Context) (turn, error) {
	old, err := l.open(ctx, l.wanted, &l.grant)
	if err != nil {
		l.cool(ctx, time.Second, "not_opened")
		return turn{}, err
	}
	now := l.parts.Now()
	if !now.Before(l.answerBy) { // too slow: somebody else may have the lease before the answer comes
		l.cool(ctx, 0, "late")
		return turn{again: true}, nil
	}
	call, cancel := context.WithTimeout(ctx, l.answerBy.Sub(now))
	set, err := l.parts.Tokens.Refresh(call, l.ask, old.Refresh)
	cancel()
	switch {
	case err == nil && set.Access.IsZero():
		err = &TokenFault{Kind: OutcomeUnknown}
	case err == nil && !within(set.Scopes, l.grant.Scopes):
		err = &TokenFault{Kind: WiderScope}
	case err == nil:
		return l.keep(ctx, old, set)
	}
	return l.failed(ctx, old, set, faultOf(err))
}

// failed judges a failed request.
func (l *lease) failed(ctx context.Context, old tokens, set TokenSet, fault *TokenFault) (turn, error) {
	switch fault.Kind {
	case InvalidGrant:
		return l.invalid(ctx)
	case WiderScope: // nobody consented to it, and the old refresh token may be gone
		if err := l.revoke(ctx, set); err != nil {
			return turn{}, err // the attempt stays marked, and is told of as one of unknown outcome
		}
		return l.kill(ctx, WiderScope)
	case Transient:
		l.cool(ctx, coolTime(l.grant.Failures, fault.RetryAfter, l.holder), string(Transient))
		return l.useOld(old, fmt.Errorf("%w: %w", broker.ErrProviderUnavailable, fault))
	case Refused:
		l.cool(ctx, coolTime(l.grant.Failures, time.Minute, l.holder), string(Refused))
		return l.useOld(old, fmt.Errorf("%w: %w", broker.ErrProviderRefused, fault))
	default:
		// The lease is left to run out, and the attempt stays marked: whoever finds
		// the refresh token used up will know why, and tells of it if this could not.
		_ = l.parts.Events.OutcomeUnknown(ctx, l.grant)
		return l.useOld(old, fmt.Errorf("%w: %w", broker.ErrOutcomeUnknown, fault))
	}
}

func (l *lease) useOld(old tokens, fault error) (turn, error) {
	if l.due.IsZero() && works(&l.grant, l.parts.Now()) {
		return turn{tokens: old}, nil
	}
	return turn{}, fault
}

// coolTime doubles with each failure in a row, and is never shorter than what
// the provider asked for, up to an hour.
func coolTime(failures int, asked time.Duration, holder string) time.Duration {
	d := min(5*time.Second<<min(failures, 10), 5*time.Minute)
	return max(scatter(d, holder), min(asked, time.Hour))
}
