package rotate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// value is how a secret is changed, as its plan says.
type value struct {
	plan broker.RotationPlan
}

// place is where the secret of the plan lives, and what it is bound to.
type place struct {
	store broker.StagingStore
	want  broker.Want
	all   []broker.Store
}

// place finds the store. origin is the one that the value was staged for, or
// empty.
func (v *value) place(ctx context.Context, w *work, origin string) (place, error) {
	stores, err := broker.AllStores(ctx, w.Cards, w.Environment)
	if err != nil {
		return place{}, err
	}
	whole := v.plan.Reference.WithoutKey()
	i := slices.IndexFunc(stores, func(s broker.Store) bool { return s.Name == whole.Scheme() && s.State == broker.Active })
	switch {
	case i < 0:
		return place{}, &broker.Refusal{Reason: broker.StoreUnregistered}
	case !stores[i].Paths.Allows(whole):
		return place{}, &broker.Refusal{Reason: broker.ReferenceOutside}
	}
	store := w.Stores[stores[i].Kind]
	if store == nil {
		return place{}, fmt.Errorf("%w: nothing can be staged in a store of its kind", broker.ErrStoreDenied)
	}
	return place{store, broker.Want{Reference: whole, Keys: []string{v.plan.Reference.Key()}, Environment: w.Environment, Origin: origin,
		Store: stores[i], Credential: w.SignIn(stores[i], stores)}, stores}, nil
}

// target is what a step that goes forward works on: the plan must be in force,
// and its card stand and use the secret; what the upstream says of another one
// says nothing.
type target struct {
	place
	card     broker.Binding
	snapshot broker.Snapshot
	making   broker.Making
}

func (v *value) target(ctx context.Context, w *work) (target, error) {
	if v.plan.State != broker.Active {
		return target{}, &broker.Refusal{Reason: broker.RotationCancelled}
	}
	if err := w.halted(ctx, v.plan.Reference); err != nil {
		return target{}, err
	}
	t := target{making: w.making(v.plan)}
	origin, err := v.origin(ctx, w, &t)
	if err != nil {
		return t, err
	}
	if w.kept.begun && w.kept.origin != origin { // it moved since the value was staged
		return t, &broker.Refusal{Reason: broker.BindingPending}
	}
	t.place, err = v.place(ctx, w, origin)
	return t, err
}

// origin is what a staged value is bound to: the card's server, or the provider
// that gets a client's secret.
func (v *value) origin(ctx context.Context, w *work, t *target) (string, error) {
	if v.plan.Server != "" {
		var err error
		if t.card, t.snapshot, err = w.standing(ctx, v.plan.Server, v.plan.Binding); err != nil {
			return "", err
		}
		whole := v.plan.Reference.WithoutKey()
		switch {
		case !slices.ContainsFunc(t.card.Fields, func(f broker.Field) bool { return f.Reference.WithoutKey() == whole }):
			return "", fmt.Errorf("%w: the card does not use the reference any more", broker.ErrConflict)
		case v.moved(t.card):
			return "", &broker.Refusal{Reason: broker.BindingPending}
		}
		t.making.Server = *t.snapshot.Server
		return t.card.Origin, nil
	}
	if v.plan.Provider == "" {
		return "", nil
	}
	p, err := w.Providers.Provider(ctx, w.Environment, v.plan.Provider)
	switch {
	case err != nil:
		return "", err
	case p.State != broker.Active:
		return "", &broker.Refusal{Reason: broker.ProviderUnfit}
	case p.Address() == "":
		return "", nil
	}
	return broker.OriginDigest(p.Address())
}

// moved reports whether the plan's recipe was put for another origin of its
// server: then its requests take the card's credential where nobody meant it to go.
func (v *value) moved(card broker.Binding) bool {
	return v.plan.Maker == broker.MakeByRecipe && v.plan.Origin != card.Origin
}

func (w *work) making(p broker.RotationPlan) broker.Making {
	return broker.Making{ID: w.run.ID, Plan: p, Kept: w.kept.before, Deadline: w.Now().Add(stepTime)}
}

