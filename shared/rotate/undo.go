package rotate

import (
	"context"

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
	return maker.Withdraw(ctx, m, broker.Made{Value: w.kept.value, Keep: w.kept.keep})
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
	m.Server = *s.Server
	m.Fields, err = w.obtain(ctx, b, s)
	return err
}
