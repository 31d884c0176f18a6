package handler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/telemetry"
)

const (
	batch  = 64 // things ended between two writes of the case
	atOnce = 8  // of them
	scan   = broker.MaxScan
	// beat is how long others leave a case alone that somebody works on: longer
	// than a batch takes.
	beat = 2 * time.Minute
	// settles is when nothing can appear any more that a decision before the
	// revocation has begun: open calls are decided again every few seconds. A pass
	// that ends earlier is not the last.
	settles = time.Minute
	// firstPause doubles with each pass that leaves something to do, up to longest.
	firstPause   = time.Minute
	longestPause = time.Hour
	// trying is how long what has no known end is tried again.
	trying = 30 * 24 * time.Hour
	// puts is how often a write of unknown fate is repeated.
	puts = 3
	// patienceWith is how many things in a row may fail at one place before the rest
	// of them waits for the next pass.
	patienceWith = 3
)

var (
	errLifted = errors.New("the marker has been lifted")
	errOver   = errors.New("the time is over")
)

// run is one pass over a case.
type run struct {
	*Handler
	c      broker.Revocation  // as it is stored, and what has changed since
	given  []broker.Unreached // up, in all passes: as many as the case names
	until  time.Time          // when the last of what was given up ends
	failed []broker.Unreached // in this pass
	left   struct{ sessions, grants, values int }
	wait   time.Duration // that somebody asked for
	busy   bool          // all that is left is in somebody's hands for a moment

	mu    sync.Mutex
	fails map[string]int // in a row, by place
}

// work makes one pass. Where somebody else works on the case at the same time, one
// of the two stops, and nothing is lost.
func (h *Handler) work(ctx context.Context, c broker.Revocation) error {
	r := h.begin(c)
	err := r.pass(ctx)
	switch {
	case errors.Is(err, errLifted):
		err = r.lifted(ctx)
	case errors.Is(err, errOver), err != nil && ctx.Err() != nil:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reserve/2)
		defer cancel()
		err = r.later(ctx)
	case err == nil:
		err = r.finish(ctx)
	}
	if errors.Is(err, broker.ErrConflict) {
		h.Log.Info("somebody else works on the case", "case", c.ID)
		return nil
	}
	if err != nil {
		h.Log.Error("a case could not be gone on with", "case", c.ID, "cause", err.Error())
		return err
	}
	h.Log.Info("case worked", "case", c.ID, "kind", c.Kind, "work", r.c.Work, "sessions", r.c.Sessions.Ended, "grants", r.c.Grants.Ended,
		"left", r.toDo(), "given_up", r.givenUp())
	return nil
}

// begin makes a run that remembers what earlier ones gave up.
func (h *Handler) begin(c broker.Revocation) *run {
	r := &run{Handler: h, c: c, busy: true, fails: map[string]int{}}
	for _, u := range c.Unreached {
		if u.GivenUp {
			r.give(u)
		}
	}
	if r.givenUp() > len(r.given) { // more than the case names
		r.until = c.Accepted
	}
	return r
}

