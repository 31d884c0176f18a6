package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// handleRow carries expires, the table's TTL attribute. DynamoDB deletes late,
// so the end is compared here as well.
type handleRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Kind        string `dynamodbav:"kind"`
	ID          string `dynamodbav:"id"`
	Body        []byte `dynamodbav:"body"`
	Until       string `dynamodbav:"until"`
	Expires     int64  `dynamodbav:"expires"`
}

func (r handleRow) value() (broker.Handle, error) {
	until, err := parseStamp(r.Until)
	return broker.Handle{Environment: r.Environment, Kind: r.Kind, ID: r.ID, Body: r.Body, Expires: until}, err
}

func decodeHandle(a attributes) (broker.Handle, error) {
	return decode(a, handleRow.value, func(h broker.Handle) key { return handleKey(h.Environment, h.Kind, h.ID) })
}

// AddHandle implements broker.Handles.
func (s *DB) AddHandle(ctx context.Context, h broker.Handle) error {
	if err := h.Check(); err != nil {
		return err
	}
	row := handleRow{handleKey(h.Environment, h.Kind, h.ID).item(), h.Environment, h.Kind, h.ID, h.Body, stamp(h.Expires), expiry(h.Expires, slack)}
	return s.putRow(ctx, "add the handle", s.tables.Transient, row, absent())
}

// Handle implements broker.Handles.
func (s *DB) Handle(ctx context.Context, environment, kind, id string, now time.Time) (broker.Handle, error) {
	const doing = "read the handle"
	if err := broker.CheckHandle(environment, kind, id); err != nil {
		return broker.Handle{}, err
	}
	a, err := s.get(ctx, doing, s.tables.Transient, handleKey(environment, kind, id))
	if err != nil {
		return broker.Handle{}, err
	}
	return livingHandle(doing, a, now)
}

func livingHandle(doing string, a attributes, now time.Time) (broker.Handle, error) {
	if len(a) == 0 {
		return broker.Handle{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	h, err := decodeHandle(a)
	if err != nil {
		return broker.Handle{}, fmt.Errorf("%s: %w", doing, err)
	}
	if !h.Expires.After(now) {
		return broker.Handle{}, fmt.Errorf("%s: %w: it has expired", doing, broker.ErrNotFound)
	}
	return h, nil
}

// TakeHandle implements broker.Handles: whoever deletes the row has it. Where
// the answer is lost, the SDK's own repetition finds no row, and the handle is
// lost: twice would be worse.
func (s *DB) TakeHandle(ctx context.Context, environment, kind, id string, now time.Time) (broker.Handle, error) {
	const doing = "take the handle"
	if err := broker.CheckHandle(environment, kind, id); err != nil {
		return broker.Handle{}, err
	}
	e, err := expression.NewBuilder().WithCondition(ofSchema().And(expression.Name("until").GreaterThan(expression.Value(stamp(now))))).Build()
	if err != nil {
		return broker.Handle{}, fmt.Errorf("%s: build the condition: %w", doing, err)
	}
	out, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String(s.tables.Transient), Key: handleKey(environment, kind, id).attributes(),
		ConditionExpression: e.Condition(), ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
		ReturnValues: types.ReturnValueAllOld, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if err == nil {
		return livingHandle(doing, out.Attributes, now)
	}
	if there, left := refused(err); left {
		if _, err := livingHandle(doing, there, now); err != nil {
			return broker.Handle{}, err
		}
		return broker.Handle{}, fmt.Errorf("%s: %w", doing, broker.ErrUndecodable)
	}
	return broker.Handle{}, fault(doing, err)
}
