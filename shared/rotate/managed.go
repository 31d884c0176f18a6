package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// Managed is one step of a rotation that Secrets Manager runs, of which Bindery
// is the function. There is no run: the state is Secrets Manager's, which repeats
// a step that failed.
type Managed struct {
	Step    string
	Version string                                           // that Secrets Manager has announced
	Current bool                                             // it is in use already: nothing is left but to clear up
	Store   string                                           // kind of the store
	Is      func(path string) bool                           // whether a reference's path names the secret
	Finish  func(context.Context, broker.Want, string) error // promotes for good
}

// The steps, in the words of Secrets Manager.
const (
	CreateSecret = "createSecret"
	SetSecret    = "setSecret"
	TestSecret   = "testSecret"
	FinishSecret = "finishSecret"
)

// Manage does a step by the plan whose reference names the secret. A value that
// the upstream was not asked with, or that it refused, is never put into use: the
// last step asks again.
func (e *Engine) Manage(ctx context.Context, m Managed) error {
	plan, err := e.planOf(ctx, m)
	if err != nil {
		return err
	}
	now := e.Now().UTC()
	w := &work{Engine: e, run: broker.Rotation{Environment: e.Environment, Subject: plan.Subject(), ID: m.Version, Plan: plan.Name, Begun: now, Moved: now}}
	v := &value{plan}
	w.path = v
	switch {
	case m.Step == FinishSecret:
		return v.finish(ctx, w, m)
	case m.Current:
		return nil
	case m.Step == CreateSecret:
		return v.create(ctx, w)
	case m.Step == SetSecret: // whoever issued the value knows it; else the upstream reads it from the store
		_, err := v.waiting(ctx, w)
		return err
	case m.Step == TestSecret:
		if err := v.probe(ctx, w); err != nil {
			return err
		}
		return w.managed(ctx, broker.RotationTried, now)
	}
	return fmt.Errorf("%w step of a rotation", broker.ErrInvalid)
}

// planOf finds the plan. What a plan's maker leaves to Secrets Manager cannot be
// left to Bindery in turn; and an upstream's old keys are ended by what a run
// keeps, which there is none of.
func (e *Engine) planOf(ctx context.Context, m Managed) (broker.RotationPlan, error) {
	all, err := broker.AllStores(ctx, e.Cards, e.Environment)
	if err != nil {
		return broker.RotationPlan{}, err
	}
	stores := map[string]bool{}
	for _, s := range all {
		stores[s.Name] = s.Kind == m.Store && s.State == broker.Active
	}
	for p, err := range e.plans(ctx) {
		switch {
		case err != nil:
			return broker.RotationPlan{}, err
		case p.State != broker.Active || !stores[p.Reference.Scheme()] || !m.Is(p.Reference.Path()):
			continue
		case p.Maker != broker.MakeRandom && (p.Maker != broker.MakeByRecipe || p.Recipe.Retire.Method != ""):
			return broker.RotationPlan{}, fmt.Errorf("%w plan: Secrets Manager cannot run it", broker.ErrInvalid)
		}
		return p, nil
	}
	return broker.RotationPlan{}, fmt.Errorf("%w: no plan rotates this secret", broker.ErrNotFound)
}

// waiting requires that the version has its value.
func (v *value) waiting(ctx context.Context, w *work) (target, error) {
	t, err := v.target(ctx, w)
	if err != nil {
		return t, err
	}
	_, err = t.store.Staged(ctx, t.want, w.run.ID)
	return t, err
}

func (v *value) create(ctx context.Context, w *work) error {
	t, err := v.waiting(ctx, w)
	if !errors.Is(err, broker.ErrSecretMissing) {
		return err // it has its value, or that could not be found out
	}
	k, err := v.make(ctx, w, &t)
	if err != nil {
		return err
	}
	if w.run.From, w.run.To, err = t.store.Stage(ctx, t.want, v.plan.Reference.Key(), w.run.ID, k.value); err != nil {
		return err
	}
	return w.managed(ctx, broker.RotationMade, w.run.Moved)
}

func (v *value) finish(ctx context.Context, w *work, m Managed) error {
	if !m.Current {
		if err := v.probe(ctx, w); err != nil {
			return err
		}
	}
	t, err := v.target(ctx, w)
	if err != nil {
		return err
	}
	if err := m.Finish(ctx, t.want, w.run.ID); err != nil {
		return err
	}
	if err := w.bump(ctx, v.plan.Reference); err != nil {
		return err
	}
	return w.managed(ctx, broker.RotationInUse, w.run.Moved)
}

// managed tells what was done. A step that Secrets Manager repeats may be told twice.
func (w *work) managed(ctx context.Context, step broker.RotationStep, now time.Time) error {
	next := w.run
	next.Step, next.To = step, w.run.ID
	return w.tell(ctx, next, now)
}
