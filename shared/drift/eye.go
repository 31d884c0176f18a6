package drift

import (
	"context"
	"errors"
	"slices"
	"time"

	"bindery/shared/broker"
)

// The results of looking at a reference for one card.
const (
	OK          = "ok"
	Missing     = "missing"
	Malformed   = "malformed"
	Denied      = "denied"
	Key         = "key"
	Unavailable = "unavailable"
)

var results = map[broker.Reason]string{
	"": OK, broker.SecretMissing: Missing, broker.SecretMalformed: Malformed, broker.StoreDenied: Denied,
	broker.KeyUnavailable: Key, broker.StoreUnavailable: Unavailable,
}

// Cards reads cards and their servers.
type Cards interface {
	Binding(ctx context.Context, r broker.Route, name string) (broker.Binding, error)
	Server(ctx context.Context, r broker.Route) (broker.Server, error)
}

// Inspector asks stores about secrets without their values.
type Inspector interface {
	Inspect(ctx context.Context, r broker.Reference, environment string, stores []broker.Store) (broker.Inspection, error)
}

// Eye looks at references as calls would, each once for all cards that would
// get the same, and drops what it sees. It is for one run.
type Eye struct {
	Cards     Cards
	Source    broker.Source // of static references
	Inspector Inspector
	Stores    []broker.Store
	Now       func() time.Time

	done      map[string]seen
	inspected map[broker.Reference]broker.Inspection
}

// Sight is what was seen of one reference.
type Sight struct {
	Reference  broker.Reference // without key
	Cards      []Card           // live ones that have it now
	Accesses   []broker.Access
	Inspection broker.Inspection
}

// Card is what one card gets of the reference.
type Card struct {
	Server, Binding string
	Result          string
	Reason          broker.Reason
}

type seen struct {
	result string
	reason broker.Reason
}

// Look looks at one reference, for each of its uses that is a live card now: a
// sealed value may open for one and not for another.
func (e *Eye) Look(ctx context.Context, r broker.Reference, uses []broker.Use) (Sight, error) {
	s := Sight{Reference: r}
	environment := ""
	for _, u := range uses {
		b, live, err := e.card(ctx, u)
		if err != nil {
			return s, err
		}
		if !live {
			continue
		}
		environment = b.Environment
		got := e.see(ctx, b, &s)
		s.Cards = append(s.Cards, Card{u.Route.Server, u.Binding, got.result, got.reason})
	}
	if len(s.Cards) > 0 {
		s.Inspection = e.inspect(ctx, r, environment)
	}
	return s, ctx.Err()
}

// inspect asks the store once. What cannot be asked is not known.
func (e *Eye) inspect(ctx context.Context, r broker.Reference, environment string) broker.Inspection {
	if known, done := e.inspected[r]; done {
		return known
	}
	found, err := e.Inspector.Inspect(ctx, r, environment, e.Stores)
	if err != nil {
		found = broker.Inspection{}
	}
	if e.inspected == nil {
		e.inspected = map[broker.Reference]broker.Inspection{}
	}
	e.inspected[r] = found
	return found
}

// Add adds what was seen of the same reference for further cards.
func (s *Sight) Add(further Sight) {
	s.Cards, s.Accesses = append(s.Cards, further.Cards...), append(s.Accesses, further.Accesses...)
	if s.Inspection == (broker.Inspection{}) {
		s.Inspection = further.Inspection
	}
}

// Reason is why the first card that does not get it does not.
func (s Sight) Reason() broker.Reason {
	for _, c := range s.Cards {
		if c.Reason != "" {
			return c.Reason
		}
	}
	return ""
}

// card reads the card of a use as far as the reference goes, and reports whether
// it is one that calls could use: live, of a live server, made for its origin.
func (e *Eye) card(ctx context.Context, u broker.Use) (broker.Binding, bool, error) {
	b, err := e.Cards.Binding(ctx, u.Route, u.Binding)
	if errors.Is(err, broker.ErrNotFound) {
		return b, false, nil
	}
	if err != nil {
		return b, false, err
	}
	b.Fields = slices.DeleteFunc(slices.Clone(b.Fields), func(f broker.Field) bool { return f.Reference.WithoutKey() != u.Reference })
	b.MaxAge = 0 // a value that is kept would say what was
	if len(b.Fields) == 0 || !working(b) || ended(b, e.Now()) {
		return b, false, nil
	}
	server, err := e.Cards.Server(ctx, u.Route)
	if errors.Is(err, broker.ErrNotFound) {
		return b, false, nil
	}
	if err != nil {
		return b, false, err
	}
	return b, server.State != broker.Deleted && madeFor(b, server), nil
}

// see reads the secret and drops it.
func (e *Eye) see(ctx context.Context, b broker.Binding, s *Sight) seen {
	parts := []string{"see", b.Origin, string(b.Source)}
	for _, f := range b.Fields {
		parts = append(parts, f.Reference.String())
	}
	key := broker.Digest(parts...)
	if known, done := e.done[key]; done {
		return known
	}
	c, err := e.Source.Obtain(ctx, broker.Ask{Binding: b, Stores: e.Stores})
	s.Accesses = append(s.Accesses, c.Access...)
	got := seen{reason: broker.ReasonOf(err)}
	var known bool
	if got.result, known = results[got.reason]; !known {
		got.result = Malformed
	}
	if e.done == nil {
		e.done = map[string]seen{}
	}
	e.done[key] = got
	return got
}

// Result is ok where it is for every card, else the first that is not.
func (s Sight) Result() string {
	for _, c := range s.Cards {
		if c.Result != OK {
			return c.Result
		}
	}
	return OK
}

// silent reports whether the store answered for no card.
func (s Sight) silent() bool {
	return len(s.Cards) > 0 && !slices.ContainsFunc(s.Cards, func(c Card) bool { return c.Result != Unavailable })
}

// working reports whether nobody stopped the card.
func working(b broker.Binding) bool { return b.State == broker.Active }

// ended reports whether a card's end is over.
func ended(b broker.Binding, now time.Time) bool {
	return !b.Expires.IsZero() && !now.Before(b.Expires)
}

// madeFor reports whether a card was made for the origin that its server has.
func madeFor(b broker.Binding, s broker.Server) bool {
	origin, err := broker.OriginDigest(s.URL)
	return err == nil && b.Origin == origin
}
