package drift

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"
)

// references looks at a part of what a store holds, and says where to go on. A
// reference is judged when all its uses have been looked at.
func (r *run) references(ctx context.Context, store string) (next, after string, err error) {
	i := slices.IndexFunc(r.stores, func(s broker.Store) bool { return s.Name >= store })
	if i < 0 {
		return cardPhase, "", nil
	}
	of := r.stores[i]
	here, beyond := referencePhase+"/"+of.Name, cardPhase
	if i+1 < len(r.stores) {
		beyond = referencePhase + "/" + r.stores[i+1].Name
	}
	from := ""
	if of.Name == store {
		from = r.row.After
	}
	if from == "" || r.reachOf != of.Name {
		r.reach, r.reachOf = Reach{Part: from != ""}, of.Name
	}
	groups, after, err := r.wholeGroups(ctx, of.Name, from)
	if err != nil {
		return "", "", err
	}
	for _, g := range groups {
		if err := r.reference(ctx, g, of); err != nil {
			return "", "", err
		}
		if r.reach.Lost(false) {
			break
		}
		r.row.Phase, r.row.After = here, g.Uses[len(g.Uses)-1].Token() // where the next run goes on, if the time is over
	}
	lost := r.reach.Lost(after == "")
	if lost {
		r.unknown("store/" + of.Name)
	}
	if lost || after == "" {
		return beyond, "", r.keeper.JudgeStore(ctx, of.Name, r.reach, true)
	}
	return here, after, nil
}

// reference looks at one. What cannot be read of it keeps nobody from the others.
func (r *run) reference(ctx context.Context, g Group, of broker.Store) error {
	s, err := r.eye.Look(ctx, g.Reference, g.Uses)
	if err == nil {
		r.looked++
		r.reach.Add(s)
		err = r.keeper.Judge(ctx, s, r.Evidence, of.MaxValueAge)
	}
	if unreadable(ctx, err) {
		r.unread++
		r.unknown("store/" + of.Name)
		return nil
	}
	return err
}

// wholeGroups reads a page of uses, and as much more as its last reference has.
func (r *run) wholeGroups(ctx context.Context, store, after string) (groups []Group, next string, err error) {
	uses, next, err := r.Uses.UsesOfStore(ctx, r.Environment, store, after, broker.MaxPage)
	if err != nil {
		return nil, "", err
	}
	groups = Groups(uses)
	for next != "" {
		last := &groups[len(groups)-1]
		more, further, err := r.Uses.UsesOfReference(ctx, r.Environment, last.Reference, next, broker.MaxPage)
		if err != nil {
			return nil, "", err
		}
		last.Uses = append(last.Uses, more...)
		if len(more) > 0 {
			next = more[len(more)-1].Token()
		}
		if further == "" {
			break
		}
	}
	return groups, next, nil
}

// someServers is how many servers are looked at until it is stored how far.
const someServers = 20

// cards looks at the cards of some servers.
func (r *run) cards(ctx context.Context) (next, after string, err error) {
	servers, err := r.Catalogue.Servers(ctx, r.Environment, broker.Page{After: r.row.After, Limit: someServers})
	if err != nil {
		return "", "", err
	}
	for _, server := range servers {
		if server.State != broker.Deleted {
			if err := r.cardsAt(ctx, broker.Route{Environment: r.Environment, Server: server.Name}); err != nil {
				return "", "", err
			}
		}
		after, r.row.After = server.Name, server.Name
	}
	if len(servers) < someServers {
		return grantPhase, "", nil
	}
	return cardPhase, after, nil
}

func (r *run) cardsAt(ctx context.Context, at broker.Route) error {
	for p := (broker.Page{Limit: broker.MaxPage}); ; {
		rows, err := r.Catalogue.Bindings(ctx, at, p)
		if err != nil {
			return err
		}
		if err := r.cardsOf(ctx, rows); err != nil {
			return err
		}
		if len(rows) < p.Limit {
			return nil
		}
		p.After = rows[len(rows)-1].Name
	}
}

