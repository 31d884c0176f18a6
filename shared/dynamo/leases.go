package dynamo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// Each of these is one conditional update of the grant's own item, which gives
// what is there: a write that was applied is recognised by it, and a spare comes
// along with the lease. Only death brings its record along.

// LeaseGrant implements broker.Grants. Whoever had the lease before and was not
// heard of again stays known as the unsettled attempt.
func (s *DB) LeaseGrant(ctx context.Context, seen broker.Grant, holder string, now, until time.Time) (broker.GrantView, error) {
	const doing = "lease the grant"
	if err := seen.CheckLeasing(holder, now, until); err != nil {
		return broker.GrantView{}, err
	}
	over := expression.Name("lease_until").LessThan(expression.Value(stamp(now.Add(-broker.ClockSkew))))
	warm := expression.Name("cool_until").LessThanEqual(expression.Value(stamp(now)))
	u := expression.Set(expression.Name("unsettled"), expression.Name("attempted"))
	u = set(set(set(u, "lease", holder), "lease_until", stamp(until)), "attempted", stamp(now))
	g, err := s.alter(ctx, doing, seen.GrantKey, u, asSeen(seen).And(is("attempted", stamp(seen.Attempted)), warm, is("lease", "").Or(over)))
	mine := g.living(seen) && g.Lease == holder && g.LeaseUntil.After(now) && !g.CoolUntil.After(now)
	if err == nil || errors.Is(err, broker.ErrConflict) && mine {
		return g.view(), nil
	}
	return broker.GrantView{}, err
}

// StoreTokens implements broker.Grants.
func (s *DB) StoreTokens(ctx context.Context, leased broker.Grant, t broker.Tokens, now time.Time) (broker.Grant, error) {
	const doing = "store the tokens"
	if err := cmp.Or(leased.CheckLeased(now, ""), t.CheckFor(leased)); err != nil {
		return broker.Grant{}, err
	}
	after := leased
	after.Version++
	after.State, after.Dead, after.CoolUntil = broker.Active, time.Time{}, time.Time{}
	after.Expires, after.Refreshes = t.Expires, t.Refreshes
	u := due(tokens(set(set(released(leased), "attempted", ""), "version", after.Version), t), after)
	g, err := s.alter(ctx, doing, leased.GrantKey, u, held(leased))
	applied := g.living(after) && g.settled == leaseID(leased) && bytes.Equal(g.Sealed, t.Sealed)
	if err == nil || errors.Is(err, broker.ErrConflict) && applied {
		return g.Grant, nil
	}
	return broker.Grant{}, err
}

// KeepSpare implements broker.Grants.
func (s *DB) KeepSpare(ctx context.Context, leased broker.Grant, t broker.Tokens) error {
	const doing = "keep the spare"
	if err := t.CheckFor(leased); err != nil {
		return err
	}
	mine := broker.Digest(string(t.Sealed))
	u := set(expression.Set(expression.Name("spared"), expression.Value(mine)), "spare", newSpareRow(leased, t))
	g, err := s.alter(ctx, doing, leased.GrantKey, u, asSeen(leased))
	kept := g.Generation == leased.Generation && g.State == broker.Active && g.spareID == mine
	if errors.Is(err, broker.ErrConflict) && kept {
		return nil
	}
	return err
}

// CoolGrant implements broker.Grants. An attempt before this one whose end is
// not known is as unknown as it was.
func (s *DB) CoolGrant(ctx context.Context, leased broker.Grant, until time.Time, fault string) error {
	const doing = "cool the grant"
	if err := leased.CheckLeased(until, fault); err != nil {
		return err
	}
	failures := expression.Name("failures")
	after := leased
	after.State, after.Dead, after.CoolUntil = broker.Active, time.Time{}, until
	u := set(set(released(leased), "cool_until", stamp(until)), "fault", fault).
		Set(failures, failures.Plus(expression.Value(1))).Set(expression.Name("attempted"), expression.Name("unsettled"))
	g, err := s.alter(ctx, doing, leased.GrantKey, due(u, after), held(leased))
	if errors.Is(err, broker.ErrConflict) && g.living(leased) && g.settled == leaseID(leased) {
		return nil
	}
	return err
}

// KillGrant implements broker.Grants. The death and its record are one transaction.
func (s *DB) KillGrant(ctx context.Context, leased broker.Grant, at time.Time, fault string, told broker.Record) (first bool, err error) {
	const doing = "kill the grant"
	if err := cmp.Or(leased.CheckLeased(at, fault), told.Check()); err != nil {
		return false, err
	}
	writes, err := s.killing(doing, leased, at, fault, told)
	if err != nil {
		return false, err
	}
	var now attributes
	err = uncontended(ctx, doing, func() (err error) {
		now, err = s.tryTransact(ctx, doing, writes)
		return err
	})
	if err == nil || len(now) == 0 {
		return err == nil, err
	}
	g, undecodable := decodeGrant(now)
	if undecodable != nil {
		return false, fmt.Errorf("%s: %w", doing, undecodable)
	}
	dead := g.State == broker.Active && !g.Dead.IsZero() && g.Generation == leased.Generation && g.Version == leased.Version
	if errors.Is(err, broker.ErrConflict) && dead {
		return g.settled == leaseID(leased), nil
	}
	return false, err
}

// killing are the grant and the record of the transaction.
func (s *DB) killing(doing string, leased broker.Grant, at time.Time, fault string, told broker.Record) ([]types.TransactWriteItem, error) {
	u := set(set(set(released(leased), "attempted", ""), "dead", stamp(at)), "fault", fault).
		Remove(expression.Name("due")).Remove(expression.Name("due_at"))
	e, err := expression.NewBuilder().WithUpdate(u).WithCondition(held(leased).And(expression.Name("spare").AttributeNotExists())).Build()
	if err != nil {
		return nil, fmt.Errorf("%s: build the update: %w", doing, err)
	}
	record, err := auditItem(doing, told)
	if err != nil {
		return nil, err
	}
	appending, err := putsInto(doing, s.tables.Audit, conditional{record, absent()})
	return slices.Concat([]types.TransactWriteItem{{Update: &types.Update{
		TableName: aws.String(s.tables.Grants), Key: grantKey(leased.GrantKey).attributes(),
		UpdateExpression: e.Update(), ConditionExpression: e.Condition(),
		ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}}, appending), err
}
