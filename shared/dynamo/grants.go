package dynamo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// ofSchema holds for rows that this release knows.
func ofSchema() expression.ConditionBuilder { return is("schema", schema) }

func is(name string, value any) expression.ConditionBuilder {
	return expression.Name(name).Equal(expression.Value(value))
}

// lives holds where the grant is of this generation and lives.
func lives(generation int64) expression.ConditionBuilder {
	return is("generation", generation).And(is("state", string(broker.Active)), is("dead", ""), ofSchema())
}

// asSeen holds where the grant is as it was seen, and lives.
func asSeen(g broker.Grant) expression.ConditionBuilder {
	return lives(g.Generation).And(is("version", g.Version))
}

// held holds where it is as it was given under the lease, and the lease is not
// somebody else's.
func held(leased broker.Grant) expression.ConditionBuilder {
	return asSeen(leased).And(is("lease", leased.Lease), is("attempted", stamp(leased.Attempted)))
}

func set(u expression.UpdateBuilder, name string, value any) expression.UpdateBuilder {
	return u.Set(expression.Name(name), expression.Value(value))
}

// released ends a lease.
func released(leased broker.Grant) expression.UpdateBuilder {
	u := expression.Set(expression.Name("settled"), expression.Value(leaseID(leased)))
	return set(set(set(u, "lease", ""), "lease_until", ""), "unsettled", "")
}

// tokens puts a token set into a grant, and takes its spare away.
func tokens(u expression.UpdateBuilder, t broker.Tokens) expression.UpdateBuilder {
	u = set(set(set(u, "sealed", t.Sealed), "expires", stamp(t.Expires)), "refreshes", t.Refreshes)
	u = set(set(set(u, "cool_until", ""), "failures", 0), "fault", "").Remove(expression.Name("spare"))
	if len(t.Scopes) == 0 {
		return u.Remove(expression.Name("scopes"))
	}
	return set(u, "scopes", t.Scopes)
}

// due puts a grant where it will stand into the index, or takes it out.
func due(u expression.UpdateBuilder, g broker.Grant) expression.UpdateBuilder {
	at := g.DueAt()
	if at.IsZero() {
		return u.Remove(expression.Name("due")).Remove(expression.Name("due_at"))
	}
	return set(set(u, "due", duePartition(g.Environment, dueShard(g.GrantKey))), "due_at", stamp(at))
}

// alter updates a grant on a condition and gives it as it is afterwards. With
// ErrConflict comes what is there instead; no generation, if there is nothing.
func (s *DB) alter(ctx context.Context, doing string, k broker.GrantKey, u expression.UpdateBuilder, c expression.ConditionBuilder) (grant, error) {
	e, err := expression.NewBuilder().WithUpdate(u).WithCondition(c).Build()
	if err != nil {
		return grant{}, fmt.Errorf("%s: build the update: %w", doing, err)
	}
	var now attributes
	err = uncontended(ctx, doing, func() error {
		out, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: aws.String(s.tables.Grants), Key: grantKey(k).attributes(),
			UpdateExpression: e.Update(), ConditionExpression: e.Condition(),
			ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
			ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		if there, conflict := refused(err); conflict {
			now = there
			return fmt.Errorf("%s: %w", doing, broker.ErrConflict)
		}
		var contended *types.TransactionConflictException
		switch {
		case errors.As(err, &contended):
			return errContended
		case err != nil:
			return fault(doing, err)
		}
		now = out.Attributes
		return nil
	})
	if len(now) == 0 {
		return grant{}, err
	}
	g, undecodable := decodeGrant(now)
	if undecodable != nil {
		return grant{}, fmt.Errorf("%s: %w", doing, undecodable)
	}
	return g, err
}

// BeginGrant implements broker.Grants. The version goes on from whatever it is,
// so a refresh in the meantime is in nobody's way.
func (s *DB) BeginGrant(ctx context.Context, g broker.Grant, c broker.Consent) error {
	const doing = "begin the grant"
	next := g.Begins()
	c.Generation = next.Generation
	if err := cmp.Or(next.Check(), c.Check()); err != nil {
		return err
	}
	begun := broker.Digest(string(next.Sealed), c.Agent)
	writes, err := s.beginning(doing, next, c, begun)
	if err != nil {
		return err
	}
	err = uncontended(ctx, doing, func() error { return s.transact(ctx, doing, writes) })
	if !errors.Is(err, broker.ErrConflict) {
		return err
	}
	there, unread := s.grant(ctx, doing, g.GrantKey)
	switch {
	case unread != nil && !errors.Is(unread, broker.ErrNotFound):
		return unread
	case there.Generation == next.Generation && there.begun == begun:
		return nil // an earlier attempt was applied and its answer lost
	}
	return err
}

