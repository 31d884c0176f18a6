package sealed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Stager is the broker.StagingStore of sealed values. What is staged is sealed
// like a version and lies beside them on the same row, so that each phase is one
// conditional write, and a value that somebody types in meanwhile ends the
// rotation's.
//
// A promotion makes the staged text the next version. What is taken back
// afterwards is the version before, as yet another version: version ids never
// mean another value.
type Stager struct {
	*Store
	rows broker.SealedRows
}

// NewStager makes a Stager of the rows that store's values are in.
func NewStager(store *Store, rows broker.SealedRows) *Stager { return &Stager{store, rows} }

// Stage implements broker.StagingStore.
func (s *Stager) Stage(ctx context.Context, w broker.Want, key, id string, value secret.Value) (from, to string, err error) {
	row, err := s.row(ctx, w, id)
	switch {
	case err != nil:
		return "", "", err
	case row.Versions[0].State != broker.Active:
		return "", "", fmt.Errorf("%w: the sealed value is not active", broker.ErrSecretMissing)
	case row.Staging != nil && row.Staging.Rotation != id:
		return "", "", fmt.Errorf("%w: another value is staged", broker.ErrConflict)
	case row.Staging != nil:
		return s.again(ctx, w, key, row, value)
	}
	material, err := s.replaced(ctx, w, row, key, value)
	if err != nil {
		return "", "", err
	}
	current := row.Versions[0].Version
	row.Staging = &broker.SealedStaging{Rotation: id, From: current, At: s.now().UTC()}
	if row.Staging.Sealed, err = s.sealer.Seal(ctx, contextOf(w), material); err != nil {
		return "", "", fmt.Errorf("seal the value: %w", err)
	}
	if err := s.replace(ctx, row); err != nil {
		return "", "", err
	}
	return number(current), number(current + 1), nil
}

// replaced is the whole material with one member changed, which it has to have.
func (s *Stager) replaced(ctx context.Context, w broker.Want, row broker.SealedRow, key string, value secret.Value) (secret.Value, error) {
	if value.IsZero() {
		return secret.Value{}, fmt.Errorf("%w: there is nothing to stage", broker.ErrSecretMalformed)
	}
	if key == "" {
		return value, nil
	}
	was, err := s.sealer.Open(ctx, contextOf(w), row.Versions[0].Sealed)
	if err != nil {
		return secret.Value{}, fmt.Errorf("open the sealed value: %w", err)
	}
	return broker.WithMember(was, key, value)
}

// again holds a repetition to the value that was staged before.
func (s *Stager) again(ctx context.Context, w broker.Want, key string, row broker.SealedRow, value secret.Value) (from, to string, err error) {
	text := row.Staging.Sealed
	if len(text) == 0 {
		text = row.Versions[0].Sealed
	}
	material, err := s.sealer.Open(ctx, contextOf(w), text)
	if err != nil {
		return "", "", fmt.Errorf("open the staged value: %w", err)
	}
	members, err := broker.Members(material, []string{key})
	if err != nil || !members[key].Equal(value) {
		return "", "", fmt.Errorf("%w: another value is staged under this id", broker.ErrConflict)
	}
	return number(row.Staging.From), number(row.Staging.From + 1), nil
}

// Staged implements broker.StagingStore.
func (s *Stager) Staged(ctx context.Context, w broker.Want, id string) (broker.Secret, error) {
	row, err := s.row(ctx, w, id)
	if err != nil {
		return broker.Secret{}, err
	}
	if !staging(row, id) || len(row.Staging.Sealed) == 0 {
		return broker.Secret{}, fmt.Errorf("%w: nothing is staged under this id", broker.ErrSecretMissing)
	}
	material, err := s.sealer.Open(ctx, contextOf(w), row.Staging.Sealed)
	if err != nil {
		return broker.Secret{}, fmt.Errorf("open the staged value: %w", err)
	}
	values, err := broker.Members(material, w.Keys)
	if err != nil {
		return broker.Secret{}, err
	}
	return broker.Secret{Values: values, Version: number(row.Staging.From + 1)}, nil
}

