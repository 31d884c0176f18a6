package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/oauth"
)

const (
	// leaseTime is how long nobody else refreshes a grant that is being ended: longer
	// than its batch takes.
	leaseTime = 3 * time.Minute
	// revokeTime is how long the provider may take with one token.
	revokeTime = 10 * time.Second
)

// Words for why a grant was not ended at its provider.
const (
	faultTyped    = "typed_in"      // a key that the person typed in: only they can end it there
	faultProvider = "provider_gone" // its provider is deleted
	faultParty    = "another_party" // its provider is another authorization server by now
	faultEndpoint = "no_revocation_endpoint"
	faultBusy     = "refresh_under_way"
	faultSealed   = "not_opened"
)

// grant is one person's grant.
type grant struct {
	broker.GrantKey
	seen   broker.Grant
	leased bool
	texts  [][]byte // whose tokens were revoked, or given up
}

func (g *grant) place() string { return "provider " + g.seen.Provider }

func (g *grant) unreached(fault string) broker.Unreached {
	return broker.Unreached{What: "grant", ID: g.Principal + "/" + g.Server, Server: g.Server, Provider: g.seen.Provider, Fault: fault, Until: g.seen.Expires}
}

func (g *grant) later(fault string) result { return result{Unreached: g.unreached(fault)} }
func (g *grant) never(fault string) result {
	return result{givenUp: true, Unreached: g.unreached(fault)}
}

// end revokes what the grant holds at its provider. Nobody refreshes meanwhile; a
// refresh that is under way is waited for, and what it brought is revoked.
func (g *grant) end(ctx context.Context, r *run) result {
	view, err := r.Grants.Grant(ctx, g.GrantKey)
	switch {
	case errors.Is(err, broker.ErrNotFound), err == nil && view.Grant.State != broker.Active:
		return result{done: true}
	case err != nil:
		return g.later(faultUnread)
	}
	g.seen = view.Grant
	if g.seen.Provider == "" {
		return g.never(faultTyped)
	}
	if now := r.Now().UTC(); view.Abandoned(now) { // it is told of before its trace is gone
		if err := credential.TellUnknown(ctx, r.Journal, g.seen, now); err != nil {
			return g.later(faultRecord)
		}
	}
	party, e, found := g.party(ctx, r)
	if !found {
		return r.lastTry(e)
	}
	view, e, held := g.hold(ctx, r, view)
	if !held {
		return e
	}
	e = r.lastTry(g.revoke(ctx, r, party, view))
	if e.left() && g.leased {
		_ = again(func() error { return r.Grants.CoolGrant(ctx, g.seen, r.Now().UTC(), "not_revoked") }) // else it runs out
	}
	return e
}

// lastTry gives up what has been tried for so long that nobody will.
func (r *run) lastTry(e result) result {
	e.givenUp = e.givenUp || e.left() && !r.Now().Before(r.c.At.Add(trying))
	return e
}

// party finds who issued the tokens: nobody else gets to see them.
func (g *grant) party(ctx context.Context, r *run) (Party, result, bool) {
	row, err := r.Catalogue.Provider(ctx, r.Environment, g.seen.Provider)
	switch {
	case errors.Is(err, broker.ErrNotFound), err == nil && row.State == broker.Deleted:
		return nil, g.never(faultProvider), false
	case err != nil:
		return nil, g.later(faultUnread), false
	}
	row, same := row.Of(g.seen)
	if !same {
		return nil, g.never(faultParty), false
	}
	at, err := r.Catalogue.Snapshot(ctx, broker.Lookup{Route: broker.Route{Environment: r.Environment, Server: g.Server}, Principal: g.Principal})
	if err != nil {
		return nil, g.later(faultUnread), false
	}
	party, err := r.Providers.of(ctx, row, at.Stores)
	if err != nil {
		e := g.later(faultUnreached)
		e.wait = meaning(err).wait
		return nil, e, false
	}
	if !party.Revokes() {
		return nil, g.never(faultEndpoint), false
	}
	return party, result{}, true
}

// hold keeps everybody else from refreshing. A grant that is dead, or that cools
// for long enough, is refreshed by nobody.
func (g *grant) hold(ctx context.Context, r *run, view broker.GrantView) (broker.GrantView, result, bool) {
	now := r.Now().UTC()
	busy := g.later(faultBusy)
	busy.busy = true
	switch cools := g.seen.CoolUntil.Sub(now); {
	case !g.seen.Dead.IsZero(), cools > leaseTime:
		return view, result{}, true
	case cools > 0:
		return view, busy, false
	}
	leased, err := r.Grants.LeaseGrant(ctx, g.seen, broker.Ending+r.Fresh(), now, now.Add(leaseTime))
	switch {
	case errors.Is(err, broker.ErrConflict):
		return view, busy, false
	case err != nil:
		return view, g.later(faultUnread), false
	}
	g.seen, g.leased = leased.Grant, true
	return leased, result{}, true
}