// pass ends sessions before tokens: a session may take a token to end.
func (r *run) pass(ctx context.Context) error {
	if r.c.Lifts {
		return nil
	}
	if err := r.stands(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.endValue(ctx); err != nil {
		return err
	}
	s, err := r.concerned(ctx)
	if err != nil {
		return err
	}
	r.c.Unknown = s.unknown
	if err := r.eachSession(ctx, s); err != nil {
		return err
	}
	return r.eachGrant(ctx, s)
}

// stands fails with errLifted where the marker is no longer this case's.
func (r *run) stands(ctx context.Context) error {
	found, err := r.Markers.Markers(ctx, r.Environment, []broker.MarkerKey{{Kind: r.c.Kind, ID: r.c.Subject}})
	switch {
	case err != nil:
		return fmt.Errorf("read the marker: %w", err)
	case len(found) == 0 || found[0].Epoch < r.c.Epoch:
		return fmt.Errorf("read the marker: %w: it is not there", broker.ErrUnavailable)
	case !found[0].Revoked || found[0].Epoch != r.c.Epoch:
		return errLifted
	}
	return nil
}

// thing is something to be ended.
type thing interface {
	key() string   // as Counted names it
	place() string // at which it is ended
	// end does it at the upstream or provider, and says how that went.
	end(ctx context.Context, r *run) result
	// forget takes it out of the tables.
	forget(ctx context.Context, r *run) error
}

// result says how ending one thing went. The zero result is that it did not.
type result struct {
	done    bool
	givenUp bool // nobody can, or it may not be: trying again would not help
	busy    bool // else: somebody has it in their hands for a moment
	wait    time.Duration
	broker.Unreached
}

func (e result) left() bool { return !e.done && !e.givenUp }

// work ends a batch of things, counts them, and only then forgets them.
func (r *run) work(ctx context.Context, things []thing, tally *broker.Tally, left *int) error {
	if len(things) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return errOver
	}
	if err := r.stands(ctx); err != nil {
		return err
	}
	results := make([]result, len(things))
	r.together(len(things), func(i int) { results[i] = r.try(ctx, things[i]) })
	var gone []thing
	r.c.Counted = nil
	for i, e := range results {
		switch {
		case e.left():
			*left++
			r.note(e)
			continue
		case e.givenUp:
			tally.GivenUp++
			r.give(e.Unreached)
		default:
			tally.Ended++
		}
		gone = append(gone, things[i])
		r.c.Counted = append(r.c.Counted, things[i].key())
	}
	tally.Found = max(tally.Found, tally.Ended+tally.GivenUp+*left)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reserve/2) // what was done is counted, and what is counted forgotten
	defer cancel()
	if err := r.put(ctx, r.Now().Add(beat)); err != nil {
		return err
	}
	return r.forgetAll(ctx, gone)
}

// try ends one thing, unless its place has failed too often in a row.
func (r *run) try(ctx context.Context, t thing) result {
	place := t.place()
	r.mu.Lock()
	failing := r.fails[place] >= patienceWith
	r.mu.Unlock()
	if failing || ctx.Err() != nil {
		return result{}
	}
	e := t.end(ctx, r)
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.left() && !e.busy {
		r.fails[place]++
	} else {
		r.fails[place] = 0
	}
	return e
}

// unread has rows that do not decode be left to do: whether they are concerned
// nobody knows, so the case stays open until somebody has seen to them.
func (r *run) unread(what string, rows int) {
	r.Log.Error("rows that may be concerned do not decode", "case", r.c.ID, "what", what, string(telemetry.RowsUnreadable), rows)
	r.note(result{})
}

// note keeps what is left to do.
func (r *run) note(e result) {
	r.busy = r.busy && e.busy
	r.wait = max(r.wait, e.wait)
	if e.What != "" {
		r.failed = append(r.failed, e.Unreached)
	}
}

// give keeps what was given up.
func (r *run) give(u broker.Unreached) {
	u.GivenUp = true
	r.given = append(r.given, u)
	if u.Until.After(r.until) {
		r.until = u.Until
	}
}

// forgetAll takes rows away. One that stays is in Counted: the next run takes it
// away and does not count it again.
func (r *run) forgetAll(ctx context.Context, gone []thing) error {
	faults := make([]error, len(gone))
	r.together(len(gone), func(i int) { faults[i] = again(func() error { return gone[i].forget(ctx, r) }) })
	return errors.Join(faults...)
}

// together runs n of something, some at once. What panics has not been done.
func (r *run) together(n int, one func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					r.Log.Error("ending something panicked", "type", fmt.Sprintf("%T", v))
				}
				<-slots
			}()
			one(i)
		})
	}
	all.Wait()
}

// put stores the case as it is, to be gone on with at a time.
func (r *run) put(ctx context.Context, next time.Time) error {
	r.c.NextTry = next.UTC()
	all := slices.Concat(r.given, r.failed)
	r.c.Unreached, r.c.Accepted = all[:min(len(all), broker.MaxUnreached)], r.until
	for _, u := range r.failed {
		if u.Until.After(r.c.Accepted) {
			r.c.Accepted = u.Until
		}
	}
	if err := again(func() error { return r.Cases.PutRevocation(ctx, r.c) }); err != nil {
		return fmt.Errorf("store the case: %w", err)
	}
	r.c.Version++
	return nil
}

// again repeats what may have been applied.
func again(call func() error) (err error) {
	for range puts {
		if err = call(); !errors.Is(err, broker.ErrUnavailable) {
			return err
		}
	}
	return err
}