// Promote implements broker.StagingStore.
func (s *Stager) Promote(ctx context.Context, w broker.Want, id string) error {
	row, err := s.row(ctx, w, id)
	switch {
	case err != nil:
		return err
	case !staging(row, id):
		return fmt.Errorf("%w: it is not staged, or the value changed since", broker.ErrConflict)
	case len(row.Staging.Sealed) == 0:
		return nil
	}
	advance(&row, broker.SealedValue{State: broker.Active, Sealed: row.Staging.Sealed, At: s.now().UTC()})
	done := *row.Staging
	done.Sealed = nil
	row.Staging = &done
	return s.replace(ctx, row)
}

// Restore implements broker.StagingStore.
func (s *Stager) Restore(ctx context.Context, w broker.Want, id string) error {
	row, err := s.row(ctx, w, id)
	if err != nil || !staging(row, id) {
		return err
	}
	if len(row.Staging.Sealed) == 0 {
		advance(&row, broker.SealedValue{State: broker.Active, Sealed: row.Versions[1].Sealed, At: s.now().UTC()})
	}
	row.Staging = nil
	return s.replace(ctx, row)
}

// Retire implements broker.StagingStore: the text of the version before is gone.
func (s *Stager) Retire(ctx context.Context, w broker.Want, id string) error {
	row, err := s.row(ctx, w, id)
	if err != nil || !staging(row, id) {
		return err
	}
	if len(row.Staging.Sealed) > 0 {
		return fmt.Errorf("%w: the value before is still in use", broker.ErrConflict)
	}
	row.Versions[1].State, row.Versions[1].Sealed = broker.Deleted, nil
	row.Staging = nil
	return s.replace(ctx, row)
}

// row reads what is there. What a rotation needs of a value is that it exists.
func (s *Stager) row(ctx context.Context, w broker.Want, id string) (broker.SealedRow, error) {
	if err := check(w.Reference, w.Origin); err != nil {
		return broker.SealedRow{}, err
	}
	if err := checkRotation(id); err != nil {
		return broker.SealedRow{}, err
	}
	row, err := s.rows.SealedRow(ctx, w.Environment, w.Reference.Path())
	switch {
	case errors.Is(err, broker.ErrNotFound):
		return broker.SealedRow{}, fmt.Errorf("%w: there is no sealed value of this id", broker.ErrSecretMissing)
	case err != nil:
		return broker.SealedRow{}, fmt.Errorf("read the sealed value: %w", err)
	}
	return row, nil
}

func checkRotation(id string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
	if id == "" || len(id) > 64 || strings.Trim(id, allowed) != "" {
		return fmt.Errorf("%w id of a rotation: letters, digits and hyphens", broker.ErrInvalid)
	}
	return nil
}

func (s *Stager) replace(ctx context.Context, row broker.SealedRow) error {
	if err := s.rows.ReplaceSealed(ctx, row); err != nil {
		return fmt.Errorf("store the sealed value: %w", err)
	}
	return nil
}

// advance puts a version before the current one.
func advance(row *broker.SealedRow, v broker.SealedValue) {
	current := row.Versions[0]
	v.Environment, v.ID, v.Version = current.Environment, current.ID, current.Version+1
	row.Versions = []broker.SealedValue{v, current}
}

// staging reports whether the row is under this rotation.
func staging(row broker.SealedRow, id string) bool {
	return row.Staging != nil && row.Staging.Rotation == id
}

func contextOf(w broker.Want) broker.SealContext {
	return broker.SealContext{Environment: w.Environment, Purpose: purpose, Origin: w.Origin, ID: w.Reference.Path()}
}

func number(version int64) string { return strconv.FormatInt(version, 10) }
