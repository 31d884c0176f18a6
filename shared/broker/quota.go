package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Allowances are the limits of the deployment for each principal, and for each
// agent and server whose row does not say otherwise.
type Allowances struct {
	Principal, Agent, Server Limits
}

// freshPlaces is when a caller without a free place may ask again.
const freshPlaces = 5 * time.Second

// share is one subject of a call with its limits.
type share struct {
	subject string
	limits  Limits
	own     bool // the caller's own
}

// counts reports whether any of the shares has something to count in this call.
func (d *Decision) counts() bool {
	return slices.ContainsFunc(d.shares, func(s share) bool {
		return s.limits.CallsPerMinute > 0 || s.limits.Streams > 0 && d.Call.Lasting
	})
}

// shares gives the subjects with limits that a call counts against, the caller
// first.
func (a Allowances) shares(d *Decision) (found []share) {
	c := &d.Call
	add := func(kind, id string, l Limits) {
		if l != (Limits{}) {
			found = append(found, share{kind + id, l, kind == "principal/"})
		}
	}
	add("principal/", c.Principal.ID, a.Principal)
	add("server/", c.Route.Server, d.Server.Limits.or(a.Server))
	if c.Principal.Agent != "" && d.snapshot.Agent != nil {
		add("agent/", c.Principal.Agent, d.snapshot.Agent.Limits.or(a.Agent))
	}
	return found
}

// or fills what a row leaves open.
func (l Limits) or(defaults Limits) Limits {
	return Limits{
		CallsPerMinute: cmp.Or(l.CallsPerMinute, defaults.CallsPerMinute), Streams: cmp.Or(l.Streams, defaults.Streams),
		RequestBytes: cmp.Or(l.RequestBytes, defaults.RequestBytes), AnswerBytes: cmp.Or(l.AnswerBytes, defaults.AnswerBytes),
	}
}

// Sizes gives the smallest of the limits on bodies that apply to a call; 0 is
// none.
func (b *Broker) Sizes(d *Decision) (request, answer int64) {
	for _, s := range d.shares {
		request, answer = smaller(request, s.limits.RequestBytes), smaller(answer, s.limits.AnswerBytes)
	}
	return request, answer
}

// smaller is the smaller limit, where 0 is none.
func smaller(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// claim counts a call against every quota that applies and takes the places of
// a stream: the caller's own first, and only then, side by side, the agent's and
// the server's, so that a caller over its own limit uses up nobody else's. Over
// a limit it is a *Refusal with the time to wait, and no place is kept. It does
// not end with the caller: whoever leaves meanwhile must not leave a place taken.
func (b *Broker) claim(ctx context.Context, d *Decision) (places []Place, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SettleTime)
	defer cancel()
	own := slices.IndexFunc(d.shares, func(s share) bool { return !s.own })
	if own < 0 {
		own = len(d.shares)
	}
	for _, step := range [][]share{d.shares[:own], d.shares[own:]} {
		taken, err := b.claimAll(ctx, d, step)
		places = append(places, taken...)
		if err != nil {
			b.giveBack(ctx, places)
			return nil, err
		}
	}
	return places, nil
}

// claimAll claims for several subjects side by side. What was taken is in places
// also beside an error.
func (b *Broker) claimAll(ctx context.Context, d *Decision, shares []share) (places []Place, err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	now := b.now()
	for _, s := range shares {
		if n := s.limits.CallsPerMinute; n > 0 {
			all.Go(func() {
				fault := b.countCall(ctx, Quota{d.Call.Route.Environment, s.subject, n}, now)
				mu.Lock()
				defer mu.Unlock()
				err = cmp.Or(err, fault)
			})
		}
		if n := s.limits.Streams; n > 0 && d.Call.Lasting {
			all.Go(func() {
				place, held, fault := b.takePlace(ctx, Quota{d.Call.Route.Environment, s.subject, n}, d.Call.Receipt, now)
				mu.Lock()
				defer mu.Unlock()
				err = cmp.Or(err, fault)
				if held {
					places = append(places, place)
				}
			})
		}
	}
	all.Wait()
	return places, err
}

func (b *Broker) countCall(ctx context.Context, q Quota, now time.Time) error {
	within, err := b.quotas.CountCall(ctx, q, now)
	switch {
	case err != nil:
		return &Refusal{Reason: CatalogueUnread, err: err}
	case !within:
		return b.over(callsOf(q.Subject), now.Truncate(QuotaWindow).Add(QuotaWindow), now)
	}
	return nil
}

func (b *Broker) takePlace(ctx context.Context, q Quota, holder string, now time.Time) (Place, bool, error) {
	place, held, err := b.quotas.TakePlace(ctx, q, holder, now, now.Add(b.streamTime))
	switch {
	case err != nil:
		return place, false, &Refusal{Reason: CatalogueUnread, err: err}
	case !held:
		return place, false, b.over(streamsOf(q.Subject), now.Add(freshPlaces), now)
	}
	return place, true, nil
}

// What is over a limit: a subject's calls, or its streams.
func callsOf(subject string) string   { return "calls of " + subject }
func streamsOf(subject string) string { return "streams of " + subject }

// over remembers that something is used up, and refuses.
func (b *Broker) over(what string, until, now time.Time) error {
	b.spent.note(what, until)
	return &Refusal{Reason: LimitReached, RetryAfter: until.Sub(now)}
}

// overLimit refuses, without asking anybody, what this process already knows to
// be over a limit: a caller in a loop must not cost a record and a secret each
// time.
func (b *Broker) overLimit(d *Decision) error {
	for _, s := range d.shares {
		for _, c := range []struct {
			what    string
			limited bool
		}{{callsOf(s.subject), s.limits.CallsPerMinute > 0}, {streamsOf(s.subject), s.limits.Streams > 0 && d.Call.Lasting}} {
			if !c.limited {
				continue
			}
			if end, spent := b.spent.until(c.what); spent && d.Began.Before(end) {
				return &Refusal{Reason: LimitReached, RetryAfter: end.Sub(d.Began)}
			}
		}
	}
	return nil
}

// giveBack frees the places of a stream that has ended. A place that cannot be
// freed frees itself when its time is over.
func (b *Broker) giveBack(ctx context.Context, places []Place) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), SettleTime)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range places {
		all.Go(func() { _ = b.quotas.FreePlace(ctx, p) })
	}
	all.Wait()
}

// spentMembers is how many subjects over their limit are remembered.
const spentMembers = 4096

// spent remembers until when calls or streams of a subject are used up.
type spent struct {
	mu   sync.Mutex
	ends map[string]time.Time
}

func (s *spent) note(what string, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ends) >= spentMembers {
		clear(s.ends) // the tables still know
	}
	if s.ends == nil {
		s.ends = map[string]time.Time{}
	}
	s.ends[what] = end
}

func (s *spent) until(what string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, found := s.ends[what]
	return end, found
}
