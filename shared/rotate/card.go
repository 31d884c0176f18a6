package rotate

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"bindery/shared/broker"
)

// card is how a card is given other references. No secret changes: what is
// staged is the card as it is to be, in the run.
type card struct{}

// next is the card as it is to be. It fails where the card is no longer the one
// that the run was ordered for.
func (c *card) next(ctx context.Context, w *work) (broker.Binding, broker.Snapshot, error) {
	server, name := cardOf(w.run.Subject)
	b, s, err := w.standing(ctx, server, name)
	if err != nil {
		return b, s, err
	}
	if strconv.FormatInt(b.Version, 10) != w.run.From {
		return b, s, broker.ErrConflict
	}
	b.Fields = slices.Clone(w.run.Fields)
	if err := broker.Usable(&b, s.Server, s.Stores); err != nil {
		return b, s, err
	}
	var references []broker.Reference
	for _, f := range b.Fields {
		references = append(references, f.Reference)
	}
	stopped, err := w.stopped(ctx, references...)
	if err == nil && stopped {
		err = &broker.Refusal{Reason: broker.ReferenceRevoked}
	}
	return b, s, err
}

// stage sees that the new references lead somewhere.
func (c *card) stage(ctx context.Context, w *work) error {
	b, s, err := c.next(ctx, w)
	if err == nil {
		_, err = w.obtain(ctx, b, s)
	}
	return err
}

func (c *card) probe(ctx context.Context, w *work) error {
	b, s, err := c.next(ctx, w)
	if err != nil {
		return err
	}
	fields, err := w.obtain(ctx, b, s)
	if err != nil {
		return err
	}
	return w.ask(ctx, b, s, fields)
}

// promote makes the new card the one that calls use. That it is already is no
// conflict: an earlier try was applied.
func (c *card) promote(ctx context.Context, w *work) error {
	b, _, err := c.next(ctx, w)
	if errors.Is(err, broker.ErrConflict) {
		ours, _, unread := c.current(ctx, w)
		if unread == nil && ours {
			return c.promoted(w)
		}
		return err
	}
	if err != nil {
		return err
	}
	if err := persist(ctx, func() error { return w.Cards.PutBinding(ctx, b) }); err != nil {
		return err
	}
	return c.promoted(w)
}

func (c *card) promoted(w *work) error {
	from, err := strconv.ParseInt(w.run.From, 10, 64)
	w.run.To = strconv.FormatInt(from+1, 10)
	return err
}

// retire has nothing to end: the secret before stays where it is.
func (c *card) retire(context.Context, *work) error { return nil }

// undo gives the card its former references back, where it has ours. What
// somebody else has made of it since stays.
func (c *card) undo(ctx context.Context, w *work) error {
	ours, b, err := c.current(ctx, w)
	if errors.Is(err, broker.ErrNotFound) || err == nil && !ours {
		return nil
	}
	if err != nil {
		return err
	}
	b.Fields = slices.Clone(w.run.Before)
	return persist(ctx, func() error { return w.Cards.PutBinding(ctx, b) })
}

// current gives the card as it is, and whether it is what this run made of it.
func (c *card) current(ctx context.Context, w *work) (ours bool, b broker.Binding, err error) {
	server, name := cardOf(w.run.Subject)
	b, err = w.Cards.Binding(ctx, broker.Route{Environment: w.Environment, Server: server}, name)
	if err != nil {
		return false, b, err
	}
	from, err := strconv.ParseInt(w.run.From, 10, 64)
	return b.Version == from+1 && b.State != broker.Deleted && slices.Equal(b.Fields, w.run.Fields), b, err
}
