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

// Every call reads its environment, the stores registered in it and the markers
// that may concern anybody, so these rows are kept in eight copies and a call
// reads one at random. Shard 0 is
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
	return s.putReplicated(ctx, "put the environment", newEnvironmentRow(e, 0), s.ofEnvironment(e.Name), replaces(expected))
}

// PutStore implements broker.CatalogueWriter.
func (s *DB) PutStore(ctx context.Context, v broker.Store) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putReplicated(ctx, "put the store", newStoreRow(v, 0), s.ofEnvironment(v.Environment), replaces(expected))
}

// replicas says where copies are, and by which number one is older than another.
type replicas struct {
	table, number string
	partition     func(shard int) string
}

func (s *DB) ofEnvironment(name string) replicas {
	return replicas{s.tables.Catalogue, "version", func(shard int) string { return environmentPartition(name, shard) }}
}

func (s *DB) ofWideMarkers(environment string) replicas {
	return replicas{s.tables.Revocations, "epoch", func(shard int) string { return wideMarkersPartition(environment, shard) }}
}

func (s *DB) putReplicated(ctx context.Context, doing string, row any, r replicas, may expression.ConditionBuilder) error {
	item, err := encode(doing, row)
	if err != nil {
		return err
	}
	there, conflict := s.tryPut(ctx, doing, r.table, item, may)
	switch {
	case conflict == nil:
	case !errors.Is(conflict, broker.ErrConflict) || there == nil:
		return conflict
	case same(there, item):
		conflict = nil
	default:
		item = there
	}
	var number int64
	if err := attributevalue.Unmarshal(item[r.number], &number); err != nil {
		return fmt.Errorf("%s: %w", doing, broker.ErrUndecodable)
	}
	older := expression.Or(absent(), expression.Name(r.number).LessThan(expression.Value(number)))
	for shard := 1; shard < shards; shard++ {
		replica := maps.Clone(item)
		replica["pk"] = &types.AttributeValueMemberS{Value: r.partition(shard)}
		_, err := s.tryPut(ctx, doing, r.table, replica, older)
		if err != nil && !errors.Is(err, broker.ErrConflict) {
			return err
		}
	}
	return conflict
}
