package handler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// Worked is the detail of the facts revocation.completed and
// revocation.incomplete.
type Worked struct {
	Case     string            `json:"case"`
	Kind     broker.MarkerKind `json:"kind"`
	Subject  string            `json:"subject"`
	Tries    int               `json:"tries"`
	Sessions Counts            `json:"sessions"` // at upstreams
	Grants   Counts            `json:"grants"`   // at providers
	Values   Counts            `json:"values"`   // sealed ones, deleted
	// Accepted is until when a provider or upstream may still accept what could not
	// be ended there; absent: nothing of the kind is known.
	Accepted *time.Time `json:"accepted,omitempty"`
	Unknown  []string   `json:"unknown,omitempty"` // what cannot be enumerated
}

// Counts are of one sort. What is neither ended nor given up is still to do.
type Counts struct {
	Found   int `json:"found"`
	Ended   int `json:"ended"`
	GivenUp int `json:"given_up"`
}

const wasLifted = "The revocation was lifted before all of this was ended; the rest was left alone."

func (r *run) toDo() int { return r.left.sessions + r.left.grants + r.left.values }

func (r *run) givenUp() int { return r.c.Sessions.GivenUp + r.c.Grants.GivenUp + r.c.Values.GivenUp }

// finish ends a pass that has looked at everything.
func (r *run) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reserve/2)
	defer cancel()
	r.c.Tries++
	r.c.Counted = nil
	if r.toDo() > 0 && !r.busy || r.givenUp() > 0 {
		if err := r.tell(ctx, broker.RevocationIncomplete); err != nil {
			return err
		}
	}
	settled := r.c.At.Add(settles)
	switch {
	case r.toDo() > 0:
		return r.put(ctx, r.Now().Add(r.pause()))
	case r.Now().Before(settled) && !r.c.Lifts:
		return r.put(ctx, settled)
	}
	for _, t := range []*broker.Tally{&r.c.Sessions, &r.c.Grants, &r.c.Values} {
		t.Ended = t.Found - t.GivenUp // what is no longer there has ended without us
	}
	return r.done(ctx)
}

// pause grows with each pass, is never shorter than what a provider asked for,
// and never longer than an hour.
func (r *run) pause() time.Duration {
	if r.busy {
		return firstPause
	}
	return min(max(firstPause<<min(r.c.Tries-1, 6), r.wait), longestPause)
}

// lifted ends a case whose marker is no longer its own.
func (r *run) lifted(ctx context.Context) error {
	r.c.Unknown = append(r.c.Unknown, wasLifted)
	return r.done(ctx)
}

func (r *run) done(ctx context.Context) error {
	if !r.c.Lifts {
		if err := r.tell(ctx, broker.RevocationCompleted); err != nil {
			return err
		}
	}
	r.c.Work, r.c.Done = broker.WorkDone, r.Now().UTC()
	return r.put(ctx, time.Time{})
}

// later leaves the rest to the next run of the schedule.
func (r *run) later(ctx context.Context) error { return r.put(ctx, r.Now()) }

// tell records a fact of the case once: its receipt follows from the case, so that
// whoever tells it again tells nothing new.
func (r *run) tell(ctx context.Context, kind broker.FactKind) error {
	c := r.c
	detail := Worked{c.ID, c.Kind, c.Subject, c.Tries, Counts(c.Sessions), Counts(c.Grants), Counts(c.Values), nil, c.Unknown}
	accepted := r.until
	for _, u := range r.failed {
		if u.Until.After(accepted) {
			accepted = u.Until
		}
	}
	if !accepted.IsZero() {
		accepted = accepted.UTC()
		detail.Accepted = &accepted
	}
	f := broker.Fact{Receipt: broker.ReceiptOf(c.At, "fact", c.Environment, c.ID, string(kind)), Kind: kind, Environment: c.Environment,
		Object: string(c.Kind) + "/" + c.Subject, Detail: detail}
	if c.Via == broker.ViaAdmin {
		f.By = c.By
	}
	if err := r.Journal.Tell(ctx, f, r.Now()); err != nil && !errors.Is(err, broker.ErrConflict) {
		return fmt.Errorf("tell of the case: %w", err)
	}
	return nil
}
