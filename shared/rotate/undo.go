package rotate

import (
	"context"
	"errors"
	"fmt"

	"bindery/shared/broker"
)

// undo restores the value before and withdraws the new one, in this order: calls
// get a value that works at every moment.
func (v *value) undo(ctx context.Context, w *work) error {
	if !w.kept.begun {
		return nil
	}
	at, err := v.place(ctx, w, w.kept.origin)
	if err != nil {
		return err
	}
	if err := at.store.Restore(ctx, at.want, w.run.ID); err != nil {
		if v.plan.Maker == broker.MakeInStore && errors.Is(err, broker.ErrConflict) { // its value is in use: so it stays
			return fmt.Errorf("%w: %w", errForGood, err)
		}
		return err
	}
	if err := w.bump(ctx, v.plan.Reference); err != nil {
		return err
	}
	maker := w.Makers[v.plan.Maker]
	if maker == nil || w.kept.value.IsZero() {
		return nil
	}
	m := w.making(v.plan)
	if err := v.outfit(ctx, w, &m); err != nil {
		return err
	}
	err = maker.Withdraw(ctx, m, broker.Made{Value: w.kept.value, Keep: w.kept.keep})
	if err != nil && v.plan.Maker == broker.MakeClientSecret { // the next run finds the secret there is: nothing may keep it waiting
		return fmt.Errorf("%w: %w", errForGood, err)
	}
	return err
}

// outfit gives a maker the card's credential, as far as the card may be used: a
// maker that needs it fails without, and one that does not goes on.
func (v *value) outfit(ctx context.Context, w *work, m *broker.Making) error {
	if v.plan.Server == "" {
		return nil
	}
	b, s, err := w.standing(ctx, v.plan.Server, v.plan.Binding)
	if err != nil {
		if passing(err) {
			return err
		}
		return nil
	}
	if v.moved(b) {
		return nil
	}
	m.Server = *s.Server
	m.Fields, err = w.obtain(ctx, b, s)
	return err
}

// inUse fails where calls get another value than the new one: somebody has
// changed it since, and the one before, which nobody else could bring back, may
// be what they get.
func (v *value) inUse(ctx context.Context, w *work, at place) error {
	if w.kept.value.IsZero() || w.kept.before.IsZero() {
		return nil // nothing is ended by name
	}
	const name = "value"
	c, err := w.Source.Obtain(ctx, broker.Ask{Stores: at.all, Receipt: w.run.ID, Recorded: func(context.Context) error { return nil },
		Binding: broker.Binding{Environment: w.Environment, Origin: w.kept.origin, Fields: []broker.Field{{Name: name, Reference: v.plan.Reference}}}})
	switch {
	case errors.Is(err, broker.ErrSecretMissing):
		return nil // it is gone, as when it leaked: nobody gets any
	case err != nil:
		return err
	}
	w.seen = append(w.seen, c.Access...)
	if !c.Fields[name].Equal(w.kept.value) {
		return fmt.Errorf("%w: the secret was changed during its grace", broker.ErrConflict)
	}
	return nil
}
