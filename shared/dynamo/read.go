package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

const (
	maxPages   = 32  // of up to 1 MB each
	batchTries = 5   // reads of keys that came back unprocessed
	batchKeys  = 100 // that one batch may ask for
)

// get reads one item strongly consistently; nil means it is not there.
func (s *DB) get(ctx context.Context, doing, table string, k key) (attributes, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(table), Key: k.attributes(), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, fault(doing, err)
	}
	if len(out.Item) == 0 {
		return nil, nil
	}
	return out.Item, nil
}

// query gives every item of a partition to each, further pages included.
func (s *DB) query(ctx context.Context, doing, table, partition string, each func(sk string, a attributes) error) error {
	in := &dynamodb.QueryInput{
		TableName:                 aws.String(table),
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: partition}},
		ConsistentRead:            aws.Bool(true),
	}
	for range maxPages {
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return fault(doing, err)
		}
		for _, a := range out.Items {
			if err := each(keyOf(a).sk, a); err != nil {
				return fmt.Errorf("%s: %w", doing, err)
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return fmt.Errorf("%s: %w: more than %d pages", doing, broker.ErrUnavailable, maxPages)
}

// rowsBetween gives the rows of a partition within bounds to each, until it wants no
// more; so many at once, or as many as a request can carry where that is 0.
func (s *DB) rowsBetween(ctx context.Context, doing, table, partition, first, last string, atOnce int32, each func(sk string, a attributes) (more bool, err error)) error {
	in := &dynamodb.QueryInput{
		TableName: aws.String(table), ConsistentRead: aws.Bool(true),
		KeyConditionExpression: aws.String("pk = :pk AND sk BETWEEN :first AND :last"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: partition},
			":first": &types.AttributeValueMemberS{Value: first}, ":last": &types.AttributeValueMemberS{Value: last}},
	}
	if atOnce > 0 {
		in.Limit = aws.Int32(atOnce)
	}
	for range maxPages {
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return fault(doing, err)
		}
		for _, a := range out.Items {
			more, err := each(keyOf(a).sk, a)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", doing, err)
			case !more:
				return nil
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return fmt.Errorf("%s: %w: more than %d pages", doing, broker.ErrUnavailable, maxPages)
}

// batch reads the wanted keys of several tables strongly consistently and
// gives each item that is there to each. Unprocessed keys are read again, and
// in the end are a fault, never an absence.
func (s *DB) batch(ctx context.Context, doing string, want map[string][]key, each func(key, attributes) error) error {
	pending := make(map[string]types.KeysAndAttributes, len(want))
	for table, keys := range want {
		for _, k := range keys {
			p := pending[table]
			p.Keys = append(p.Keys, k.attributes())
			pending[table] = p
		}
	}
	for try := range batchTries {
		if len(pending) == 0 {
			return nil
		}
		if err := pause(ctx, try); err != nil {
			return fault(doing, err)
		}
		for table, p := range pending {
			p.ConsistentRead = aws.Bool(true)
			pending[table] = p
		}
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: pending})
		if err != nil {
			return fault(doing, err)
		}
		for _, items := range out.Responses {
			for _, a := range items {
				if err := each(keyOf(a), a); err != nil {
					return fmt.Errorf("%s: %w", doing, err)
				}
			}
		}
		pending = out.UnprocessedKeys
	}
	if len(pending) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: keys stayed unprocessed", doing, broker.ErrUnavailable)
}

// keyOf is an item's key; one without is no row's key.
func keyOf(a attributes) key {
	pk, _ := a["pk"].(*types.AttributeValueMemberS)
	sk, _ := a["sk"].(*types.AttributeValueMemberS)
	if pk == nil || sk == nil {
		return key{}
	}
	return key{pk.Value, sk.Value}
}

// pause waits before a repetition, longer each time and never the same, and
// not at all before the first try.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(jitter(firstPause << try))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
