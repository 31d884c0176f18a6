package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
)

// placeTries is how many free places one taker asks for. Each that it does not
// get was taken by somebody else since it looked.
const placeTries = 8

// placeRow is a place that is taken, or was.
type placeRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Subject     string `dynamodbav:"subject"`
	Number      int    `dynamodbav:"number"`
	Holder      string `dynamodbav:"holder"`
	Until       string `dynamodbav:"until"`
	Expires     int64  `dynamodbav:"expires"`
}

// stay is the decoded placeRow.
type stay struct {
	environment, subject string
	number               int
	holder               string
	until                time.Time
}

func (r placeRow) value() (stay, error) {
	until, err := parseStamp(r.Until)
	return stay{r.Environment, r.Subject, r.Number, r.Holder, until}, err
}

// Check implements what decode asks for. Without its end a place would be free.
func (p stay) Check() error {
	if p.until.IsZero() {
		return fmt.Errorf("%w place: its end is missing", broker.ErrInvalid)
	}
	return broker.CheckID("holder", p.holder)
}

func (p stay) key() key { return placeKey(p.environment, p.subject, p.number) }

// TakePlace implements broker.Quotas: it looks at all places and then puts its
// row into a free one, on the condition that it still is free.
func (s *DB) TakePlace(ctx context.Context, q broker.Quota, holder string, now, until time.Time) (broker.Place, bool, error) {
	const doing = "take a place"
	if err := q.CheckTaking(holder, now, until); err != nil {
		return broker.Place{}, false, err
	}
	over := now.Add(-broker.ClockSkew)
	first, taken, err := s.lookAtPlaces(ctx, doing, q, holder, over)
	if err != nil {
		return broker.Place{}, false, err
	}
	free := expression.Or(absent(), holds(holder), expression.Name("until").LessThan(expression.Value(stamp(over))))
	tries := 0
	for i := range q.Limit {
		number := (first + i) % q.Limit
		if taken[number] {
			continue
		}
		if tries++; tries > placeTries {
			return broker.Place{}, false, fmt.Errorf("%s: %w: too many others take one", doing, broker.ErrUnavailable)
		}
		row := placeRow{placeKey(q.Environment, q.Subject, number).item(), q.Environment, q.Subject, number, holder,
			stamp(until), expiry(until, slack)}
		err := s.putRow(ctx, doing, s.tables.Transient, row, free)
		switch {
		case err == nil:
			return broker.Place{Quota: q, Number: number, Holder: holder}, true, nil
		case !errors.Is(err, broker.ErrConflict):
			return broker.Place{}, false, err
		}
	}
	return broker.Place{}, false, nil
}

// lookAtPlaces gives the places that others hold, and where to begin: at the
// place that the holder has, or else anywhere, so that takers do not meet.
func (s *DB) lookAtPlaces(ctx context.Context, doing string, q broker.Quota, holder string, over time.Time) (first int, taken map[int]bool, err error) {
	first, taken = rand.IntN(q.Limit), map[int]bool{} //nolint:gosec // spreads load, guards nothing
	err = s.query(ctx, doing, s.tables.Transient, placesPartition(q.Environment, q.Subject), func(_ string, a attributes) error {
		p, err := decode(a, placeRow.value, stay.key)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", broker.ErrUnavailable, err)
		case p.holder == holder && p.number < q.Limit:
			first = p.number
		case !p.until.Before(over):
			taken[p.number] = true
		}
		return nil
	})
	return first, taken, err
}

// FreePlace implements broker.Quotas.
func (s *DB) FreePlace(ctx context.Context, p broker.Place) error {
	const doing = "free the place"
	if err := p.Check(); err != nil {
		return err
	}
	e, err := expression.NewBuilder().WithCondition(holds(p.Holder)).Build()
	if err != nil {
		return fmt.Errorf("%s: build the condition: %w", doing, err)
	}
	_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String(s.tables.Transient), Key: placeKey(p.Quota.Environment, p.Quota.Subject, p.Number).attributes(),
		ConditionExpression: e.Condition(), ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
	})
	if _, left := refused(err); err == nil || left {
		return nil
	}
	return fault(doing, err)
}

func holds(holder string) expression.ConditionBuilder {
	return expression.Name("holder").Equal(expression.Value(holder))
}
