package memory

import (
	"context"
	"reflect"
	"slices"

	"bindery/shared/broker"
)

// Latest implements broker.SealedValues.
func (s *DB) Latest(ctx context.Context, environment, id string) ([]broker.SealedValue, error) {
	row, err := s.SealedRow(ctx, environment, id)
	return slices.Clone(row.Versions), err
}

// SealedRow implements broker.SealedRows.
func (s *DB) SealedRow(ctx context.Context, environment, id string) (broker.SealedRow, error) {
	if err := broker.CheckID("id", id); err != nil {
		return broker.SealedRow{}, err
	}
	var found broker.SealedRow
	err := s.do(ctx, Latest, func() error {
		found = s.sealed[idKey{environment, id}]
		switch {
		case len(found.Versions) == 0:
			return broker.ErrNotFound
		case s.spoilt[idKey{environment, id}]:
			return broker.ErrUndecodable
		}
		return nil
	})
	if err != nil {
		return broker.SealedRow{}, err
	}
	return copyOf(found), nil
}

// PutSealed implements broker.SealedValues.
func (s *DB) PutSealed(ctx context.Context, v broker.SealedValue) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutSealed, func() error {
		at := idKey{v.Environment, v.ID}
		v.At, v.Sealed = plain(v.At), clone(v.Sealed)
		there := s.sealed[at]
		if s.spoilt[at] {
			return broker.ErrUndecodable
		}
		next := broker.SealedRow{Versions: []broker.SealedValue{v}}
		var current int64
		if len(there.Versions) > 0 {
			current = there.Versions[0].Version
			next.Versions, next.Revision = append(next.Versions, there.Versions[0]), there.Revision+1
		}
		switch {
		case current > 0 && reflect.DeepEqual(there.Versions[0], v):
			return nil
		case v.Version != current+1:
			return broker.ErrConflict
		}
		s.sealed[at] = next
		return nil
	})
}

// ReplaceSealed implements broker.SealedRows.
func (s *DB) ReplaceSealed(ctx context.Context, r broker.SealedRow) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.do(ctx, ReplaceSealed, func() error {
		at := idKey{r.Versions[0].Environment, r.Versions[0].ID}
		there, next := s.sealed[at], copyOf(r)
		next.Revision++
		switch {
		case len(there.Versions) == 0:
			return broker.ErrConflict
		case reflect.DeepEqual(there, next):
			return nil
		case there.Revision != r.Revision:
			return broker.ErrConflict
		}
		s.sealed[at] = next
		return nil
	})
}

// copyOf shares nothing that its user may change.
func copyOf(r broker.SealedRow) broker.SealedRow {
	r.Versions = slices.Clone(r.Versions)
	for i, v := range r.Versions {
		r.Versions[i].At, r.Versions[i].Sealed = plain(v.At), clone(v.Sealed)
	}
	if r.Staging != nil {
		staging := *r.Staging
		staging.At, staging.Sealed = plain(staging.At), clone(staging.Sealed)
		r.Staging = &staging
	}
	return r
}