// stage makes a value and stages it. The value is kept before it is staged: if
// this process dies in between, the same one is staged by the next.
func (v *value) stage(ctx context.Context, w *work) error {
	t, err := v.target(ctx, w)
	if err != nil {
		return err
	}
	if !w.kept.begun {
		k, err := v.make(ctx, w, &t)
		if err == nil {
			k.origin = t.want.Origin
			err = w.keep(ctx, k)
		}
		if err != nil {
			return err
		}
	}
	from, to, err := t.store.Stage(ctx, t.want, v.plan.Reference.Key(), w.run.ID, w.kept.value)
	if err != nil {
		return err
	}
	w.run.From, w.run.To = from, to
	return nil
}

// make asks the plan's maker. A store that rotates by itself is handed no value.
func (v *value) make(ctx context.Context, w *work, t *target) (kept, error) {
	k := kept{begun: true, before: w.kept.before}
	if v.plan.Maker == broker.MakeInStore {
		return k, nil
	}
	maker := w.Makers[v.plan.Maker]
	if maker == nil {
		return k, fmt.Errorf("%w: nobody makes such values here", broker.ErrProviderRefused)
	}
	var err error
	if v.plan.Server != "" {
		if t.making.Fields, err = w.obtain(ctx, t.card, t.snapshot); err != nil {
			return k, err
		}
	}
	made, err := maker.Make(ctx, t.making)
	if err != nil {
		return k, err
	}
	k.value, k.keep = made.Value, made.Keep
	if made.Value.IsZero() {
		return k, fmt.Errorf("%w: there is no new value", broker.ErrProviderRefused)
	}
	if err := w.Check(made.Value); err != nil {
		withdrawn := maker.Withdraw(ctx, t.making, made)
		return k, errors.Join(fmt.Errorf("%w: %w", broker.ErrSecretMalformed, err), withdrawn)
	}
	return k, nil
}

// probe asks the upstream with the card's credential, the new value in its place.
func (v *value) probe(ctx context.Context, w *work) error {
	if v.plan.Server == "" {
		w.told.Probe = probeNoCard
		return nil
	}
	stopped, err := w.stopped(ctx, v.plan.Reference)
	if err != nil {
		return err
	}
	if stopped { // it leaked: the new value is to replace it, and calls use neither
		w.told.Probe = probeRevoked
		return nil
	}
	t, err := v.target(ctx, w)
	if err != nil {
		return err
	}
	fields, err := v.staged(ctx, w, &t)
	if err != nil {
		return err
	}
	return w.ask(ctx, t.card, t.snapshot, fields)
}

// staged gives the fields of the card, those of the plan's secret as staged.
func (v *value) staged(ctx context.Context, w *work, t *target) (map[string]secret.Value, error) {
	rest := t.card
	rest.Fields = nil
	want := t.want
	want.Keys = nil
	for _, f := range t.card.Fields {
		switch {
		case f.Reference.WithoutKey() != want.Reference:
			rest.Fields = append(rest.Fields, f)
		case !slices.Contains(want.Keys, f.Reference.Key()):
			want.Keys = append(want.Keys, f.Reference.Key())
		}
	}
	fields, err := w.obtain(ctx, rest, t.snapshot)
	if err != nil {
		return nil, err
	}
	found, err := t.store.Staged(ctx, want, w.run.ID)
	if err != nil {
		return nil, err
	}
	w.seen = append(w.seen, broker.Access{Reference: want.Reference.String(), Version: found.Version, RequestID: found.RequestID})
	for _, f := range t.card.Fields {
		if f.Reference.WithoutKey() == want.Reference {
			fields[f.Name] = found.Values[f.Reference.Key()]
		}
	}
	return fields, nil
}

func (v *value) promote(ctx context.Context, w *work) error {
	t, err := v.target(ctx, w)
	if err != nil {
		return err
	}
	if err := t.store.Promote(ctx, t.want, w.run.ID); err != nil {
		return err
	}
	return w.bump(ctx, v.plan.Reference)
}

// retire ends the value before: where it was issued, then in its store.
func (v *value) retire(ctx context.Context, w *work) error {
	at, err := v.place(ctx, w, w.kept.origin)
	if err != nil {
		return err
	}
	if maker := w.Makers[v.plan.Maker]; maker != nil {
		if err := v.inUse(ctx, w, at); err != nil {
			return err
		}
		m := w.making(v.plan)
		if err := v.outfit(ctx, w, &m); err != nil {
			return err
		}
		if err := maker.Retire(ctx, m, w.kept.before); err != nil {
			return err
		}
	}
	return at.store.Retire(ctx, at.want, w.run.ID)
}