func (r *run) cardsOf(ctx context.Context, rows []broker.Binding) error {
	live := slices.DeleteFunc(slices.Clone(rows), func(b broker.Binding) bool { return !working(b) })
	usages, err := r.Evidence.Usages(ctx, r.Environment, live)
	if err != nil && ctx.Err() == nil {
		r.unknown(string(broker.NoticeUnused)) // the index is down: the dates can be looked at all the same
	}
	lost := broker.Unread(err) > 0 // a card of which nothing is given may be one whose row does not decode
	if lost {
		r.unread++
		err = nil
	}
	for _, b := range live {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.looked++
		f, found := r.dateOf(b)
		if u, seen := usages[b.Server+"/"+b.Name]; !found && err == nil && (seen || !lost) {
			f, found = r.useOf(b, u)
		}
		if !found {
			continue
		}
		f.Subject, f.Server, f.Bindings = "binding/"+b.Server+"/"+b.Name, b.Server, []string{b.Server + "/" + b.Name}
		if err := r.keeper.Found(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// dateOf says whether the card's date is over, or soon will be.
func (r *run) dateOf(b broker.Binding) (Finding, bool) {
	now := r.keeper.Now()
	switch {
	case ended(b, now):
		return Finding{Kind: broker.NoticeExpired, Due: b.Expires}, true
	case ended(b, now.Add(Soon)):
		return Finding{Kind: broker.NoticeExpiring, Due: b.Expires}, true
	}
	return Finding{}, false
}

// useOf says whether the card was not used for long. Of one that never was, the
// row remembers since when.
func (r *run) useOf(b broker.Binding, u broker.Usage) (Finding, bool) {
	switch {
	case u.Last.IsZero():
		return Finding{Kind: broker.NoticeUnused, After: Unused}, true
	case r.keeper.Now().Sub(u.Last) > Unused:
		return Finding{Kind: broker.NoticeUnused}, true
	}
	return Finding{}, false
}

// grants looks at a page of people's consents.
func (r *run) grants(ctx context.Context) (next, after string, err error) {
	found, after, err := r.Grants.ScanGrants(ctx, r.Environment, r.row.After, broker.MaxPage)
	if broker.Unread(err) > 0 {
		r.unread++
		r.unknown(string(broker.NoticeDying)) // the consents behind those rows
		err = nil
	}
	if err != nil {
		return "", "", err
	}
	servers := map[string]string{} // origins
	for _, g := range found {
		if err := ctx.Err(); err != nil {
			return "", "", err
		}
		if err := r.grant(ctx, g, servers); err != nil {
			return "", "", err
		}
	}
	if after == "" {
		return rotationPhase, "", nil
	}
	return grantPhase, after, nil
}

// grant looks at a consent that is about to end, or dead, at a server that still
// has the origin that it was for.
func (r *run) grant(ctx context.Context, g broker.Grant, origins map[string]string) error {
	r.looked++
	now := r.keeper.Now()
	ends := g.Until
	if !g.Dead.IsZero() {
		ends = g.Dead
	}
	if g.State != broker.Active || ends.IsZero() || ends.After(now.Add(Soon)) || now.Sub(ends) > Over {
		return nil
	}
	origin, known := origins[g.Server]
	if !known {
		s, err := r.Catalogue.Server(ctx, broker.Route{Environment: r.Environment, Server: g.Server})
		if err != nil && !errors.Is(err, broker.ErrNotFound) {
			return err
		}
		if err == nil && s.State != broker.Deleted {
			if origin, err = broker.OriginDigest(s.URL); err != nil {
				return err
			}
		}
		origins[g.Server] = origin
	}
	if origin != g.Origin {
		return nil
	}
	return r.keeper.Found(ctx, Finding{Kind: broker.NoticeDying, Subject: "grant/" + g.Principal + "/" + g.Server, Server: g.Server, Due: ends})
}

// longAgo is how far back rotations are looked at.
const longAgo = 90 * 24 * time.Hour

// rotations looks at the latest run of each subject.
func (r *run) rotations(ctx context.Context) error {
	latest := map[string]bool{}
	for after := ""; ; {
		found, next, err := r.Rotations.RotationsOf(ctx, r.Environment, "", after, broker.MaxPage)
		if err != nil {
			return err
		}
		for _, v := range found {
			if r.keeper.Now().Sub(v.Begun) > longAgo {
				return nil
			}
			if latest[v.Subject] {
				continue
			}
			latest[v.Subject] = true
			if err := r.rotation(ctx, v); err != nil {
				return err
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

func (r *run) rotation(ctx context.Context, v broker.Rotation) error {
	failed := v.Step == broker.RotationUndone || v.Step == broker.RotationAbandoned
	hangs := !v.Step.Ended() && !v.Next.IsZero() && r.keeper.Now().Sub(v.Next) > Hangs
	if !failed && !hangs {
		return nil
	}
	f := Finding{Kind: broker.NoticeRotation, Subject: v.Subject}
	if sort, rest, _ := strings.Cut(v.Subject, "/"); sort == "binding" {
		f.Server, _, _ = strings.Cut(rest, "/")
		f.Bindings = []string{rest}
	}
	return r.keeper.Found(ctx, f)
}
