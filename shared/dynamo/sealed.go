package dynamo

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

// sealedRow holds the current version of a sealed value and the one before, so
// that one read gives both and one conditional write moves both.
type sealedRow struct {
	item
	Environment string `dynamodbav:"environment"`
	ID          string `dynamodbav:"id"`
	sealedVersion
	Previous *sealedVersion `dynamodbav:"previous,omitempty"`
}

type sealedVersion struct {
	Version int64  `dynamodbav:"version"`
	State   string `dynamodbav:"state"`
	Sealed  []byte `dynamodbav:"sealed,omitempty"`
	At      string `dynamodbav:"at"`
}

func newSealedVersion(v broker.SealedValue) sealedVersion {
	return sealedVersion{v.Version, string(v.State), v.Sealed, stamp(v.At)}
}

func (v sealedVersion) same(o sealedVersion) bool {
	return v.Version == o.Version && v.State == o.State && bytes.Equal(v.Sealed, o.Sealed) && v.At == o.At
}

// sealedPair is the decoded row: newest first, one or two.
type sealedPair []broker.SealedValue

func (r sealedRow) value() (sealedPair, error) {
	versions := []sealedVersion{r.sealedVersion}
	if r.Previous != nil {
		versions = append(versions, *r.Previous)
	}
	var pair sealedPair
	for _, v := range versions {
		at, err := parseStamp(v.At)
		if err != nil {
			return nil, err
		}
		pair = append(pair, broker.SealedValue{Environment: r.Environment, ID: r.ID, Version: v.Version,
			State: broker.State(v.State), Sealed: v.Sealed, At: at})
	}
	return pair, nil
}

// Check implements what decode asks for. The version before has to be just that.
func (p sealedPair) Check() error {
	for i, v := range p {
		if err := v.Check(); err != nil {
			return err
		}
		if v.Version != p[0].Version-int64(i) {
			return fmt.Errorf("%w sealed value: a version is missing", broker.ErrInvalid)
		}
	}
	return nil
}

func (p sealedPair) key() key { return sealedKey(p[0].Environment, p[0].ID) }

// Latest implements broker.SealedValues.
func (s *DB) Latest(ctx context.Context, environment, id string) ([]broker.SealedValue, error) {
	const doing = "read the sealed value"
	pair, err := s.sealed(ctx, doing, environment, id)
	if err == nil && pair == nil {
		err = fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	return pair, err
}

func (s *DB) sealed(ctx context.Context, doing, environment, id string) (sealedPair, error) {
	if err := broker.CheckID("id", id); err != nil {
		return nil, err
	}
	a, err := s.get(ctx, doing, s.tables.Grants, sealedKey(environment, id))
	if err != nil || a == nil {
		return nil, err
	}
	return decode(a, sealedRow.value, sealedPair.key)
}

// PutSealed implements broker.SealedValues. The name comes before the first
// version: a value that could not be listed is not stored.
func (s *DB) PutSealed(ctx context.Context, v broker.SealedValue) error {
	const doing = "put the sealed value"
	if err := v.Check(); err != nil {
		return err
	}
	pair, err := s.sealed(ctx, doing, v.Environment, v.ID)
	if err != nil {
		return err
	}
	row := sealedRow{item: sealedKey(v.Environment, v.ID).item(), Environment: v.Environment, ID: v.ID, sealedVersion: newSealedVersion(v)}
	condition := absent()
	var current int64
	if len(pair) > 0 {
		previous := newSealedVersion(pair[0])
		if previous.same(row.sealedVersion) {
			return nil // an earlier attempt was applied and its answer lost
		}
		row.Previous, current = &previous, previous.Version
		condition = expression.Name("version").Equal(expression.Value(current))
	}
	if v.Version != current+1 {
		return fmt.Errorf("%s: %w", doing, broker.ErrConflict)
	}
	if current == 0 {
		if err := s.enter(ctx, "put the sealed value into the index", s.tables.Grants, newSealedNameRow(v)); err != nil {
			return err
		}
	}
	return s.putRow(ctx, doing, s.tables.Grants, row, condition)
}

// expiry is when an item may be deleted by DynamoDB, in its unit: epoch seconds.
func expiry(t time.Time, life time.Duration) int64 { return t.Add(life).Unix() }
