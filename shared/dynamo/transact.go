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

// errContended means that another transaction holds one of the items.
var errContended = errors.New("another transaction is under way")

// transactions is how often a contended transaction is tried.
const transactions = 6

// uncontended repeats what another transaction was in the way of.
func uncontended(ctx context.Context, doing string, try func() error) error {
	for n := range transactions {
		if err := pause(ctx, n); err != nil {
			return fault(doing, err)
		}
		if err := try(); !errors.Is(err, errContended) {
			return err
		}
	}
	return fmt.Errorf("%s: %w: %w", doing, broker.ErrUnavailable, errContended)
}

// conditional is one put of a transaction.
type conditional struct {
	item attributes
	when expression.ConditionBuilder
}

// puts are items of a transaction on the catalogue.
func (s *DB) puts(doing string, list ...conditional) ([]types.TransactWriteItem, error) {
	return putsInto(doing, s.tables.Catalogue, list...)
}

func putsInto(doing, table string, list ...conditional) ([]types.TransactWriteItem, error) {
	writes := make([]types.TransactWriteItem, 0, len(list)+1)
	for _, w := range list {
		e, err := expression.NewBuilder().WithCondition(w.when).Build()
		if err != nil {
			return nil, fmt.Errorf("%s: build the condition: %w", doing, err)
		}
		writes = append(writes, types.TransactWriteItem{Put: &types.Put{
			TableName: aws.String(table), Item: w.item, ConditionExpression: e.Condition(),
			ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
		}})
	}
	return writes, nil
}

// transact makes all of the writes or none. ErrConflict says that a condition
// did not hold, errContended that it has to be tried again.
func (s *DB) transact(ctx context.Context, doing string, writes []types.TransactWriteItem) error {
	_, err := s.tryTransact(ctx, doing, writes)
	return err
}

// tryTransact gives, with ErrConflict, the item that the first write's condition
// did not hold of, if that write asks for it and its condition is the one.
func (s *DB) tryTransact(ctx context.Context, doing string, writes []types.TransactWriteItem) (there attributes, err error) {
	_, err = s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	var canceled *types.TransactionCanceledException
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &canceled):
		return nil, fault(doing, err)
	}
	switch code := verdict(canceled.CancellationReasons); code {
	case "ConditionalCheckFailed":
		return canceled.CancellationReasons[0].Item, fmt.Errorf("%s: %w", doing, broker.ErrConflict)
	case "TransactionConflict":
		return nil, errContended
	default:
		return nil, fmt.Errorf("%s: %w: the transaction was canceled: %s", doing, broker.ErrUnavailable, awsfault.Code(code))
	}
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
