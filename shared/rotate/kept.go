package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// purpose is what the sealed text of a run is for.
const purpose = "rotation"

// kept is what a run has to remember beside its row, sealed. Of a run that has
// ended only keep is left: what names the value in use to whoever issued it.
type kept struct {
	begun  bool         // staging has begun: there may be something to take back
	origin string       // what the staged value is bound to
	value  secret.Value // the new one
	keep   secret.Value // what names it
	before secret.Value // what names the one before
}

// sealedForm is kept as JSON, before it is sealed.
type sealedForm struct {
	Begun  string `json:"begun,omitempty"` // a word: members of secret texts are texts
	Origin string `json:"origin,omitempty"`
	Value  string `json:"value,omitempty"`
	Keep   string `json:"keep,omitempty"`
	Before string `json:"before,omitempty"`
}

func (w *work) context() broker.SealContext {
	return broker.SealContext{Environment: w.run.Environment, Purpose: purpose, ID: w.run.Subject}
}

// open opens what is kept. Before staging has begun that is what the run before
// left: what it names is the value that is about to become the one before.
func (w *work) open(ctx context.Context) (kept, error) {
	if len(w.run.Kept) == 0 {
		return kept{}, nil
	}
	text, err := w.Sealer.Open(ctx, w.context(), w.run.Kept)
	if err != nil {
		return kept{}, fmt.Errorf("open what the rotation keeps: %w", err)
	}
	var form sealedForm
	if json.Unmarshal([]byte(text.Reveal()), &form) != nil {
		return kept{}, fmt.Errorf("%w: what the rotation keeps does not decode", broker.ErrKeyUnavailable)
	}
	k := kept{begun: form.Begun != "", origin: form.Origin, value: valueOf(form.Value), keep: valueOf(form.Keep), before: valueOf(form.Before)}
	if !k.begun {
		k.before, k.keep = k.keep, secret.Value{}
	}
	return k, nil
}

func valueOf(text string) secret.Value {
	if text == "" {
		return secret.Value{}
	}
	return secret.New(text)
}

func (w *work) seal(ctx context.Context, k kept) ([]byte, error) {
	form := sealedForm{Origin: k.origin, Value: text(k.value), Keep: text(k.keep), Before: text(k.before)}
	if k.begun {
		form.Begun = "yes"
	}
	plain, err := json.Marshal(form)
	if err != nil {
		return nil, fmt.Errorf("encode what the rotation keeps: %w", err)
	}
	sealed, err := w.Sealer.Seal(ctx, w.context(), secret.New(string(plain)))
	if err != nil {
		return nil, fmt.Errorf("seal what the rotation keeps: %w", err)
	}
	return sealed, nil
}

func text(v secret.Value) string {
	if v.IsZero() {
		return ""
	}
	return v.Reveal()
}

// keep stores what a step must not lose if it dies: the run stays where it is.
func (w *work) keep(ctx context.Context, k kept) error {
	sealed, err := w.seal(ctx, k)
	if err != nil {
		return err
	}
	next := w.leased(w.run)
	next.Kept = sealed
	err = w.put(ctx, next)
	switch {
	case errors.Is(err, broker.ErrConflict):
		return errLost
	case err != nil:
		return err
	}
	w.kept = k
	return nil
}

// close leaves of what is kept only what names the value in use. Of a client that
// is what its provider gave last, wherever the run ended: nothing else is taken.
func (w *work) close(ctx context.Context, step broker.RotationStep) ([]byte, error) {
	named := w.kept.before
	client, ok := w.path.(*value)
	renewed := ok && client.plan.Maker == broker.MakeClientSecret && !w.kept.keep.IsZero()
	if step == broker.RotationOver || step == broker.RotationInUse || renewed {
		named = w.kept.keep
	}
	if named.IsZero() {
		return nil, nil
	}
	return w.seal(ctx, kept{keep: named})
}
