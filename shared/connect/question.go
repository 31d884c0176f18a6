package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bindery/shared/broker"
)

// ErrStale says that what the link was made for is no more as it was: the card,
// the server's address, the person's or the agent's standing.
var ErrStale = errors.New("what this link was made for has changed")

// Question is what the person is asked, from the catalogue as it is now.
type Question struct {
	Server    broker.Server
	Binding   broker.Binding
	Provider  broker.Provider // of an OAuth question
	Stores    []broker.Store
	Agent     *broker.Agent // nil: no agent asks
	Fields    []string      // to be typed in; empty: a provider is asked
	Scopes    []string      // the card's, and those that the living grant has already
	Until     time.Time     // zero: no end
	Grant     broker.Grant  // as it is; zero: there never was one
	Abandoned bool          // nobody was heard of again of the grant's latest attempt at a token
	Agreed    bool          // a living grant is enough, and lacks only the consent of this agent
}

// Reads are what a Question is read from.
type Reads struct {
	Catalogue broker.Catalogue
	Markers   broker.MarkerReader
	Providers broker.Providers
	Grants    broker.Grants
}

// Question reads what a ticket asks, or fails with ErrStale if it no longer can
// be asked. A card that was changed since asks something else.
func (r *Reads) Question(ctx context.Context, environment string, t Ticket, now time.Time) (Question, error) {
	route := broker.Route{Environment: environment, Server: t.Server}
	s, err := r.Catalogue.Snapshot(ctx, broker.Lookup{Route: route, Principal: t.Principal, Agent: t.Agent})
	if err != nil {
		return Question{}, fmt.Errorf("read the catalogue: %w", err)
	}
	q := Question{Stores: s.OpenStores(), Agent: s.Agent}
	if !q.stands(&s, environment, t, now) {
		return Question{}, ErrStale
	}
	if err := r.withheld(ctx, t, q.Binding); err != nil {
		return Question{}, err
	}
	q.Until, q.Scopes = q.Binding.Expires, slices.Clone(q.Binding.Scopes)
	if q.Binding.Source == broker.PersonalKey {
		if q.Fields, err = broker.Fields(q.Server.Attach); err != nil {
			return Question{}, ErrStale
		}
	} else if q.Provider, err = r.Providers.Provider(ctx, environment, t.Provider); err != nil || q.Provider.State != broker.Active {
		return Question{}, staleOr(err)
	} else if err := broker.ClientWithheld(ctx, r.Markers, &q.Provider, q.Stores); err != nil { // it would be sent to the provider
		return Question{}, staleUnlessUnread(err)
	}
	view, err := r.Grants.Grant(ctx, t.Key(environment))
	if err != nil && !errors.Is(err, broker.ErrNotFound) {
		return Question{}, fmt.Errorf("read the grant: %w", err)
	}
	q.compare(view, t, now)
	return q, nil
}

// withheld ends a question whose answer would not be used: the person's grant
// here was revoked, and a new consent does not lift that.
func (r *Reads) withheld(ctx context.Context, t Ticket, b broker.Binding) error {
	err := broker.Withheld(ctx, r.Markers, &broker.Ask{Binding: b, Principal: broker.Principal{ID: t.Principal}})
	return staleUnlessUnread(err)
}

// staleUnlessUnread is ErrStale for what is revoked.
func staleUnlessUnread(err error) error {
	if slices.Contains([]broker.Reason{broker.GrantRevoked, broker.ReferenceRevoked, broker.StoreUnregistered}, broker.ReasonOf(err)) {
		return ErrStale
	}
	return err
}

func staleOr(err error) error {
	if err == nil || errors.Is(err, broker.ErrNotFound) {
		return ErrStale
	}
	return fmt.Errorf("read the provider: %w", err)
}

// stands holds the ticket to the catalogue: everybody alive, the very version of
// the card, and the origin for which it was approved.
func (q *Question) stands(s *broker.Snapshot, environment string, t Ticket, now time.Time) bool {
	if s.Admits(environment, &broker.Principal{ID: t.Principal, Agent: t.Agent, Issuer: t.Issuer, Groups: t.Groups}) != nil {
		return false
	}
	if t.Agent != "" && (s.Agent == nil || s.Agent.State != broker.Active) {
		return false
	}
	cards := slices.Concat(s.Shared, s.Personal)
	i := slices.IndexFunc(cards, func(b broker.Binding) bool { return b.Name == t.Binding })
	if i < 0 {
		return false
	}
	q.Server, q.Binding = *s.Server, cards[i]
	origin, err := broker.OriginDigest(q.Server.URL)
	b := &q.Binding
	return err == nil && origin == t.Origin && b.Origin == t.Origin && b.Version == t.Version && s.Standing(b) == broker.Active &&
		b.Mode == broker.UserDelegated && (b.Source == broker.AuthorizationCode || b.Source == broker.PersonalKey) &&
		b.Provider == t.Provider && slices.Equal(b.Scopes, t.Scopes) && (b.Expires.IsZero() || now.Before(b.Expires))
}

// compare looks at the grant there is. A new consent asks for what the living
// grant has besides: one card's consent must not end what another card needs.
func (q *Question) compare(view broker.GrantView, t Ticket, now time.Time) {
	g := view.Grant
	q.Grant, q.Abandoned = g, view.Abandoned(now)
	_, same := q.Provider.Of(g) // else its tokens will not be renewed
	living := g.State == broker.Active && g.Dead.IsZero() && g.Provider == t.Provider && (same || t.Provider == "") && (g.Until.IsZero() || now.Before(g.Until))
	if !living {
		return
	}
	lacking := slices.ContainsFunc(q.Scopes, func(s string) bool { return !slices.Contains(g.Scopes, s) })
	agreed := slices.ContainsFunc(view.Consents, func(c broker.Consent) bool { return c.Agent == t.Agent })
	q.Agreed = !lacking && !agreed && !(len(q.Fields) > 0 && t.Why != broker.ConsentAgent)
	for _, s := range g.Scopes {
		if !slices.Contains(q.Scopes, s) {
			q.Scopes = append(q.Scopes, s)
		}
	}
	if q.Agreed {
		q.Scopes, q.Until = g.Scopes, g.Until
	}
}