// revoke records and revokes, in this order, every token that the grant and its
// spare hold.
func (g *grant) revoke(ctx context.Context, r *run, party Party, view broker.GrantView) result {
	a, err := r.access(ctx, broker.Record{Server: g.Server, Origin: g.Origin, Mode: broker.UserDelegated, Source: broker.AuthorizationCode, Target: g.Principal})
	if err != nil {
		return g.later(faultRecord)
	}
	a.record.Accesses = []broker.Access{{Reference: "grant:" + g.seen.Provider, Version: versionOf(g.seen)}}
	texts := [][]byte{view.Grant.Sealed}
	expires := []time.Time{view.Grant.Expires}
	if view.Spare != nil {
		texts, expires = append(texts, view.Spare.Sealed), append(expires, view.Spare.Expires)
	}
	all := result{done: true}
	for i, text := range texts {
		e := g.revokeSet(ctx, r, party, text, expires[i])
		if e.left() || e.givenUp && !all.left() {
			all = e
		}
	}
	a.over(ctx, 0, reasonOf(all))
	g.texts = texts
	return all
}

// reasonOf is the word for the record.
func reasonOf(e result) broker.Reason {
	switch {
	case e.done:
		return ""
	case e.givenUp:
		return broker.ReasonOf(broker.ErrProviderRefused)
	case e.Fault == faultSealed:
		return broker.KeyUnavailable
	}
	return broker.ReasonOf(broker.ErrProviderUnavailable)
}

// revokeSet revokes one token set: first the refresh token, with which most
// providers end the rest too, then the access token while it lives.
func (g *grant) revokeSet(ctx context.Context, r *run, party Party, text []byte, expires time.Time) result {
	set, err := credential.OpenTokens(ctx, r.Sealer, g.GrantKey, text)
	if err != nil {
		return g.later(faultSealed)
	}
	all := result{done: true}
	ask := func(err error) {
		switch s := meaning(err); {
		case s.done:
		case s.never != "" && !all.left():
			all = g.never(s.never)
		case s.never == "":
			all = g.later(faultUnreached)
			all.wait = s.wait
		}
	}
	if !set.Refresh.IsZero() {
		ask(bounded(ctx, func(ctx context.Context) error { return party.Revoke(ctx, set.Refresh, oauth.RefreshToken) }))
	}
	if !set.Access.IsZero() && !all.left() && (expires.IsZero() || r.Now().Before(expires)) {
		ask(bounded(ctx, func(ctx context.Context) error { return party.Revoke(ctx, set.Access, oauth.AccessToken) }))
	}
	return all
}

func bounded(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTime)
	defer cancel()
	return call(ctx)
}

// forget ends the grant in the tables, its sealed texts with it. Should it hold
// other tokens by now than were revoked, those are revoked as well.
func (g *grant) forget(ctx context.Context, r *run) error {
	was, err := r.Grants.EndGrant(ctx, g.GrantKey, broker.Revoked, r.Now().UTC())
	if errors.Is(err, broker.ErrNotFound) {
		return nil
	}
	if err != nil || was.State != broker.Active || g.texts == nil || g.dealtWith(was.Sealed) {
		return err
	}
	g.seen = was
	party, _, found := g.party(ctx, r)
	if found {
		found = g.revokeSet(ctx, r, party, was.Sealed, was.Expires).done
	}
	if !found {
		r.Log.Error("tokens that came late were not revoked", "case", r.c.ID, "principal", g.Principal, "server", g.Server)
		return g.tellNotRevoked(ctx, r)
	}
	return nil
}

// tellNotRevoked records that the provider may still take what the case has no
// count of.
func (g *grant) tellNotRevoked(ctx context.Context, r *run) error {
	f := credential.FactOf(broker.GrantNotRevoked, g.GrantKey, credential.GrantFact{Provider: g.seen.Provider, Generation: g.seen.Generation})
	f.Receipt = r.Fresh()
	if r.c.Via == broker.ViaAdmin {
		f.By = r.c.By
	}
	if err := r.Journal.Tell(ctx, f, r.Now().UTC()); err != nil {
		return fmt.Errorf("tell of tokens that were not revoked: %w", err)
	}
	return nil
}

func (g *grant) dealtWith(text []byte) bool {
	for _, t := range g.texts {
		if bytes.Equal(t, text) {
			return true
		}
	}
	return false
}
