package credential

import (
	"context"
	"errors"
	"slices"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

// port is the store and the provider as one process sees them.
type port struct {
	broker.Grants
	*told
	db *memory.DB
	p  *process
}

func (o port) Grant(ctx context.Context, k broker.GrantKey) (broker.GrantView, error) {
	begun := !o.p.anyRead
	view, err := call(o.p, "read", func() (broker.GrantView, error) {
		o.p.readAt = o.p.w.sequence
		view, err := o.db.Grant(ctx, k)
		if o.p.w.mutate == spareIgnored {
			view.Spare = nil
		}
		return view, err
	})
	if begun {
		o.p.anyRead, o.p.begunDead, o.p.first = true, o.p.w.revoked, view.Grant.Version
	}
	return view, err
}

func (o port) LeaseGrant(ctx context.Context, seen broker.Grant, holder string, now, until time.Time) (broker.GrantView, error) {
	view, err := call(o.p, "lease", func() (broker.GrantView, error) {
		view, err := o.p.w.mutate.lease(ctx, o.db, seen, holder, now, until)
		if former := attempt(seen); err == nil && seen.Lease != "" && view.Spare == nil && !slices.Contains(o.p.w.overtaken, former) {
			o.p.w.overtaken = append(o.p.w.overtaken, former)
		}
		return view, err
	})
	if o.p.leases++; errors.Is(err, broker.ErrConflict) {
		o.p.forget()
	}
	return view, err
}

func (o port) StoreTokens(ctx context.Context, leased broker.Grant, t broker.Tokens, now time.Time) (broker.Grant, error) {
	return call(o.p, "store", func() (broker.Grant, error) {
		g, err := o.p.w.mutate.store(ctx, o.db, leased, t, now)
		if err == nil {
			o.p.w.settled = leased.Lease
		}
		return g, err
	})
}

func (o port) KeepSpare(ctx context.Context, leased broker.Grant, t broker.Tokens) error {
	_, err := call(o.p, "spare", func() (int, error) {
		err := o.db.KeepSpare(ctx, leased, t)
		if err == nil {
			o.p.w.spared = leased.Lease
		}
		return 0, err
	})
	return err
}

func (o port) CoolGrant(ctx context.Context, leased broker.Grant, until time.Time, fault string) error {
	_, err := call(o.p, "cool", func() (int, error) {
		err := o.db.CoolGrant(ctx, leased, until, fault)
		if err == nil {
			o.p.w.settled = leased.Lease
		}
		return 0, err
	})
	return err
}

func (o port) KillGrant(ctx context.Context, leased broker.Grant, at time.Time, fault string, told broker.Record) (bool, error) {
	return call(o.p, "kill", func() (bool, error) {
		first, err := o.db.KillGrant(ctx, leased, at, fault, told)
		if err == nil {
			o.p.w.settled = leased.Lease
		}
		return first, err
	})
}

func (o port) OutcomeUnknown(ctx context.Context, g broker.Grant) error {
	_, err := call(o.p, "tell", func() (int, error) {
		if o.p.w.mutate == untold {
			return 0, nil
		}
		return 0, o.told.OutcomeUnknown(ctx, g)
	})
	return err
}

// Refresh sends nothing after the deadline of ctx: time may have passed while
// the process stood before this step.
func (o port) Refresh(ctx context.Context, _ TokenAsk, refresh secret.Value) (TokenSet, error) {
	w, left := o.p.w, time.Hour
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	until := w.now.Add(left)
	v := o.p.stop("ask")
	o.p.faulted = false
	if w.now.After(until) && w.mutate != sentLate || v == providerOff {
		o.p.tell("transient", nil)
		return TokenSet{}, &TokenFault{Kind: Transient}
	}
	set, err := w.provider.redeem(refresh.Reveal())
	if err == nil {
		o.p.committed = set.Refresh.Reveal()
		w.issued = append(w.issued, o.p.committed)
	}
	if v == lost {
		if err == nil {
			w.excused, o.p.committed = true, ""
		}
		o.p.tell("unknown", nil)
		return TokenSet{}, &TokenFault{Kind: OutcomeUnknown}
	}
	o.p.tell("asked"+set.Refresh.Reveal(), err)
	return set, err
}

func (o port) Revoke(ctx context.Context, a TokenAsk, s TokenSet) error {
	o.p.stop("revoke")
	o.p.tell("revoked", nil)
	if s.Refresh.Reveal() == o.p.committed {
		o.p.committed = ""
	}
	return o.p.w.provider.Revoke(ctx, a, s)
}

// Pause: a repetition goes on at once; who waits for others does so until
// something changes, or gives up where nothing can.
func (o port) Pause(context.Context, time.Duration) error {
	if o.p.faulted {
		return nil
	}
	if o.p.stop("pause") == refused {
		o.p.tell("gave up", nil)
		return broker.ErrUnavailable
	}
	o.p.forget()
	return nil
}
