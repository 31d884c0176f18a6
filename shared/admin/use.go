package admin

import (
	"context"
	"errors"

	"bindery/shared/broker"
)

// Use is a question that cannot be answered without a secret: it is recorded
// before the secret is read, as a call is, and again with what was read.
type Use struct {
	Binding *broker.Binding // whose secrets are used; nil: none of a binding's
	Fault   error           // why it cannot be asked; told only to who may ask
	Ask     func(context.Context) (Used, error)
}

// Used is what came of it, for the record.
type Used struct {
	Reason   broker.Reason // what was found wrong; empty: nothing
	Accesses []broker.Access
	Upstream int // status that an upstream answered last
}

// Use permits a question, records it, asks, and records how it ended. What is
// not recorded is not asked, and what was asked is not told unless its end is
// recorded too.
func (d *Desk) Use(ctx context.Context, c Caller, o Operation, use Use) error {
	if err := d.permit(ctx, c, o); err != nil {
		return err
	}
	r := d.record(c, o, broker.Intent)
	if b := use.Binding; b != nil {
		r.Binding, r.BindingVersion, r.Mode, r.Source, r.Origin = b.Name, b.Version, b.Mode, b.Source, b.Origin
		for _, f := range b.Fields {
			r.References = append(r.References, f.Name+"="+f.Reference.String())
		}
	}
	if use.Fault != nil {
		r.Phase, r.Reason, r.Status = broker.Refused, useReason(use.Fault), d.Status(use.Fault)
		return errors.Join(use.Fault, d.refuse(ctx, c, r))
	}
	if err := d.store(ctx, c, r); err != nil {
		return err
	}
	began := d.Now()
	used, fault := use.Ask(ctx)
	r.Phase, r.At, r.Accesses, r.Upstream = broker.Outcome, d.Now().UTC(), used.Accesses, used.Upstream
	r.LatencyMS = d.Now().Sub(began).Milliseconds()
	r.Reason, r.Status = used.Reason, d.Status(fault)
	if fault != nil {
		r.Reason = useReason(fault)
	}
	if d.store(ctx, c, r) != nil {
		return errors.Join(fault, broker.ErrUnavailable)
	}
	return fault
}

// useReason is the word of a decision, where a fault holds one.
func useReason(err error) broker.Reason {
	var refusal *broker.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return reasonOf(err)
}
