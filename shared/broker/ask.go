package broker

import (
	"context"
	"errors"
)

// recording is an intent on its way into the audit log.
type recording struct {
	done chan struct{}
	err  error // once done
}

func (b *Broker) recordIntent(ctx context.Context, d *Decision) *recording {
	r, intent := &recording{done: make(chan struct{})}, b.record(d, Intent)
	go func() {
		defer close(r.done)
		r.err = b.store(ctx, SettleTime, intent)
	}()
	return r
}

func (r *recording) wait(ctx context.Context) error {
	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.err != nil {
		return errors.Join(ErrUnrecorded, r.err)
	}
	return nil
}

// ask tells a source what it may know of the decision. The caller's own token
// is for the one source that exchanges it.
func (d *Decision) ask(r *recording, h *holding) Ask {
	a := Ask{
		Binding: d.Binding, Stores: d.Stores, Server: d.Server, Principal: d.Call.Principal,
		Receipt: d.Call.Receipt, Changes: h.wait,
		Recorded: func(ctx context.Context) error {
			if err := r.wait(ctx); err != nil {
				return err
			}
			_, err := h.wait(ctx)
			return err
		},
	}
	if d.Binding.Source == TokenExchange {
		a.Token = d.Call.Token
	}
	return a
}

// obtain asks the source of the binding, if this deployment has it.
func (b *Broker) obtain(ctx context.Context, d *Decision, r *recording, h *holding) (Credential, error) {
	source := b.sources[d.Binding.Source]
	if source == nil {
		return Credential{}, refuse(ModeUnknown)
	}
	credential, err := source.Obtain(ctx, d.ask(r, h))
	var needed *ConsentNeeded
	if errors.As(err, &needed) {
		needed.Silent = d.Call.MessageID == "" || d.Call.Action == Respond
	}
	return credential, err
}
