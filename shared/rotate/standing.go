package rotate

import (
	"context"
	"slices"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// standing reads a card and what it stands on. It fails with a broker.Refusal
// where calls could not use it: then no secret of it is shown to an upstream,
// not even to ask.
func (w *work) standing(ctx context.Context, server, name string) (broker.Binding, broker.Snapshot, error) {
	route := broker.Route{Environment: w.Environment, Server: server}
	s, err := w.Catalogue.Snapshot(ctx, broker.Lookup{Route: route})
	if err != nil {
		return broker.Binding{}, s, err
	}
	b, err := w.Cards.Binding(ctx, route, name)
	if err != nil {
		return b, s, err
	}
	refused := func(reason broker.Reason) (broker.Binding, broker.Snapshot, error) {
		return b, s, &broker.Refusal{Reason: reason}
	}
	switch {
	case s.Environment == nil || s.Environment.State != broker.Active:
		return refused(broker.EnvironmentClosed)
	case s.Server == nil || s.Server.State != broker.Active:
		return refused(broker.ServerClosed)
	case b.State == broker.Pending:
		return refused(broker.BindingPending)
	case b.State != broker.Active:
		return refused(broker.BindingClosed)
	case !b.Expires.IsZero() && !w.Now().Before(b.Expires):
		return refused(broker.BindingExpired)
	}
	if origin, err := broker.OriginDigest(s.Server.URL); err != nil || origin != b.Origin {
		return refused(broker.BindingPending)
	}
	if reason := revoked(s.Markers, b); reason != "" {
		return refused(reason)
	}
	return b, s, nil
}

// revoked is the word for a marker by which no call may use the card, whoever
// makes it.
func revoked(markers []broker.Marker, b broker.Binding) broker.Reason {
	for _, m := range markers {
		switch {
		case !m.Revoked:
		case m.Kind == broker.EverythingMarker, m.Kind == broker.EnvironmentMarker:
			return broker.EnvironmentClosed
		case m.Kind == broker.ServerMarker && m.ID == b.Server:
			return broker.ServerClosed
		case m.Kind == broker.BindingMarker && m.ID == b.Server+"/"+b.Name:
			return broker.BindingClosed
		case m.Kind == broker.StoreMarker && slices.ContainsFunc(b.Fields, func(f broker.Field) bool { return f.Reference.Scheme() == m.ID }):
			return broker.StoreUnregistered
		}
	}
	return ""
}

// stopped reports whether any of the references is revoked.
func (w *work) stopped(ctx context.Context, references ...broker.Reference) (bool, error) {
	var keys []broker.MarkerKey
	for _, r := range references {
		if k := (broker.MarkerKey{Kind: broker.ReferenceMarker, ID: r.WithoutKey().String()}); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	markers, err := w.Markers.Markers(ctx, w.Environment, keys)
	return slices.ContainsFunc(markers, func(m broker.Marker) bool { return m.Revoked }), err
}

// halted fails where nothing of the reference's store, or nothing at all, may be
// used: also by a plan that has no card to say so.
func (w *work) halted(ctx context.Context, r broker.Reference) error {
	markers, err := w.Markers.Markers(ctx, w.Environment, []broker.MarkerKey{{Kind: broker.StoreMarker, ID: r.Scheme()},
		{Kind: broker.EnvironmentMarker, ID: w.Environment}, {Kind: broker.EverythingMarker, ID: w.Environment}})
	if err != nil {
		return err
	}
	if reason := revoked(markers, broker.Binding{Fields: []broker.Field{{Reference: r}}}); reason != "" {
		return &broker.Refusal{Reason: reason}
	}
	return nil
}

// bump counts a change of the reference, so that nobody goes on with a value that
// they keep.
func (w *work) bump(ctx context.Context, r broker.Reference) error {
	m := broker.Marker{Environment: w.Environment, Kind: broker.ChangeMarker, ID: r.WithoutKey().String(), At: w.Now().UTC(), By: w.run.By, Reason: "rotation " + w.run.ID}
	return persist(ctx, func() error { return broker.CountChange(ctx, w.Markers, w.Markers, m) })
}

// obtain reads the fields of a card.
func (w *work) obtain(ctx context.Context, b broker.Binding, s broker.Snapshot) (map[string]secret.Value, error) {
	if len(b.Fields) == 0 {
		return map[string]secret.Value{}, nil
	}
	c, err := w.Source.Obtain(ctx, broker.Ask{Binding: b, Stores: s.Stores, Server: *s.Server, Receipt: w.run.ID,
		Recorded: func(context.Context) error { return nil }})
	if err != nil {
		return nil, err
	}
	w.seen = append(w.seen, c.Access...)
	return c.Fields, nil
}

// ask asks the upstream with a credential.
func (w *work) ask(ctx context.Context, b broker.Binding, s broker.Snapshot, fields map[string]secret.Value) error {
	if reason := w.Prober.Probe(ctx, *s.Server, b.Mode, w.run.ID, fields); reason != "" {
		return &broker.Refusal{Reason: reason}
	}
	w.told.Probe = probeAsked
	return nil
}
