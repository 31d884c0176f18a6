package credential

import (
	"context"
	"errors"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// mutation is a fault in the protocol or its store that the explorer must find.
type mutation string

const (
	unchanged    mutation = ""
	leaseForAll  mutation = "the lease is given to everybody"
	notReread    mutation = "the lease is for whatever version there is, and the grant is not read again under it"
	spareIgnored mutation = "a spare is not looked for"
	storedAnyway mutation = "tokens are stored whatever happened meanwhile"
	untold       mutation = "an attempt of unknown outcome is not told of"
	sentLate     mutation = "the provider is asked after the lease ran out"
)

func (m mutation) lease(ctx context.Context, db *memory.DB, seen broker.Grant, holder string, now, until time.Time) (broker.GrantView, error) {
	if m == notReread {
		view, err := db.Grant(ctx, seen.GrantKey)
		if err != nil {
			return view, err
		}
		if view, err = db.LeaseGrant(ctx, view.Grant, holder, now, until); err == nil {
			view.Grant.Sealed = seen.Sealed
		}
		return view, err
	}
	view, err := db.LeaseGrant(ctx, seen, holder, now, until)
	if m == leaseForAll && errors.Is(err, broker.ErrConflict) {
		if view, err = db.Grant(ctx, seen.GrantKey); err == nil {
			view.Grant.Lease, view.Grant.LeaseUntil, view.Grant.Attempted = holder, until, now
		}
	}
	if m == spareIgnored {
		view.Spare = nil
	}
	return view, err
}

func (m mutation) store(ctx context.Context, db *memory.DB, leased broker.Grant, t broker.Tokens, now time.Time) (broker.Grant, error) {
	g, err := db.StoreTokens(ctx, leased, t, now)
	if m != storedAnyway || !errors.Is(err, broker.ErrConflict) {
		return g, err
	}
	g = leased
	g.Sealed, g.Expires, g.Scopes, g.Refreshes, g.Consented = t.Sealed, t.Expires, t.Scopes, t.Refreshes, now.Add(1)
	return g, db.BeginGrant(ctx, g, broker.Consent{At: now})
}
