package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// Every call reads its environment and the stores registered in it, so these
// rows are kept in eight copies and a call reads one at random. Shard 0 is
// where writers meet: its conditional write decides who wins. The other copies
// follow, each on the condition that it is older, so that repeating the work
// is harmless and a slow writer never puts back what a later one wrote. The
// write is acknowledged when all copies are done.
//
// A writer that dies in between leaves an unacknowledged change that some
// calls see and some do not. Repeating the same Put completes it, and so does
// any other Put of that row, before it reports its conflict.

// PutEnvironment implements broker.CatalogueWriter.
func (s *DB) PutEnvironment(ctx context.Context, e broker.Environment) error {
	if err := e.Check(); err != nil {
		return err
	}
	expected := e.Version
	e.Version++
	return s.putReplicated(ctx, "put the environment", e.Name, newEnvironmentRow(e, 0), expected)
}

// PutStore implements broker.CatalogueWriter.
func (s *DB) PutStore(ctx context.Context, v broker.Store) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putReplicated(ctx, "put the store", v.Environment, newStoreRow(v, 0), expected)
}

func (s *DB) putReplicated(ctx context.Context, doing, environment string, row any, expected int64) error {
	item, err := encode(doing, row)
	if err != nil {
		return err
	}
	there, conflict := s.tryPut(ctx, doing, s.tables.Catalogue, item, replaces(expected))
	switch {
	case conflict == nil:
	case !errors.Is(conflict, broker.ErrConflict) || there == nil:
		return conflict
	case same(there, item):
		conflict = nil
	default:
		item = there
	}
	var version struct {
		Version int64 `dynamodbav:"version"`
	}
	if err := attributevalue.UnmarshalMap(item, &version); err != nil {
		return fmt.Errorf("%s: %w", doing, errRow)
	}
	older := expression.Or(absent(), expression.Name("version").LessThan(expression.Value(version.Version)))
	for shard := 1; shard < shards; shard++ {
		replica := maps.Clone(item)
		replica["pk"] = &types.AttributeValueMemberS{Value: environmentPartition(environment, shard)}
		_, err := s.tryPut(ctx, doing, s.tables.Catalogue, replica, older)
		if err != nil && !errors.Is(err, broker.ErrConflict) {
			return err
		}
	}
	return conflict
}
