package handler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"bindery/shared/broker"
)

// scope is what a revocation concerns.
type scope struct {
	person   string                         // whose sessions and grants alone; empty: anybody's
	sessions func(*broker.LiveSession) bool // nil: none
	grants   func(*broker.Grant) bool       // nil: none
	unknown  []string                       // what cannot be enumerated, each in a sentence
}

// What nobody can list, in plain sentences.
const (
	unknownMembers = "The tokens of the group's members were not revoked at their providers: who is a member is known only from a person's token when they call. " +
		"Their grants are refused as long as the revocation stands."
	unknownPeople = "The tokens of the issuer's people were not revoked at their providers: a person's id does not tell their issuer. " +
		"Their grants are refused as long as the revocation stands."
	unknownRows    = "Rows of %s that do not decode: %d. Whether they are concerned nobody knows, and they were not ended."
	unknownHolders = "Whoever got hold of the secret itself can use it at its upstream until it is changed there."
)

// concerned says what the case is about.
func (r *run) concerned(ctx context.Context) (scope, error) {
	id := r.c.Subject
	all := func(*broker.LiveSession) bool { return true }
	every := func(*broker.Grant) bool { return true }
	switch r.c.Kind {
	case broker.SessionMarker:
		return scope{sessions: func(s *broker.LiveSession) bool { return s.Digest == id }}, nil
	case broker.PrincipalMarker:
		return scope{person: id, sessions: all, grants: every}, nil
	case broker.AgentMarker:
		return scope{sessions: func(s *broker.LiveSession) bool { return s.Agent == id }}, nil
	case broker.GroupMarker:
		return scope{sessions: func(s *broker.LiveSession) bool { return slices.Contains(s.Groups, id) }, unknown: []string{unknownMembers}}, nil
	case broker.IssuerMarker:
		return scope{sessions: func(s *broker.LiveSession) bool { return s.Issuer == id }, unknown: []string{unknownPeople}}, nil
	case broker.BindingMarker:
		return scope{sessions: func(s *broker.LiveSession) bool { return s.Server+"/"+s.Binding == id }}, nil
	case broker.ServerMarker:
		return scope{sessions: func(s *broker.LiveSession) bool { return s.Server == id }, grants: func(g *broker.Grant) bool { return g.Server == id }}, nil
	case broker.GrantMarker:
		last := strings.LastIndexByte(id, '/')
		person, server := id[:last], id[last+1:]
		return scope{person: person, grants: func(g *broker.Grant) bool { return g.Server == server }}, nil
	case broker.EnvironmentMarker:
		return scope{sessions: all}, nil
	case broker.EverythingMarker:
		return scope{sessions: all, grants: every}, nil
	case broker.ReferenceMarker, broker.StoreMarker:
		return r.using(ctx)
	case broker.ChangeMarker:
	}
	return scope{}, fmt.Errorf("%w case: nothing of its kind is ended", broker.ErrInvalid)
}

// using finds the bindings that use what is revoked, or once did: a session may
// be older than the card is.
func (r *run) using(ctx context.Context) (scope, error) {
	stores, covered := []string{r.c.Subject}, func(broker.Reference) bool { return true }
	if r.c.Kind == broker.ReferenceMarker {
		reference, err := broker.StoredReference(r.c.Subject)
		if err != nil {
			return scope{}, err
		}
		all, err := broker.AllStores(ctx, r.Catalogue, r.Environment)
		if err != nil {
			return scope{}, fmt.Errorf("read the stores: %w", err)
		}
		names := append(broker.OtherNames(reference, all), reference)
		through := signingIn(all, names)
		stores = slices.Clone(through)
		for _, name := range names {
			stores = append(stores, name.Scheme())
		}
		covered = func(of broker.Reference) bool { return covers(names, of) || slices.Contains(through, of.Scheme()) }
	}
	used := map[string]bool{}
	for _, store := range stores {
		for after := ""; ; {
			page, next, err := r.Uses.UsesOfStore(ctx, r.Environment, store, after, broker.MaxPage)
			if err != nil {
				return scope{}, fmt.Errorf("find what uses it: %w", err)
			}
			for _, u := range page {
				if covered(u.Reference) {
					used[u.Route.Server+"/"+u.Binding] = true
				}
			}
			if after = next; next == "" {
				break
			}
		}
	}
	return scope{sessions: func(s *broker.LiveSession) bool { return used[s.Server+"/"+s.Binding] }, unknown: []string{unknownHolders}}, nil
}