// beginning are the grant and the consent of the transaction.
func (s *DB) beginning(doing string, g broker.Grant, c broker.Consent, begun string) ([]types.TransactWriteItem, error) {
	version := expression.Name("version")
	u := expression.Set(version, expression.Plus(expression.IfNotExists(version, expression.Value(0)), expression.Value(1)))
	for name, value := range map[string]any{"schema": schema, "environment": g.Environment, "principal": g.Principal, "server": g.Server,
		"origin": g.Origin, "generation": g.Generation, "state": string(g.State), "provider": g.Provider, "authority": g.Authority, "resource": g.Resource, "consented": stamp(g.Consented),
		"until": stamp(g.Until), "lease": "", "lease_until": "", "attempted": "", "unsettled": "", "dead": "", "ended": "", "begun": begun} {
		u = set(u, name, value)
	}
	u = tokens(u, broker.Tokens{Sealed: g.Sealed, Expires: g.Expires, Scopes: g.Scopes, Refreshes: g.Refreshes})
	u = due(u.Remove(expression.Name("settled")).Remove(expression.Name("spared")), g)
	replaced := absent()
	if g.Generation > 1 {
		before := expression.Name("ended").LessThan(expression.Value(stamp(g.Consented))) // the empty one is, too
		replaced = is("generation", g.Generation-1).And(before, ofSchema())
	}
	e, err := expression.NewBuilder().WithUpdate(u).WithCondition(replaced).Build()
	if err != nil {
		return nil, fmt.Errorf("%s: build the update: %w", doing, err)
	}
	agreed, err := s.agreed(doing, g.GrantKey, c)
	return []types.TransactWriteItem{{Update: &types.Update{TableName: aws.String(s.tables.Grants), Key: grantKey(g.GrantKey).attributes(),
		UpdateExpression: e.Update(), ConditionExpression: e.Condition(),
		ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values()}}, agreed}, err
}

// agreed puts a consent. What it is to is the other item's condition.
func (s *DB) agreed(doing string, k broker.GrantKey, c broker.Consent) (types.TransactWriteItem, error) {
	row, err := encode(doing, newConsentRow(k, c))
	if err != nil {
		return types.TransactWriteItem{}, err
	}
	e, err := expression.NewBuilder().WithCondition(notLater()).Build()
	if err != nil {
		return types.TransactWriteItem{}, fmt.Errorf("%s: build the condition: %w", doing, err)
	}
	return types.TransactWriteItem{Put: &types.Put{TableName: aws.String(s.tables.Grants), Item: row, ConditionExpression: e.Condition(),
		ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values()}}, nil
}

// AddConsent implements broker.Grants.
func (s *DB) AddConsent(ctx context.Context, k broker.GrantKey, c broker.Consent) error {
	const doing = "add the consent"
	if err := cmp.Or(k.Check(), c.Check()); err != nil {
		return err
	}
	e, err := expression.NewBuilder().WithCondition(lives(c.Generation)).Build()
	if err != nil {
		return fmt.Errorf("%s: build the condition: %w", doing, err)
	}
	agreed, err := s.agreed(doing, k, c)
	if err != nil {
		return err
	}
	living := types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: aws.String(s.tables.Grants), Key: grantKey(k).attributes(),
		ConditionExpression: e.Condition(), ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values()}}
	return uncontended(ctx, doing, func() error { return s.transact(ctx, doing, []types.TransactWriteItem{living, agreed}) })
}

// EndGrant implements broker.Grants. It reads first, so that what has to be
// revoked is known whatever answer gets lost, and writes on the condition that
// nothing has moved since.
func (s *DB) EndGrant(ctx context.Context, k broker.GrantKey, to broker.State, at time.Time) (broker.Grant, error) {
	const doing = "end the grant"
	if err := k.CheckEnding(to, at); err != nil {
		return broker.Grant{}, err
	}
	for n := range transactions {
		if err := pause(ctx, n); err != nil {
			return broker.Grant{}, fault(doing, err)
		}
		was, err := s.grant(ctx, doing, k)
		if err != nil {
			return broker.Grant{}, err
		}
		live := was.Grant
		if was.spare != nil {
			live.Sealed, live.Expires, live.Scopes, live.Refreshes = was.spare.Sealed, was.spare.Expires, was.spare.Scopes, was.spare.Refreshes
		}
		if was.State == to || was.State == broker.Deleted {
			return live, nil
		}
		there, err := s.alter(ctx, doing, k, ending(was, to, at), unmoved(was))
		applied := there.Generation == was.Generation && there.State == to && (was.State != broker.Active || there.Ended.Equal(at))
		if err == nil || errors.Is(err, broker.ErrConflict) && applied {
			return live, nil
		}
		if !errors.Is(err, broker.ErrConflict) {
			return broker.Grant{}, err
		}
	}
	return broker.Grant{}, fmt.Errorf("%s: %w: it keeps moving", doing, broker.ErrUnavailable)
}

func ending(was grant, to broker.State, at time.Time) expression.UpdateBuilder {
	u := expression.Set(expression.Name("state"), expression.Value(string(to)))
	if was.State != broker.Active {
		return u
	}
	for _, name := range []string{"lease", "lease_until", "attempted", "unsettled"} {
		u = set(u, name, "")
	}
	u = set(u, "ended", stamp(at)).Remove(expression.Name("sealed")).Remove(expression.Name("spare"))
	return u.Remove(expression.Name("due")).Remove(expression.Name("due_at"))
}

// unmoved holds where the grant holds the same tokens and stands as it did.
func unmoved(was grant) expression.ConditionBuilder {
	c := is("generation", was.Generation).And(is("version", was.Version), is("state", string(was.State)), ofSchema())
	if was.spareID == "" {
		return c.And(expression.Name("spared").AttributeNotExists())
	}
	return c.And(is("spared", was.spareID))
}
