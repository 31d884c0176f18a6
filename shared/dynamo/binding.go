package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

const puttingBinding = "put the binding"

// PutBinding implements broker.CatalogueWriter. One transaction claims the
// name, stores the current row, the version and where its references are used,
// and, when the binding went from one principal to another or to everyone,
// removes it from where it was: no reader ever finds it in both places or in none.
func (s *DB) PutBinding(ctx context.Context, b broker.Binding) error {
	if err := b.Check(); err != nil {
		return err
	}
	return uncontended(ctx, puttingBinding, func() error { return s.tryPutBinding(ctx, b) })
}

func (s *DB) tryPutBinding(ctx context.Context, b broker.Binding) error {
	now, err := s.head(ctx, puttingBinding, routeOf(b), b.Name)
	if err != nil {
		return err
	}
	next := b
	next.Version++
	current, err := encode(puttingBinding, newBindingRow(next, currentKey(next)))
	if err != nil {
		return err
	}
	if now.version != b.Version || now.state == broker.Deleted {
		return s.settled(ctx, next, current)
	}
	writes, err := s.bindingWrites(now, b, next, current)
	if err != nil {
		return err
	}
	if err = s.transact(ctx, puttingBinding, writes); errors.Is(err, broker.ErrConflict) {
		return s.settled(ctx, next, current)
	}
	return err
}

// bindingWrites are the items of the transaction that replaces now by next.
func (s *DB) bindingWrites(now head, b, next broker.Binding, current attributes) ([]types.TransactWriteItem, error) {
	headItem, err := encode(puttingBinding, newHeadRow(next))
	if err != nil {
		return nil, err
	}
	version, err := encode(puttingBinding, newBindingRow(next, historyKey(next)))
	if err != nil {
		return nil, err
	}
	moved := b.Version > 0 && now.principal != next.Actor.Principal
	inPlace := replaces(b.Version)
	if moved {
		inPlace = absent()
	}
	list := []conditional{{headItem, replaces(b.Version)}, {version, absent()}, {current, inPlace}}
	for _, u := range broker.UsesOf(next) {
		use, err := encode(puttingBinding, newUseRow(u))
		if err != nil {
			return nil, err
		}
		list = append(list, conditional{use, notLater()})
	}
	writes, err := s.puts(puttingBinding, list...)
	if err != nil {
		return nil, err
	}
	if !moved {
		return writes, nil
	}
	e, err := expression.NewBuilder().WithCondition(replaces(b.Version)).Build()
	if err != nil {
		return nil, fmt.Errorf("%s: build the condition: %w", puttingBinding, err)
	}
	return append(writes, types.TransactWriteItem{Delete: &types.Delete{
		TableName: aws.String(s.tables.Catalogue), Key: bindingKey(routeOf(b), now.principal, b.Name).attributes(),
		ConditionExpression: e.Condition(), ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
	}}), nil
}

// settled tells why the binding cannot replace what is there: it is there
// itself, so an earlier attempt was applied, or it is a conflict.
func (s *DB) settled(ctx context.Context, next broker.Binding, current attributes) error {
	there, err := s.get(ctx, puttingBinding, s.tables.Catalogue, currentKey(next))
	if err != nil {
		return err
	}
	if same(there, current) {
		return nil
	}
	return fmt.Errorf("%s: %w", puttingBinding, broker.ErrConflict)
}

// head reads where a binding is now; version 0 means its name is free.
func (s *DB) head(ctx context.Context, doing string, r broker.Route, name string) (head, error) {
	a, err := s.get(ctx, doing, s.tables.Catalogue, headKey(r, name))
	if err != nil || a == nil {
		return head{}, err
	}
	return decodeHead(a)
}

// BindingVersion implements broker.CatalogueWriter.
func (s *DB) BindingVersion(ctx context.Context, r broker.Route, name string, version int64) (broker.Binding, error) {
	const doing = "read a version of the binding"
	if version < 1 {
		return broker.Binding{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	a, err := s.get(ctx, doing, s.tables.Catalogue, versionKey(r, name, version))
	if err != nil {
		return broker.Binding{}, err
	}
	if a == nil {
		return broker.Binding{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	return decode(a, bindingRow.value, historyKey)
}