// covers reports whether a reference is of the secret that has these names.
func covers(names []broker.Reference, of broker.Reference) bool {
	return slices.ContainsFunc(names, func(name broker.Reference) bool { return name.Covers(of) })
}

// signingIn names the stores that are read with a secret as Bindery's own
// credential: all that is read there rests on it.
func signingIn(all []broker.Store, with []broker.Reference) (stores []string) {
	for _, s := range all {
		if !s.Auth.Credential.IsZero() && covers(with, s.Auth.Credential) {
			stores = append(stores, s.Name)
		}
	}
	return stores
}

// endValue deletes the sealed value that a revoked reference names, as long as it
// is revoked.
func (r *run) endValue(ctx context.Context) error {
	if r.c.Kind != broker.ReferenceMarker || r.c.Values.Ended > 0 {
		return nil
	}
	reference, err := broker.StoredReference(r.c.Subject)
	if err != nil {
		return err
	}
	store, err := r.Catalogue.Store(ctx, r.Environment, reference.Scheme())
	switch {
	case errors.Is(err, broker.ErrNotFound), err == nil && store.Kind != "sealed":
		return nil
	case err != nil:
		return fmt.Errorf("read the store: %w", err)
	}
	switch err := r.Values.DeleteWhile(ctx, r.Environment, reference.Path(), r.stands); {
	case err == nil:
		r.c.Values = broker.Tally{Found: 1, Ended: 1}
	case errors.Is(err, errLifted): // what was put since is somebody's new secret
		return err
	case !errors.Is(err, broker.ErrNotFound):
		r.Log.Error("a sealed value could not be deleted", "case", r.c.ID, "cause", err.Error())
		r.c.Values.Found, r.left.values = 1, 1
		r.note(result{Unreached: broker.Unreached{What: "value", ID: reference.String(), Fault: "unavailable"}})
	}
	return nil
}

// eachSession works the sessions that are concerned.
func (r *run) eachSession(ctx context.Context, s scope) error {
	if s.sessions == nil {
		return nil
	}
	list := func(after string) ([]broker.LiveSession, string, error) {
		if s.person != "" {
			return r.Sessions.SessionsOf(ctx, r.Environment, s.person, after, broker.MaxPage)
		}
		return r.Sessions.ScanSessions(ctx, r.Environment, after, scan)
	}
	return each(ctx, r, "sessions", list, &r.c.Sessions, &r.left.sessions, func(v broker.LiveSession) (thing, bool) {
		return &liveSession{v}, s.sessions(&v)
	})
}

// eachGrant works the grants that are concerned and have not ended.
func (r *run) eachGrant(ctx context.Context, s scope) error {
	if s.grants == nil {
		return nil
	}
	list := func(after string) ([]broker.Grant, string, error) {
		if s.person != "" {
			return r.Grants.GrantsOf(ctx, r.Environment, s.person, after, broker.MaxPage)
		}
		return r.Scanner.ScanGrants(ctx, r.Environment, after, scan)
	}
	return each(ctx, r, "grants", list, &r.c.Grants, &r.left.grants, func(g broker.Grant) (thing, bool) {
		return &grant{GrantKey: g.GrantKey, seen: g}, g.State == broker.Active && s.grants(&g)
	})
}

// each goes through a list, page by page, and works what is wanted of it in
// batches.
func each[V any](ctx context.Context, r *run, what string, list func(after string) ([]V, string, error), tally *broker.Tally, left *int, wanted func(V) (thing, bool)) error {
	var some []thing
	unread := 0
	for after := ""; ; {
		if ctx.Err() != nil {
			return errOver
		}
		page, next, err := list(after)
		if rows := broker.Unread(err); rows > 0 {
			r.unread(what, rows)
			*left += rows
			unread, err = unread+rows, nil
		}
		if err != nil {
			return fmt.Errorf("list what is concerned: %w", err)
		}
		for _, v := range page {
			t, concerned := wanted(v)
			if !concerned {
				continue
			}
			if some = append(some, t); len(some) < batch {
				continue
			}
			if err := r.work(ctx, some, tally, left); err != nil {
				return err
			}
			some = nil
		}
		if after = next; next == "" {
			break
		}
	}
	if unread > 0 {
		r.c.Unknown = append(slices.Clip(r.c.Unknown), fmt.Sprintf(unknownRows, what, unread)) // the case says so, and its facts
	}
	return r.work(ctx, some, tally, left)
}
