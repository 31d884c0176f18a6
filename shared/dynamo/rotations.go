package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// BeginRotation implements broker.Rotations.
func (s *DB) BeginRotation(ctx context.Context, r broker.Rotation) error {
	r.Version++
	first := absent()
	if r.Previous != "" {
		first = is("id", r.Previous).And(is("next", ""), ofSchema())
	}
	if r.Version != 1 {
		return fmt.Errorf("%w version of the rotation: it begins with none", broker.ErrInvalid)
	}
	return s.putRotation(ctx, "begin the rotation", r, first)
}

// PutRotation implements broker.Rotations.
func (s *DB) PutRotation(ctx context.Context, r broker.Rotation) error {
	seen := is("version", r.Version).And(is("id", r.ID), expression.Name("next").NotEqual(expression.Value("")), ofSchema())
	r.Version++
	return s.putRotation(ctx, "put the rotation", r, seen)
}

// putRotation stores a run as the latest of its subject, and in both lists, in
// one transaction: what is listed is what is.
func (s *DB) putRotation(ctx context.Context, doing string, r broker.Rotation, seen expression.ConditionBuilder) error {
	if err := r.Check(); err != nil {
		return err
	}
	latest, err := encode(doing, newRunRow(r, latestOf(r)))
	if err != nil {
		return err
	}
	writes, err := s.puts(doing, conditional{latest, seen})
	if err != nil {
		return err
	}
	for _, at := range []key{ofSubject(r), ofAll(r)} {
		row, err := encode(doing, newRunRow(r, at))
		if err != nil {
			return err
		}
		listed, err := s.puts(doing, conditional{row, notLater()})
		if err != nil {
			return err
		}
		writes = append(writes, listed...)
	}
	for _, w := range writes {
		w.Put.TableName = aws.String(s.tables.Grants)
	}
	err = uncontended(ctx, doing, func() error { return s.transact(ctx, doing, writes) })
	if !errors.Is(err, broker.ErrConflict) {
		return err
	}
	there, unread := s.get(ctx, doing, s.tables.Grants, latestOf(r))
	switch {
	case unread != nil:
		return unread
	case same(there, latest):
		return nil // an earlier attempt was applied and its answer lost
	}
	return err
}

// Rotation implements broker.Rotations.
func (s *DB) Rotation(ctx context.Context, environment, subject string) (broker.Rotation, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckSubject(subject))
	return s.rotationAt(ctx, invalid, latestRunKey(environment, subject), latestOf)
}

// RotationRun implements broker.Rotations.
func (s *DB) RotationRun(ctx context.Context, environment, id string) (broker.Rotation, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("rotation", id))
	return s.rotationAt(ctx, invalid, runKey(environment, "", id), ofAll)
}

func (s *DB) rotationAt(ctx context.Context, invalid error, k key, at func(broker.Rotation) key) (broker.Rotation, error) {
	const doing = "read the rotation"
	if invalid != nil {
		return broker.Rotation{}, invalid
	}
	a, err := s.get(ctx, doing, s.tables.Grants, k)
	switch {
	case err != nil:
		return broker.Rotation{}, err
	case a == nil:
		return broker.Rotation{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	r, err := decodeRun(at)(a)
	if err != nil {
		return broker.Rotation{}, fmt.Errorf("%s: %w", doing, err)
	}
	return r, nil
}

// DueRotations implements broker.Rotations.
func (s *DB) DueRotations(ctx context.Context, environment string, now time.Time, limit int) ([]broker.Rotation, error) {
	const doing = "list the due rotations"
	if err := cmp.Or(broker.CheckName("environment", environment), broker.Page{Limit: limit}.Check()); err != nil {
		return nil, err
	}
	var passed unread
	due, err := dueRows(ctx, s, doing, dueRotationsPartition(environment), "due_at <= :at", now, limit, &passed, func(a attributes) (broker.Rotation, bool, error) {
		r, err := decodeRun(latestOf)(a)
		return r, r.Due(now), err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(due, func(a, b broker.Rotation) int { return a.Next.Compare(b.Next) })
	return due[:min(limit, len(due))], passed.err(doing)
}

// RotationsOf implements broker.Rotations: ids begin with their time, so the
// newest are the last.
func (s *DB) RotationsOf(ctx context.Context, environment, subject, after string, limit int) (found []broker.Rotation, next string, err error) {
	const doing = "list the rotations"
	if err := broker.CheckRotationsOf(environment, subject, after, limit); err != nil {
		return nil, "", err
	}
	at, first := ofSubject, runKey(environment, subject, cmp.Or(after, "~"))
	if subject == "" {
		at = ofAll
	}
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.tables.Grants), ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(limit + 1)),
		KeyConditionExpression: aws.String("pk = :pk AND sk BETWEEN :run AND :first"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: first.pk},
			":run": &types.AttributeValueMemberS{Value: "run/"}, ":first": &types.AttributeValueMemberS{Value: first.sk}},
	}
	for range maxPages {
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, "", fault(doing, err)
		}
		for _, a := range out.Items {
			r, err := decodeRun(at)(a)
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", doing, err)
			}
			if r.ID != after {
				found = append(found, r)
			}
		}
		if len(found) > limit {
			return found[:limit], found[limit-1].ID, nil
		}
		if len(out.LastEvaluatedKey) == 0 {
			return found, "", nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return nil, "", fmt.Errorf("%s: %w: more than %d pages", doing, broker.ErrUnavailable, maxPages)
}
