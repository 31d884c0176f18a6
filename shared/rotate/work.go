package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"bindery/shared/broker"
)

// How often a step is tried, and how far apart at most.
const (
	forwardTries = 6
	endingTries  = 14 // of taking back, and of ending the value before
	firstPause   = 15 * time.Second
	longestPause = time.Hour
)

// work is a run under this process's lease.
type work struct {
	*Engine
	run  broker.Rotation
	kept kept
	told Detail // of the step under way, for its fact
	seen []broker.Access
	path
}

// path is how a kind of run goes: its steps' effects, each of which may be
// repeated. A step without one is reached as it is.
type path interface {
	stage(ctx context.Context, w *work) error
	probe(ctx context.Context, w *work) error
	promote(ctx context.Context, w *work) error
	retire(ctx context.Context, w *work) error
	undo(ctx context.Context, w *work) error
}

// Go goes on with a run until it ends or has to wait, and gives it as it is
// then. A run that somebody else is at work on, or that is not due, is left as it
// is. An error says that it could not be gone on with; it is found again.
func (e *Engine) Go(ctx context.Context, run broker.Rotation) (broker.Rotation, error) {
	now := e.Now().UTC()
	if run.Step.Ended() || !run.Due(now) || held(run, now) {
		return run, nil
	}
	w := &work{Engine: e, run: run}
	err := w.hold(ctx)
	if errors.Is(err, broker.ErrConflict) {
		return run, nil
	}
	for err == nil && !w.run.Step.Ended() && w.run.Holder != "" {
		err = w.step(ctx)
	}
	if errors.Is(err, broker.ErrConflict) { // somebody else has gone on with it
		err = nil
	}
	return w.run, err
}

// hold takes the lease, or prolongs it.
func (w *work) hold(ctx context.Context) error {
	next := w.run
	next.Holder = w.Holder()
	return w.put(ctx, w.leased(next))
}

func (w *work) leased(r broker.Rotation) broker.Rotation {
	r.HeldUntil = w.Now().UTC().Add(lease)
	r.Next = r.HeldUntil.Add(broker.ClockSkew) // when it is found if this process dies
	return r
}

// released gives the run up until a time.
func released(r broker.Rotation, until time.Time) broker.Rotation {
	r.Holder, r.HeldUntil, r.Next = "", time.Time{}, until
	return r
}

// put stores the run. It must not fail only because the time is over.
func (w *work) put(ctx context.Context, next broker.Rotation) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := persist(ctx, func() error { return w.Runs.PutRotation(ctx, next) }); err != nil {
		return err
	}
	next.Version++
	w.run = next
	return nil
}

// step does what comes next and stores that it is done.
func (w *work) step(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return w.put(ctx, released(w.run, w.Now().UTC()))
	}
	bounded, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	w.told, w.seen = Detail{}, nil
	next, err := w.effect(bounded)
	switch {
	case err == nil:
		return w.reached(ctx, next)
	case errors.Is(err, errLost):
		return broker.ErrConflict
	case ctx.Err() != nil: // it is no failure of the step's
		return w.put(ctx, released(w.run, w.Now().UTC()))
	}
	return w.failed(ctx, err)
}

// errForGood means that no other try comes to anything else.
var errForGood = errors.New("it cannot be taken back")

// errLost means that the run is somebody else's by now.
var errLost = errors.New("the run is somebody else's")

// effect does what the step under way is for, and says which is reached by it.
func (w *work) effect(ctx context.Context) (next broker.RotationStep, err error) {
	if err := w.prepare(ctx); err != nil {
		return "", err
	}
	switch w.run.Step {
	case broker.RotationOrdered:
		return broker.RotationMade, w.stage(ctx, w)
	case broker.RotationMade:
		return broker.RotationTried, w.probe(ctx, w)
	case broker.RotationTried:
		return broker.RotationInUse, w.promote(ctx, w)
	case broker.RotationInUse:
		return broker.RotationOver, w.retire(ctx, w)
	case broker.RotationUndoing, broker.RotationOver, broker.RotationUndone, broker.RotationAbandoned: // only the first comes here
	}
	return broker.RotationUndone, w.undo(ctx, w)
}

