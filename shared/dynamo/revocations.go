package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// A case whose work is open has an entry of its own beside it, so that nobody
// reads all cases to find those. Both change in one transaction.

// AddRevocation implements broker.Revocations.
func (s *DB) AddRevocation(ctx context.Context, r broker.Revocation) error {
	return s.putRevocation(ctx, "add the revocation", r, r.CheckBeginning())
}

// PutRevocation implements broker.Revocations.
func (s *DB) PutRevocation(ctx context.Context, r broker.Revocation) error {
	return s.putRevocation(ctx, "put the revocation", r, r.CheckChange())
}

func (s *DB) putRevocation(ctx context.Context, doing string, r broker.Revocation, invalid error) error {
	if invalid != nil {
		return invalid
	}
	expected := r.Version
	r.Version++
	item, err := encode(doing, newRevocationRow(r))
	if err != nil {
		return err
	}
	when := absent()
	if expected > 0 {
		when = expression.Name("version").Equal(expression.Value(expected))
	}
	writes, err := putsInto(doing, s.tables.Revocations, conditional{item, when})
	if err != nil {
		return err
	}
	entry, err := s.openEntry(doing, r, expected == 0)
	if err != nil {
		return err
	}
	writes = append(writes, entry...)
	err = uncontended(ctx, doing, func() error { return s.transact(ctx, doing, writes) })
	if !errors.Is(err, broker.ErrConflict) {
		return err
	}
	there, read := s.get(ctx, doing, s.tables.Revocations, revocationKey(r.Environment, r.ID))
	switch {
	case read != nil:
		return read
	case there != nil && same(there, item): // an earlier attempt was applied
		return nil
	}
	return err
}

// openEntry keeps the entry of a case, or takes it away when the work is done; a
// case that is new and done never had one.
func (s *DB) openEntry(doing string, r broker.Revocation, fresh bool) ([]types.TransactWriteItem, error) {
	at := openRevocationKey(r.Environment, r.ID)
	if r.Work == broker.WorkOpen {
		entry, err := encode(doing, at.item())
		if err != nil {
			return nil, err
		}
		return putsInto(doing, s.tables.Revocations, conditional{entry, notLater()})
	}
	if fresh {
		return nil, nil
	}
	e, err := expression.NewBuilder().WithCondition(notLater()).Build()
	if err != nil {
		return nil, fmt.Errorf("%s: build the condition: %w", doing, err)
	}
	return []types.TransactWriteItem{{Delete: &types.Delete{
		TableName: aws.String(s.tables.Revocations), Key: at.attributes(), ConditionExpression: e.Condition(),
		ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
	}}}, nil
}

// Revocation implements broker.Revocations.
func (s *DB) Revocation(ctx context.Context, environment, id string) (broker.Revocation, error) {
	const doing = "read the revocation"
	if err := broker.CheckCase(environment, id); err != nil {
		return broker.Revocation{}, err
	}
	a, err := s.get(ctx, doing, s.tables.Revocations, revocationKey(environment, id))
	switch {
	case err != nil:
		return broker.Revocation{}, err
	case a == nil:
		return broker.Revocation{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	r, err := decodeRevocation(a)
	if err != nil {
		return broker.Revocation{}, fmt.Errorf("%s: %w", doing, err)
	}
	return r, nil
}

// OpenRevocations implements broker.Revocations. What was finished between the
// two reads is left out.
func (s *DB) OpenRevocations(ctx context.Context, environment string, limit int) (open []broker.Revocation, err error) {
	const doing = "list the open revocations"
	if err := broker.CheckCases(environment, "", limit); err != nil {
		return nil, err
	}
	first, last := after("open", "")
	ids, passed, err := passing(ctx, s, doing, s.tables.Revocations, revocationsPartition(environment), first, last, limit, func(a attributes) (key, error) {
		return caseOfEntry(environment, keyOf(a))
	})
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(ids, batchKeys) {
		err := s.batch(ctx, doing, map[string][]key{s.tables.Revocations: some}, func(_ key, a attributes) error {
			r, err := decodeRevocation(a)
			switch {
			case err != nil:
				passed.add(err)
			case r.Work == broker.WorkOpen:
				open = append(open, r)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(open, func(a, b broker.Revocation) int { return cmp.Compare(a.ID, b.ID) })
	return open, passed.err(doing)
}

// RevocationsOf implements broker.Revocations.
func (s *DB) RevocationsOf(ctx context.Context, environment, after string, limit int) (found []broker.Revocation, err error) {
	const doing = "list the revocations"
	if err := broker.CheckCases(environment, after, limit); err != nil {
		return nil, err
	}
	first, last := casesBefore(after)
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.tables.Revocations), ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression: aws.String("pk = :pk AND sk BETWEEN :first AND :last"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: revocationsPartition(environment)},
			":first": &types.AttributeValueMemberS{Value: first}, ":last": &types.AttributeValueMemberS{Value: last}},
	}
	var passed unread
	for len(found) < limit {
		in.Limit = aws.Int32(int32(limit - len(found)))
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, fault(doing, err)
		}
		for _, a := range out.Items {
			r, err := decodeRevocation(a)
			if err != nil {
				passed.add(err)
				continue
			}
			found = append(found, r)
		}
		if len(out.LastEvaluatedKey) == 0 {
			break
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return found, passed.err(doing)
}
