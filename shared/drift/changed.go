package drift

import (
	"context"
	"errors"
	"time"

	"bindery/shared/broker"
)

// Change is what a store told of one of its secrets.
type Change struct {
	What     string    // the store's word, as in "PutSecretValue"
	Event    string    // the store's id of the event
	At       time.Time // when it happened
	Kind     string    // of the stores that it can be in
	Concerns func(broker.Reference) bool
	Receipt  func(broker.Reference) string // of the fact: the same each time for the same event
}

// Heard makes every process drop what it keeps of the references that a change
// concerns, tells that they changed, and looks at them at once. To hear the same
// again changes nothing but a count. It says how many references that were. What
// fails of one reference keeps nobody from the others.
func (s *Scanner) Heard(ctx context.Context, c Change) (int, error) {
	stores, err := s.liveStores(ctx)
	if err != nil {
		return 0, err
	}
	type part struct {
		Group
		most time.Duration
	}
	var parts []part
	var faults []error
	for _, store := range stores {
		if store.Kind != c.Kind {
			continue
		}
		groups, err := s.concerned(ctx, store.Name, c)
		faults = append(faults, err)
		for _, g := range groups {
			parts = append(parts, part{g, store.MaxValueAge})
		}
	}
	for _, p := range parts { // before anything is looked at, which takes long and can fail
		faults = append(faults, s.changed(ctx, p.Group, c))
	}
	k := s.keeper(s.Now)
	eye := &Eye{Cards: s.Catalogue, Source: s.Source, Inspector: s.Inspector, Stores: stores, Now: s.Now}
	for _, p := range parts {
		sight, err := eye.Look(ctx, p.Reference, p.Uses)
		if err == nil {
			err = k.Judge(ctx, sight, s.Evidence, p.most)
		}
		faults = append(faults, err)
	}
	return len(parts), errors.Join(append(faults, k.Finish(ctx))...)
}

// concerned finds the references that a change concerns: they may select any version
// of the secret, and what tells of the change may name it in several ways, so all of
// the store's are compared.
func (s *Scanner) concerned(ctx context.Context, store string, c Change) (groups []Group, err error) {
	var uses []broker.Use
	for after := ""; ; {
		page, next, err := s.Uses.UsesOfStore(ctx, s.Environment, store, after, broker.MaxPage)
		if err != nil {
			return nil, err
		}
		for _, u := range page {
			if c.Concerns(u.Reference) {
				uses = append(uses, u)
			}
		}
		if after = next; after == "" {
			return Groups(uses), nil
		}
	}
}

// changed counts a change of a reference, which every process reads with the
// next call, and tells it.
func (s *Scanner) changed(ctx context.Context, g Group, c Change) error {
	m := broker.Marker{Environment: s.Environment, Kind: broker.ChangeMarker, ID: g.Reference.String(), At: s.Now().UTC(), By: c.Kind + " " + c.What}
	if err := broker.CountChange(ctx, s.Markers, s.Markers, m); err != nil {
		return err
	}
	f := broker.Fact{Receipt: c.Receipt(g.Reference), Kind: broker.ReferenceChanged, Environment: s.Environment,
		Object: referenceSubject(g.Reference), References: []broker.Reference{g.Reference}, Detail: Changed{c.What, c.Event}}
	return once(s.Journal.Tell(ctx, f, s.Now()))
}