// prepare finds out how the run goes and opens what it keeps.
func (w *work) prepare(ctx context.Context) error {
	if w.path == nil {
		if w.run.Plan == "" {
			w.path = &card{}
		} else {
			p, err := w.Plans.RotationPlan(ctx, w.run.Environment, w.run.Plan)
			if err != nil {
				return err
			}
			if p.Subject() != w.run.Subject {
				return fmt.Errorf("%w: the plan is another secret's by now", broker.ErrConflict)
			}
			w.path = &value{plan: p}
		}
	}
	var err error
	w.kept, err = w.open(ctx)
	return err
}

// reached tells a step and stores it.
func (w *work) reached(ctx context.Context, step broker.RotationStep) error {
	now := w.Now().UTC()
	next := w.run
	next.Step, next.Moved, next.Tries = step, now, 0
	if step == broker.RotationInUse {
		grace, err := w.grace(ctx)
		if err != nil {
			return err
		}
		next.Until = now.Add(grace)
	}
	switch {
	case step.Ended():
		next = released(next, time.Time{})
		var err error
		if next.Kept, err = w.close(ctx, step); err != nil {
			return err
		}
	case next.Until.After(now):
		next = released(next, next.Until)
		w.told.Until = next.Until
	default:
		next = w.leased(next)
	}
	if err := w.tell(ctx, next, now); err != nil {
		return err
	}
	return w.put(ctx, next)
}

// grace is how long the value before goes on. One that leaked does not; and of a
// card the secret before stays where it is: there is nothing to wait for.
func (w *work) grace(ctx context.Context) (time.Duration, error) {
	v, ok := w.path.(*value)
	if !ok {
		return 0, nil
	}
	stopped, err := w.stopped(ctx, v.plan.Reference)
	if err != nil || stopped {
		return 0, err
	}
	return v.plan.Grace, nil
}

// failed decides what a failure leads to: another try, the way back, or the end
// of what can be done here.
func (w *work) failed(ctx context.Context, fault error) error {
	w.Report(w.run, fault)
	now := w.Now().UTC()
	next := w.run
	next.Tries++
	ending := next.Step == broker.RotationUndoing || next.Step == broker.RotationInUse
	switch {
	case ending && (next.Tries >= endingTries || errors.Is(fault, errForGood)):
		next.Reason = reasonFor(next, fault)
		next.Kept, _ = w.close(ctx, next.Step) // what cannot be sealed any more is lost: a later value can still be issued
		next.Step, next.Moved = broker.RotationAbandoned, now
		next = released(next, time.Time{})
		if err := w.tell(ctx, next, now); err != nil {
			return err
		}
	case ending, passing(fault) && next.Tries < forwardTries:
		next = released(next, now.Add(min(firstPause<<(next.Tries-1), longestPause)))
	default:
		next.Step, next.Moved, next.Reason, next.Tries = broker.RotationUndoing, now, reasonFor(next, fault), 0
		next = w.leased(next)
	}
	return w.put(ctx, next)
}

// passing reports whether a fault may be over when the step is tried again.
func passing(err error) bool {
	var refusal *broker.Refusal
	if errors.As(err, &refusal) {
		return slices.Contains([]broker.Reason{broker.UpstreamUnreached, broker.UpstreamTimeout, broker.UpstreamFailed, broker.UpstreamBroke}, refusal.Reason)
	}
	for _, final := range []error{broker.ErrSecretMissing, broker.ErrSecretMalformed, broker.ErrStoreDenied, broker.ErrProviderRefused,
		broker.ErrConflict, broker.ErrInvalid, broker.ErrNotFound, broker.ErrOutcomeUnknown} { // once more would leave one more key behind
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// reasonFor is the word for a failure. The first one that sent a run back stays.
func reasonFor(r broker.Rotation, err error) broker.Reason {
	if r.Reason != "" {
		return r.Reason
	}
	lost := errors.Is(err, broker.ErrConflict) || errors.Is(err, broker.ErrNotFound) || errors.Is(err, broker.ErrInvalid)
	if reason := broker.ReasonOf(err); reason != broker.Internal || !lost {
		return reason
	}
	return broker.ChangeLost
}
