package credential

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bindery/shared/broker"
)

// Prefetched counts what RefreshDue did.
type Prefetched struct {
	Refreshed int
	Left      int // somebody else has them, they cool, died, or may not be used at present
	Unread    int // rows that do not decode
}

// RefreshDue refreshes, by the same protocol as calls do, up to limit grants
// whose access token expires before a time, so that no call has to. What it has
// begun when ctx ends is brought to its end. A grant whose server, environment
// or person is not alive, or that no binding uses, is left alone.
func (g *Grants) RefreshDue(ctx context.Context, environment string, before time.Time, limit int) (Prefetched, error) {
	due, err := g.parts.Grants.DueGrants(ctx, environment, before, limit)
	done := Prefetched{Unread: broker.Unread(err)}
	if err != nil && done.Unread == 0 {
		return Prefetched{}, fmt.Errorf("list the grants that are due: %w", err)
	}
	for i := range due {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		w, err := g.dueNow(ctx, environment, &due[i], before)
		if err != nil {
			return done, err
		}
		if w == nil {
			done.Left++
			continue
		}
		if _, err := g.current(ctx, w); err != nil {
			done.Left++ // its row says why
			continue
		}
		done.Refreshed++
	}
	return done, nil
}

// dueNow says what is to be refreshed of a listed grant, or nil. The list may
// lag and comes from rows; whether and for what it is used comes from the
// catalogue.
func (g *Grants) dueNow(ctx context.Context, environment string, listed *broker.Grant, before time.Time) (*wanted, error) {
	s, err := g.parts.Catalogue.Snapshot(ctx, broker.Lookup{
		Route: broker.Route{Environment: environment, Server: listed.Server}, Principal: listed.Principal,
	})
	if err != nil {
		return nil, fmt.Errorf("read the server of a grant: %w", err)
	}
	if s.Admits(environment, &broker.Principal{ID: listed.Principal}) != nil {
		return nil, nil //nolint:nilerr // it is left alone
	}
	origin, err := broker.OriginDigest(s.Server.URL)
	if err != nil || origin != listed.Origin {
		return nil, nil //nolint:nilerr // a server without an origin has no grants
	}
	now := g.parts.Now()
	uses := func(b broker.Binding) bool {
		return s.Standing(&b) == broker.Active && b.Source == broker.AuthorizationCode && b.Provider == listed.Provider &&
			b.Origin == origin && (b.Expires.IsZero() || now.Before(b.Expires))
	}
	if !slices.ContainsFunc(s.Shared, uses) && !slices.ContainsFunc(s.Personal, uses) {
		return nil, nil // and a refresh token goes to no provider that only its row names
	}
	used := broker.Ask{Binding: broker.Binding{Environment: environment, Server: listed.Server, Source: broker.AuthorizationCode},
		Principal: broker.Principal{ID: listed.Principal}}
	if err := broker.Withheld(ctx, g.parts.Markers, &used); err != nil {
		if broker.ReasonOf(err) == broker.GrantRevoked {
			err = nil
		}
		return nil, err
	}
	return &wanted{
		key:      broker.GrantKey{Environment: environment, Principal: listed.Principal, Server: s.Server.Name, Origin: origin},
		provider: listed.Provider, server: *s.Server, stores: s.OpenStores(), due: before,
		recorded: func(context.Context) error { return nil }, // no call: the attempt is marked on the grant itself
	}, nil
}
