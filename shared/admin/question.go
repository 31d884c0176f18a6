package admin

import (
	"context"

	"bindery/shared/broker"
)

// Asked is what a request has come to, for whoever answers it.
type Asked struct {
	recorded bool           // something of it has been recorded, or its refusal counted
	question *broker.Record // that is recorded when the status of its answer is known
}

// List records that a list is asked for, or has Answered record it. Everybody may
// ask: what is in it is for Sees to say, row by row.
func (d *Desk) List(ctx context.Context, c Caller, o Operation) error {
	r := d.record(c, o, broker.Outcome)
	if c.Asked != nil {
		c.Asked.question = &r
		return nil
	}
	r.Status = d.Status(nil)
	return d.store(ctx, c, r)
}

// Read permits and records a question, as List does. Nothing may be shown if it
// fails.
func (d *Desk) Read(ctx context.Context, c Caller, o Operation) error {
	if err := d.permit(ctx, c, o); err != nil {
		return err
	}
	return d.List(ctx, c, o)
}

// Answered records a question with the status of its answer, or else a request
// that came to no operation. If it fails, nothing but an error may be answered.
func (d *Desk) Answered(ctx context.Context, c Caller, method string, status int) error {
	switch q := c.Asked.question; {
	case q != nil:
		q.Status = status
		return d.store(ctx, c, *q)
	case c.Asked.recorded:
		return nil
	}
	return d.refused(ctx, c, method, broker.MessageRefused, status)
}
