package memory

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"bindery/shared/broker"
)

// PutBinding implements broker.CatalogueWriter.
func (s *DB) PutBinding(ctx context.Context, b broker.Binding) error {
	if err := b.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutBinding, func() error {
		at := bindingKey{broker.Route{Environment: b.Environment, Server: b.Server}, b.Name}
		versions := s.versions[at]
		next := b
		next.Version++
		next.Expires = plain(b.Expires)
		next.Fields, next.Scopes = clone(b.Fields), clone(b.Scopes)
		next.Allow = broker.Allow{Tools: clone(b.Allow.Tools), Prompts: clone(b.Allow.Prompts), Resources: clone(b.Allow.Resources)}
		current := int64(len(versions))
		switch {
		case current == next.Version && reflect.DeepEqual(versions[b.Version], next):
			return nil
		case current != b.Version || current > 0 && versions[current-1].State == broker.Deleted:
			return broker.ErrConflict
		}
		if current > 0 {
			s.remove(versions[current-1])
		}
		s.versions[at] = append(versions, next)
		s.insert(next)
		return nil
	})
}

func byName(b broker.Binding, name string) int { return cmp.Compare(b.Name, name) }

// insert adds a binding to the list it belongs to. The list itself may be in
// the hands of a reader and is replaced.
func (s *DB) insert(b broker.Binding) {
	route := broker.Route{Environment: b.Environment, Server: b.Server}
	add := func(list []broker.Binding) []broker.Binding {
		at, _ := slices.BinarySearchFunc(list, b.Name, byName)
		return slices.Insert(slices.Clone(list), at, b)
	}
	if b.Actor.Principal == "" {
		s.shared[route] = add(s.shared[route])
		return
	}
	at := personalKey{route, b.Actor.Principal}
	s.personal[at] = add(s.personal[at])
}

func (s *DB) remove(b broker.Binding) {
	route := broker.Route{Environment: b.Environment, Server: b.Server}
	without := func(list []broker.Binding) []broker.Binding {
		at, _ := slices.BinarySearchFunc(list, b.Name, byName)
		return slices.Delete(slices.Clone(list), at, at+1)
	}
	if b.Actor.Principal == "" {
		s.shared[route] = without(s.shared[route])
		return
	}
	at := personalKey{route, b.Actor.Principal}
	s.personal[at] = without(s.personal[at])
}

// BindingVersion implements broker.CatalogueWriter.
func (s *DB) BindingVersion(ctx context.Context, r broker.Route, name string, version int64) (broker.Binding, error) {
	var found broker.Binding
	err := s.do(ctx, BindingVersion, func() error {
		versions := s.versions[bindingKey{r, name}]
		if version < 1 || version > int64(len(versions)) {
			return broker.ErrNotFound
		}
		found = versions[version-1]
		return nil
	})
	if err != nil {
		return broker.Binding{}, err
	}
	return found, nil
}
