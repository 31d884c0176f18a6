package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
)

const puttingBinding = "put the binding"

// errContended means that another transaction holds one of the items.
var errContended = errors.New("another transaction is under way")

// transactions is how often a contended transaction is tried.
const transactions = 6

// PutBinding implements broker.CatalogueWriter. One transaction claims the
// name, stores the current row and the version, and, when the binding went
// from one principal to another or to everyone, removes it from where it was:
// no reader ever finds it in both places or in none.
func (s *DB) PutBinding(ctx context.Context, b broker.Binding) error {
	if err := b.Check(); err != nil {
		return err
	}
	for try := range transactions {
		if err := pause(ctx, try); err != nil {
			return fault(puttingBinding, err)
		}
		if err := s.tryPutBinding(ctx, b); !errors.Is(err, errContended) {
			return err
		}
	}
	return fmt.Errorf("%s: %w: %w", puttingBinding, broker.ErrUnavailable, errContended)
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
	_, err = s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	var canceled *types.TransactionCanceledException
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &canceled):
		return fault(puttingBinding, err)
	}
	switch code := verdict(canceled.CancellationReasons); code {
	case "ConditionalCheckFailed":
		return s.settled(ctx, next, current)
	case "TransactionConflict":
		return errContended
	default:
		return fmt.Errorf("%s: %w: the transaction was canceled: %s", puttingBinding, broker.ErrUnavailable, awsfault.Code(code))
	}
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
	writes := make([]types.TransactWriteItem, 0, 4)
	for _, w := range []struct {
		item attributes
		when expression.ConditionBuilder
	}{{headItem, replaces(b.Version)}, {version, absent()}, {current, inPlace}} {
		e, err := expression.NewBuilder().WithCondition(w.when).Build()
		if err != nil {
			return nil, fmt.Errorf("%s: build the condition: %w", puttingBinding, err)
		}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{
			TableName: aws.String(s.tables.Catalogue), Item: w.item, ConditionExpression: e.Condition(),
			ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
		}})
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

// verdict picks the reason that decides: a condition that did not hold, then
// anything else, then contention.
func verdict(reasons []types.CancellationReason) string {
	code := ""
	for _, r := range reasons {
		switch c := aws.ToString(r.Code); c {
		case "ConditionalCheckFailed":
			return c
		case "None", "":
		case "TransactionConflict":
			if code == "" {
				code = c
			}
		default:
			code = c
		}
	}
	return code
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
