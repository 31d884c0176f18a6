package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

// attemptRow carries expires, the table's TTL attribute. DynamoDB deletes late,
// so the life of a key is compared here as well.
type attemptRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Principal   string `dynamodbav:"principal"`
	Key         string `dynamodbav:"key"`
	Request     string `dynamodbav:"request"`
	Receipt     string `dynamodbav:"receipt"`
	Begun       string `dynamodbav:"begun"`
	Status      *int   `dynamodbav:"status"` // always there: its absence must not read as "not ended"
	Answer      []byte `dynamodbav:"answer,omitempty"`
	ETag        string `dynamodbav:"etag,omitempty"`
	Expires     int64  `dynamodbav:"expires"`
}

func newAttemptRow(a broker.Attempt) attemptRow {
	return attemptRow{attemptKey(a.Environment, a.Principal, a.Key).item(), a.Environment, a.Principal, a.Key, a.Request, a.Receipt,
		stamp(a.Begun), &a.Status, a.Answer, a.ETag, expiry(a.Begun, broker.AttemptLife+slack)}
}

func (r attemptRow) value() (broker.Attempt, error) {
	begun, err := parseStamp(r.Begun)
	if err != nil || r.Status == nil {
		return broker.Attempt{}, fmt.Errorf("%w attempt: an attribute is missing", broker.ErrInvalid)
	}
	return broker.Attempt{Environment: r.Environment, Principal: r.Principal, Key: r.Key, Request: r.Request, Receipt: r.Receipt,
		Begun: begun, Status: *r.Status, Answer: r.Answer, ETag: r.ETag}, nil
}

func decodeAttempt(a attributes) (broker.Attempt, error) {
	return decode(a, attemptRow.value, func(a broker.Attempt) key { return attemptKey(a.Environment, a.Principal, a.Key) })
}

// BeginAttempt implements broker.Attempts: one put where nothing is, or what is
// there is past its life, or failed. Refused, it gives the attempt that was first.
func (s *DB) BeginAttempt(ctx context.Context, a broker.Attempt) (broker.Attempt, error) {
	const doing = "begin the attempt"
	if err := a.CheckBeginning(); err != nil {
		return broker.Attempt{}, err
	}
	item, err := encode(doing, newAttemptRow(a))
	if err != nil {
		return broker.Attempt{}, err
	}
	begun := func(ago time.Duration) expression.ConditionBuilder {
		return expression.Name("begun").LessThanEqual(expression.Value(stamp(s.now().Add(-ago))))
	}
	died := expression.And(expression.Name("status").Equal(expression.Value(0)), begun(broker.AttemptTime))
	failed := expression.Name("status").GreaterThanEqual(expression.Value(broker.AttemptFailed))
	there, err := s.tryPut(ctx, doing, s.tables.Transient, item, expression.Or(absent(), begun(broker.AttemptLife), died, failed))
	switch {
	case err == nil:
		there = item
	case !errors.Is(err, broker.ErrConflict):
		return broker.Attempt{}, err
	}
	counts, err := decodeAttempt(there)
	if err != nil {
		return broker.Attempt{}, fmt.Errorf("%s: %w", doing, err)
	}
	return counts, nil
}

// EndAttempt implements broker.Attempts: one put on the condition that the
// attempt is as it was begun.
func (s *DB) EndAttempt(ctx context.Context, a broker.Attempt) error {
	const doing = "end the attempt"
	if err := a.CheckEnd(); err != nil {
		return err
	}
	if !s.now().Before(a.Begun.Add(broker.AttemptLife)) {
		return fmt.Errorf("%s: %w: it is past its life", doing, broker.ErrConflict)
	}
	row := newAttemptRow(a)
	begun := expression.Name("receipt").Equal(expression.Value(row.Receipt)).
		And(expression.Name("request").Equal(expression.Value(row.Request)),
			expression.Name("begun").Equal(expression.Value(row.Begun)),
			expression.Name("status").Equal(expression.Value(0)))
	return s.putRow(ctx, doing, s.tables.Transient, row, begun)
}
