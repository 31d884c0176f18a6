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
	Revision int64          `dynamodbav:"revision,omitempty"`
	Staging  *sealedStaging `dynamodbav:"staging,omitempty"`
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

type sealedStaging struct {
	Rotation string `dynamodbav:"rotation"`
	From     int64  `dynamodbav:"from"`
	Sealed   []byte `dynamodbav:"sealed,omitempty"`
	At       string `dynamodbav:"at"`
}

// storedSealed is the decoded row.
type storedSealed struct{ broker.SealedRow }

func (r sealedRow) value() (storedSealed, error) {
	versions := []sealedVersion{r.sealedVersion}
	if r.Previous != nil {
		versions = append(versions, *r.Previous)
	}
	found := storedSealed{broker.SealedRow{Revision: r.Revision}}
	for _, v := range versions {
		at, err := parseStamp(v.At)
		if err != nil {
			return storedSealed{}, err
		}
		found.Versions = append(found.Versions, broker.SealedValue{Environment: r.Environment, ID: r.ID, Version: v.Version,
			State: broker.State(v.State), Sealed: v.Sealed, At: at})
	}
	if r.Staging != nil {
		at, err := parseStamp(r.Staging.At)
		if err != nil {
			return storedSealed{}, err
		}
		found.Staging = &broker.SealedStaging{Rotation: r.Staging.Rotation, From: r.Staging.From, Sealed: r.Staging.Sealed, At: at}
	}
	return found, nil
}

func (s storedSealed) key() key { return sealedKey(s.Versions[0].Environment, s.Versions[0].ID) }

func newSealedRow(v broker.SealedRow) sealedRow {
	current := v.Versions[0]
	row := sealedRow{item: sealedKey(current.Environment, current.ID).item(), Environment: current.Environment, ID: current.ID,
		sealedVersion: newSealedVersion(current), Revision: v.Revision}
	if len(v.Versions) > 1 {
		before := newSealedVersion(v.Versions[1])
		row.Previous = &before
	}
	if v.Staging != nil {
		row.Staging = &sealedStaging{v.Staging.Rotation, v.Staging.From, v.Staging.Sealed, stamp(v.Staging.At)}
	}
	return row
}

// Latest implements broker.SealedValues.
func (s *DB) Latest(ctx context.Context, environment, id string) ([]broker.SealedValue, error) {
	row, err := s.SealedRow(ctx, environment, id)
	return row.Versions, err
}

// SealedRow implements broker.SealedRows.
func (s *DB) SealedRow(ctx context.Context, environment, id string) (broker.SealedRow, error) {
	const doing = "read the sealed value"
	row, err := s.sealed(ctx, doing, environment, id)
	if err == nil && row.Versions == nil {
		err = fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	return row, err
}

// sealed reads a row; there are no versions where there is none.
func (s *DB) sealed(ctx context.Context, doing, environment, id string) (broker.SealedRow, error) {
	if err := broker.CheckID("id", id); err != nil {
		return broker.SealedRow{}, err
	}
	a, err := s.get(ctx, doing, s.tables.Grants, sealedKey(environment, id))
	if err != nil || a == nil {
		return broker.SealedRow{}, err
	}
	found, err := decode(a, sealedRow.value, storedSealed.key)
	if err != nil {
		return broker.SealedRow{}, fmt.Errorf("%s: %w", doing, err)
	}
	return found.SealedRow, nil
}

// unrevised holds where the row is of this revision; 0 is that of rows that were
// written once.
func unrevised(revision int64) expression.ConditionBuilder {
	if revision == 0 {
		return expression.AttributeExists(expression.Name("pk")).And(expression.AttributeNotExists(expression.Name("revision")))
	}
	return expression.Name("revision").Equal(expression.Value(revision))
}

// PutSealed implements broker.SealedValues. The name comes before the first
// version: a value that could not be listed is not stored.
func (s *DB) PutSealed(ctx context.Context, v broker.SealedValue) error {
	const doing = "put the sealed value"
	if err := v.Check(); err != nil {
		return err
	}
	there, err := s.sealed(ctx, doing, v.Environment, v.ID)
	if err != nil {
		return err
	}
	next := broker.SealedRow{Versions: []broker.SealedValue{v}}
	condition := absent()
	var current int64
	if len(there.Versions) > 0 {
		previous := there.Versions[0]
		if newSealedVersion(previous).same(newSealedVersion(v)) {
			return nil // an earlier attempt was applied and its answer lost
		}
		current = previous.Version
		next.Versions, next.Revision = append(next.Versions, previous), there.Revision+1
		condition = unrevised(there.Revision)
	}
	if v.Version != current+1 {
		return fmt.Errorf("%s: %w", doing, broker.ErrConflict)
	}
	if current == 0 {
		if err := s.enter(ctx, "put the sealed value into the index", s.tables.Grants, newSealedNameRow(v)); err != nil {
			return err
		}
	}
	return s.putRow(ctx, doing, s.tables.Grants, newSealedRow(next), condition)
}

// ReplaceSealed implements broker.SealedRows.
func (s *DB) ReplaceSealed(ctx context.Context, r broker.SealedRow) error {
	if err := r.Check(); err != nil {
		return err
	}
	seen := r.Revision
	r.Revision++
	return s.putRow(ctx, "replace the sealed value", s.tables.Grants, newSealedRow(r), unrevised(seen))
}

// expiry is when an item may be deleted by DynamoDB, in its unit: epoch seconds.
func expiry(t time.Time, life time.Duration) int64 { return t.Add(life).Unix() }
