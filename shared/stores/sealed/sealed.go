// Package sealed is broker.SecretStore over values that a person typed in:
// sealed by broker.Sealer, kept by broker.SealedValues, written and never
// shown again.
//
// A reference's path is the value's id; there is no selector. A value is sealed
// for one upstream origin in one environment. That context comes from the
// decision on the way out and from the catalogue on the way in, never from the
// row, so a row that is copied to another id, environment or origin does not
// open.
//
// The package never gives a value back to whoever stored it and keeps nothing
// in the process.
package sealed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// purpose is the SealContext.Purpose of every value of this store.
const purpose = "value"

// Store reads and writes sealed values. It is safe for concurrent use.
type Store struct {
	values broker.SealedValues
	sealer broker.Sealer
	now    func() time.Time
}

// New makes a Store.
func New(values broker.SealedValues, sealer broker.Sealer, now func() time.Time) *Store {
	return &Store{values: values, sealer: sealer, now: now}
}

// Fetch implements broker.SecretStore: one read and, side by side, one Open for
// the current version and one for the version before. Only an active current
// version counts; anything else is ErrSecretMissing.
func (s *Store) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	id := w.Reference.Path()
	if err := check(w.Reference, w.Origin); err != nil {
		return broker.Secret{}, err
	}
	rows, err := s.values.Latest(ctx, w.Environment, id)
	switch {
	case errors.Is(err, broker.ErrNotFound) || err == nil && len(rows) == 0:
		return broker.Secret{}, fmt.Errorf("%w: there is no sealed value of this id", broker.ErrSecretMissing)
	case err != nil:
		return broker.Secret{}, fmt.Errorf("read the sealed value: %w", err)
	case rows[0].State != broker.Active:
		return broker.Secret{}, fmt.Errorf("%w: the sealed value is not active", broker.ErrSecretMissing)
	}
	bound := broker.SealContext{Environment: w.Environment, Purpose: purpose, Origin: w.Origin, ID: id}
	current, previous, err := s.open(ctx, bound, rows)
	if err != nil {
		return broker.Secret{}, err
	}
	values, err := broker.Members(current, w.Keys)
	if err != nil {
		return broker.Secret{}, err
	}
	return broker.Secret{
		Values:   values,
		Version:  strconv.FormatInt(rows[0].Version, 10),
		Previous: broker.Earlier(previous, w.Keys),
	}, nil
}

// open opens the current version and, for masking, the one before, whatever
// its state: an upstream may echo a revoked value as well. A version before
// that does not open under this context was sealed for another origin, so this
// upstream was never given it; it is left out. That KMS could not be asked is
// an error.
func (s *Store) open(ctx context.Context, bound broker.SealContext, rows []broker.SealedValue) (current, previous secret.Value, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a current version that does not open ends the other
	type opened struct {
		secret.Value
		err error
	}
	before := make(chan opened, 1)
	if len(rows) > 1 && len(rows[1].Sealed) > 0 {
		go func() {
			v, err := s.sealer.Open(ctx, bound, rows[1].Sealed)
			before <- opened{v, err}
		}()
	} else {
		before <- opened{}
	}
	if current, err = s.sealer.Open(ctx, bound, rows[0].Sealed); err != nil {
		return secret.Value{}, secret.Value{}, fmt.Errorf("open the sealed value: %w", err)
	}
	b := <-before
	if b.err != nil && !errors.Is(b.err, broker.ErrKeyUnavailable) {
		return secret.Value{}, secret.Value{}, fmt.Errorf("open the version before of the sealed value: %w", b.err)
	}
	return current, b.Value, nil
}

func check(r broker.Reference, origin string) error {
	if selector, _ := r.Selector(); selector != "" {
		return fmt.Errorf("%w reference: a sealed value takes no selector after ?: %w", broker.ErrInvalid, broker.ErrSecretMalformed)
	}
	if err := broker.CheckName("id of a sealed value", r.Path()); err != nil {
		return fmt.Errorf("%w: %w", err, broker.ErrSecretMalformed)
	}
	if origin == "" {
		return fmt.Errorf("%w sealed value: an upstream origin is required: %w", broker.ErrInvalid, broker.ErrSecretMalformed)
	}
	return nil
}

// Put seals v for one upstream origin (a digest, from the catalogue) and
// stores it as the next version of id, which it returns: also where the versions
// before were deleted, whose texts are gone for good. It fails with ErrConflict
// when somebody else stored that version first, or when the value is suspended or
// revoked: storing again is not a way to bring it back.
func (s *Store) Put(ctx context.Context, environment, id, origin string, v secret.Value) (int64, error) {
	if err := checkPut(environment, id, origin); err != nil {
		return 0, err
	}
	next := int64(1)
	rows, err := s.values.Latest(ctx, environment, id)
	switch {
	case errors.Is(err, broker.ErrNotFound):
	case err != nil:
		return 0, fmt.Errorf("read the version of the sealed value: %w", err)
	case len(rows) > 0 && rows[0].State != broker.Active && rows[0].State != broker.Deleted:
		return 0, fmt.Errorf("%w: the sealed value is not active", broker.ErrConflict)
	case len(rows) > 0:
		next = rows[0].Version + 1
	}
	bound := broker.SealContext{Environment: environment, Purpose: purpose, Origin: origin, ID: id}
	text, err := s.sealer.Seal(ctx, bound, v)
	if err != nil {
		return 0, fmt.Errorf("seal the value: %w", err)
	}
	row := broker.SealedValue{
		Environment: environment, ID: id, Version: next, State: broker.Active, Sealed: text, At: s.now().UTC(),
	}
	if err := s.values.PutSealed(ctx, row); err != nil {
		return 0, fmt.Errorf("store the sealed value: %w", err)
	}
	return next, nil
}

// Delete ends all versions of a value that there are, and takes their texts out
// of the store: two tombstones, because a version and the one before stay. What it had begun is
// finished when it is called again; what is deleted already stays so.
func (s *Store) Delete(ctx context.Context, environment, id string) error {
	return s.DeleteWhile(ctx, environment, id, func(context.Context) error { return nil })
}

// DeleteWhile is Delete for as long as something holds, which is asked between
// the read of a version and the write that only follows that one: a value that was
// put since it held no more is left, with ErrConflict or what was answered.
func (s *Store) DeleteWhile(ctx context.Context, environment, id string, holds func(context.Context) error) error {
	if err := checkName(environment, id); err != nil {
		return err
	}
	for {
		rows, err := s.values.Latest(ctx, environment, id)
		if err != nil {
			return fmt.Errorf("read the version of the sealed value: %w", err)
		}
		if len(rows) == 2 && rows[0].State == broker.Deleted && rows[1].State == broker.Deleted {
			return nil
		}
		if err := holds(ctx); err != nil {
			return err
		}
		row := broker.SealedValue{Environment: environment, ID: id, Version: rows[0].Version + 1, State: broker.Deleted, At: s.now().UTC()}
		if err := s.values.PutSealed(ctx, row); err != nil {
			return fmt.Errorf("delete the sealed value: %w", err)
		}
	}
}

func checkName(environment, id string) error {
	if err := broker.CheckName("environment", environment); err != nil {
		return err
	}
	return broker.CheckName("id of a sealed value", id)
}

func checkPut(environment, id, origin string) error {
	if err := checkName(environment, id); err != nil {
		return err
	}
	if origin == "" {
		return fmt.Errorf("%w sealed value: an upstream origin is required", broker.ErrInvalid)
	}
	return nil
}
