package broker

import (
	"context"
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
}

// shares gives the subjects with limits that a call counts against.
func (a Allowances) shares(d *Decision) (found []share) {
	c := &d.Call
	add := func(kind, id string, l Limits) {
		if l != (Limits{}) {
			found = append(found, share{kind + id, l})
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
	for _, f := range []struct {
		own      *int64
		fallback int64
	}{{&l.RequestBytes, defaults.RequestBytes}, {&l.AnswerBytes, defaults.AnswerBytes}} {
		if *f.own == 0 {
			*f.own = f.fallback
		}
	}
	if l.CallsPerMinute == 0 {
		l.CallsPerMinute = defaults.CallsPerMinute
	}
	if l.Streams == 0 {
		l.Streams = defaults.Streams
	}
	return l
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

// claim begins to count a call against every quota that applies, side by side,
// and to take the places of a stream. The returned func waits for all of it:
// over a limit it gives a *Refusal with the time to wait, and in places what was
// taken, also beside an error.
func (b *Broker) claim(ctx context.Context, d *Decision) (claimed func() (places []Place, err error)) {
	type answer struct {
		place Place
		held  bool
		err   error
	}
	var asks []func() answer
	now := b.now()
	for _, s := range d.shares {
		if n := s.limits.CallsPerMinute; n > 0 {
			q := Quota{d.Call.Route.Environment, s.subject, n}
			asks = append(asks, func() answer { return answer{err: b.countCall(ctx, q, now)} })
		}
		if n := s.limits.Streams; n > 0 && d.Call.Lasting {
			q := Quota{d.Call.Route.Environment, s.subject, n}
			asks = append(asks, func() answer {
				place, held, err := b.quotas.TakePlace(ctx, q, d.Call.Receipt, now, now.Add(b.streamTime))
				switch {
				case err != nil:
					err = &Refusal{Reason: CatalogueUnread, err: err}
				case !held:
					err = &Refusal{Reason: LimitReached, RetryAfter: freshPlaces}
				}
				return answer{place, held, err}
			})
		}
	}
	answers := make(chan answer, len(asks))
	for _, ask := range asks {
		go func() { answers <- ask() }()
	}
	return func() (places []Place, err error) {
		for range asks {
			a := <-answers
			if a.held {
				places = append(places, a.place)
			}
			if err == nil {
				err = a.err
			}
		}
		return places, err
	}
}

func (b *Broker) countCall(ctx context.Context, q Quota, now time.Time) error {
	within, err := b.quotas.CountCall(ctx, q, now)
	switch {
	case err != nil:
		return &Refusal{Reason: CatalogueUnread, err: err}
	case !within:
		end := now.Truncate(QuotaWindow).Add(QuotaWindow)
		b.spent.note(q.Subject, end)
		return &Refusal{Reason: LimitReached, RetryAfter: end.Sub(now)}
	}
	return nil
}

// overLimit refuses, without asking anybody, what this process already knows to
// be over a limit: a caller in a loop must not cost a record and a secret each
// time.
func (b *Broker) overLimit(d *Decision) error {
	for _, s := range d.shares {
		if s.limits.CallsPerMinute == 0 {
			continue
		}
		if end, spent := b.spent.until(s.subject); spent && d.Began.Before(end) {
			return &Refusal{Reason: LimitReached, RetryAfter: end.Sub(d.Began)}
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

// spent remembers until when a subject's calls are used up.
type spent struct {
	mu   sync.Mutex
	ends map[string]time.Time
}

func (s *spent) note(subject string, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ends) >= spentMembers {
		clear(s.ends) // the tables still know
	}
	if s.ends == nil {
		s.ends = map[string]time.Time{}
	}
	s.ends[subject] = end
}

func (s *spent) until(subject string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, found := s.ends[subject]
	return end, found
}
