// Package rotate changes secrets, and what cards refer to, in two phases. The
// new value is made and staged where no call uses it; the upstream is asked with
// it; only then is it promoted, and the one before goes on for its grace. What
// fails on the way is taken back.
//
// A run is a row, and each step one effect that may be repeated: whoever dies
// between two of them, whoever finds the run next goes on from the step that is
// stored. One process at a time works on a run, under a lease. What a step did is
// told before the step is stored, under a receipt that follows from run and step,
// so that it is told exactly once.
//
// The package never promotes what the upstream has refused, never asks an
// upstream by a card that calls may not use, never shows a value to anybody but
// store, upstream and the maker it came from, and stores none unsealed.
package rotate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Parts are what an Engine works with.
type Parts struct {
	Environment string
	Runs        broker.Rotations
	Plans       broker.RotationPlans
	Catalogue   broker.Catalogue
	Cards       Cards
	Providers   Providers
	Markers     Markers
	Source      broker.Source                  // reads references
	Stores      map[string]broker.StagingStore // by kind
	Makers      map[broker.MakerKind]broker.ValueMaker
	Prober      Prober
	Sealer      broker.Sealer
	Journal     *broker.Journal
	SignIn      func(to broker.Store, all []broker.Store) func(context.Context) (secret.Value, error)
	Check       func(secret.Value) error // whether a value can be masked
	Now         func() time.Time
	Holder      func() string // unique to an attempt
	ID          func(at time.Time) string
	Report      func(run broker.Rotation, err error) // what went wrong, for the log
}

// Cards reads and replaces cards.
type Cards interface {
	Binding(ctx context.Context, r broker.Route, name string) (broker.Binding, error)
	PutBinding(ctx context.Context, b broker.Binding) error
	Stores(ctx context.Context, environment string, p broker.Page) ([]broker.Store, error)
}

// Providers reads providers.
type Providers interface {
	Provider(ctx context.Context, environment, name string) (broker.Provider, error)
}

// Markers tell what is revoked, and count changes.
type Markers interface {
	broker.MarkerReader
	broker.Markers
}

// Prober asks an upstream with a credential whether it takes it. It gives the
// word for what is wrong, or nothing.
type Prober interface {
	Probe(ctx context.Context, s broker.Server, mode broker.Mode, receipt string, fields map[string]secret.Value) broker.Reason
}

// Engine works on rotations. It is safe for concurrent use, in any number of
// processes.
type Engine struct{ Parts }

const (
	// lease is how long a run is one process's from the last step it stored.
	lease = 3 * time.Minute
	// stepTime bounds one step: it has ended long before somebody else goes on.
	stepTime = time.Minute
	// storeTime is kept for what must be stored when the time of a run is over.
	storeTime = 5 * time.Second
)

// Report is what a run of the schedule did.
type Report struct {
	Begun  int  `json:"begun"`
	Worked int  `json:"worked"`           // runs that were gone on with
	Ended  int  `json:"ended"`            // of them
	Done   bool `json:"done"`             // false: the time was over first
	Unread int  `json:"unread,omitempty"` // rows of runs that do not decode
}

// Run begins what is due by its plan and goes on with what is due, until nothing
// is or the context ends. A run that cannot be worked on is reported, and in
// nobody else's way; neither is a plan that cannot be begun, of which the error
// tells at the end, nor a row that cannot be read.
func (e *Engine) Run(ctx context.Context) (Report, error) {
	var report Report
	begun, fault := e.begin(ctx)
	report.Begun = begun
	if ctx.Err() != nil {
		fault = nil
	}
	seen := map[string]bool{}
	for ctx.Err() == nil {
		due, err := e.Runs.DueRotations(ctx, e.Environment, e.Now(), broker.MaxPage)
		if rows := broker.Unread(err); rows > 0 {
			report.Unread, err = max(report.Unread, rows), nil
		}
		switch {
		case err != nil && ctx.Err() == nil:
			return report, errors.Join(fault, err)
		case err != nil: // the time is over: what is left is done by the next run
			continue
		}
		fresh := 0
		for _, run := range due {
			if ctx.Err() != nil || seen[run.ID] {
				continue
			}
			seen[run.ID] = true
			fresh++
			after, err := e.Go(ctx, run)
			switch {
			case err != nil:
				e.Report(run, err)
			case after.Version != run.Version:
				report.Worked++
			}
			if after.Step.Ended() {
				report.Ended++
			}
		}
		if fresh == 0 {
			report.Done = true
			break
		}
	}
	return report, fault
}

// begin begins the runs of plans whose time has come. The fault of one keeps no
// other from its turn.
func (e *Engine) begin(ctx context.Context) (begun int, fault error) {
	for p, err := range e.plans(ctx) {
		if err != nil {
			return begun, errors.Join(fault, err)
		}
		began, err := e.beginPlan(ctx, p)
		if err != nil {
			fault = errors.Join(fault, fmt.Errorf("begin a rotation by the plan %s: %w", p.Name, err))
		}
		if began {
			begun++
		}
		if ctx.Err() != nil {
			break
		}
	}
	return begun, fault
}

// plans gives the plans of the environment, whatever their state.
func (e *Engine) plans(ctx context.Context) iter.Seq2[broker.RotationPlan, error] {
	read := func(p broker.Page) ([]broker.RotationPlan, error) {
		return e.Plans.RotationPlans(ctx, e.Environment, p)
	}
	return broker.Rows("", read, func(p broker.RotationPlan) string { return p.Name })
}

// beginPlan begins a run unless somebody else did. Which run is the one before
// is part of the condition: of two schedules that fire at once, one begins.
func (e *Engine) beginPlan(ctx context.Context, p broker.RotationPlan) (bool, error) {
	if p.State != broker.Active || p.Every == 0 {
		return false, nil
	}
	latest, err := e.Runs.Rotation(ctx, e.Environment, p.Subject())
	now := e.Now().UTC()
	switch {
	case err != nil && !errors.Is(err, broker.ErrNotFound):
		return false, err
	case err == nil && (!latest.Step.Ended() || now.Before(again(p, latest))):
		return false, nil
	}
	err = persist(ctx, func() error { return e.Runs.BeginRotation(ctx, OfPlan(p, latest, "", e.ID(now), now)) })
	if errors.Is(err, broker.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// afterFailure is when a plan's turn comes after a run that changed nothing.
const afterFailure = 24 * time.Hour

// again is when a plan's next run is due, by the time of its latest.
func again(p broker.RotationPlan, latest broker.Rotation) time.Time {
	if latest.Step != broker.RotationOver {
		return latest.Begun.Add(min(p.Every, afterFailure))
	}
	return latest.Begun.Add(p.Every)
}

// stored is how often a write of unknown fate is repeated.
const stored = 3

// persist repeats a write that may be repeated.
func persist(ctx context.Context, write func() error) error {
	err := write()
	for range stored - 1 {
		if !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
			break
		}
		err = write()
	}
	return err
}
