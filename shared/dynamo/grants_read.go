package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// dueIndex is the secondary index of the grants table.
const dueIndex = "due"

// grant reads one grant without its consents.
func (s *DB) grant(ctx context.Context, doing string, k broker.GrantKey) (grant, error) {
	a, err := s.get(ctx, doing, s.tables.Grants, grantKey(k))
	switch {
	case err != nil:
		return grant{}, err
	case a == nil:
		return grant{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	g, err := decodeGrant(a)
	if err != nil {
		return grant{}, fmt.Errorf("%s: %w", doing, err)
	}
	return g, nil
}

// Grant implements broker.Grants.
func (s *DB) Grant(ctx context.Context, k broker.GrantKey) (broker.GrantView, error) {
	const doing = "read the grant"
	if err := k.Check(); err != nil {
		return broker.GrantView{}, err
	}
	var of *grant
	var consents []broker.Consent
	stem := grantStem(k.Server, k.Origin)
	err := s.grantRows(ctx, doing, grantsPartition(k.Environment, k.Principal), stem+"/", stem+"0", func(sk string, a attributes) (bool, error) {
		if sk == grantKey(k).sk {
			g, err := decodeGrant(a)
			of = &g
			return true, err
		}
		c, err := decodeConsent(a)
		consents = append(consents, c.given)
		return true, err
	})
	switch {
	case err != nil:
		return broker.GrantView{}, err
	case of == nil:
		return broker.GrantView{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	v := of.view()
	for _, c := range consents {
		if c.Generation == v.Grant.Generation {
			v.Consents = append(v.Consents, c)
		}
	}
	slices.SortFunc(v.Consents, func(a, b broker.Consent) int { return cmp.Compare(a.Agent, b.Agent) })
	return v, nil
}

// grantRows gives the rows of a person's grants within bounds to each, until it
// wants no more.
func (s *DB) grantRows(ctx context.Context, doing, partition, first, last string, each func(sk string, a attributes) (more bool, err error)) error {
	return s.rowsBetween(ctx, doing, s.tables.Grants, partition, first, last, 0, each)
}

// GrantsOf implements broker.Grants.
func (s *DB) GrantsOf(ctx context.Context, environment, principal, after string, limit int) (grants []broker.Grant, next string, err error) {
	const doing = "list the grants"
	if err := broker.CheckGrantsOf(environment, principal, after, limit); err != nil {
		return nil, "", err
	}
	first, last := grantsAfter(after)
	page := listing[broker.Grant]{limit: limit}
	err = s.grantRows(ctx, doing, grantsPartition(environment, principal), first, last, func(sk string, a attributes) (bool, error) {
		if !strings.HasSuffix(sk, "/grant") || strings.Count(sk, "/") != 2 {
			return true, nil
		}
		g, err := decodeGrant(a)
		if err == nil && g.State == broker.Deleted {
			return true, nil
		}
		g.Sealed = nil
		return page.add(g.Grant, err), nil
	})
	if err != nil {
		return nil, "", err
	}
	return page.page(doing, broker.Grant.Token)
}

// DueGrants implements broker.Grants.
func (s *DB) DueGrants(ctx context.Context, environment string, before time.Time, limit int) ([]broker.Grant, error) {
	const doing = "list the due grants"
	if err := broker.CheckDueGrants(environment, before, limit); err != nil {
		return nil, err
	}
	var all []broker.Grant
	var passed unread
	for shard := range dueShards {
		some, err := s.dueOf(ctx, doing, duePartition(environment, shard), before, limit, &passed)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b broker.Grant) int { return a.DueAt().Compare(b.DueAt()) })
	return all[:min(limit, len(all))], passed.err(doing)
}

// dueOf gives the due grants of one partition of the index, at least as many as
// are wanted if there are.
func (s *DB) dueOf(ctx context.Context, doing, partition string, before time.Time, limit int, passed *unread) ([]broker.Grant, error) {
	return dueRows(ctx, s, doing, partition, "due_at < :at", before, limit, passed, func(a attributes) (broker.Grant, bool, error) {
		g, err := decodeGrant(a)
		return g.Grant, g.DueBefore(before), err
	})
}

// dueRows gives rows that one partition of the index names, at least as many as
// are wanted if there are. The index lags and has keys only: each row is read
// consistently, and left out if it is no longer due, or if it does not decode:
// then it is counted.
func dueRows[T any](ctx context.Context, s *DB, doing, partition, condition string, at time.Time, limit int,
	passed *unread, read func(attributes) (row T, due bool, err error),
) (found []T, err error) {
	in := &dynamodb.QueryInput{
		TableName: aws.String(s.tables.Grants), IndexName: aws.String(dueIndex), Limit: aws.Int32(batchKeys),
		KeyConditionExpression: aws.String("due = :due AND " + condition),
		ExpressionAttributeValues: attributes{":due": &types.AttributeValueMemberS{Value: partition},
			":at": &types.AttributeValueMemberS{Value: stamp(at)}},
	}
	for range maxPages {
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, fault(doing, err)
		}
		keys := make([]key, len(out.Items))
		for i, a := range out.Items {
			keys[i] = keyOf(a)
		}
		err = s.batch(ctx, doing, map[string][]key{s.tables.Grants: keys}, func(_ key, a attributes) error {
			row, due, err := read(a)
			switch {
			case err != nil:
				passed.add(err)
			case due:
				found = append(found, row)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(found) >= limit || len(out.LastEvaluatedKey) == 0 {
			break
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
	return found, nil
}
