package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// SeenOf implements broker.AuditReader: one query, in the order of the digests.
func (s *DB) SeenOf(ctx context.Context, environment string, kind broker.SeenKind, id, after string, limit int) (seen []broker.Seen, next string, err error) {
	const doing = "read who was seen"
	if err := cmp.Or(broker.CheckSeen(environment, kind, id), broker.CheckUse(after), broker.CheckLimit(limit)); err != nil {
		return nil, "", err
	}
	first, last := join("use", after), "use0"
	if after != "" {
		first += " " // right after it: a digest ends where it ends
	}
	in := &dynamodb.QueryInput{
		TableName:              aws.String(s.tables.AuditIndex),
		KeyConditionExpression: aws.String("pk = :pk AND sk BETWEEN :first AND :last"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: seenPartition(environment, kind, id)},
			":first": &types.AttributeValueMemberS{Value: first}, ":last": &types.AttributeValueMemberS{Value: last}},
		ConsistentRead: aws.Bool(true),
	}
	for {
		in.Limit = aws.Int32(int32(limit + 1 - len(seen)))
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, "", fault(doing, err)
		}
		for _, a := range out.Items {
			one, err := decodeSeen(a, environment, kind, id)
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", doing, err)
			}
			seen = append(seen, one)
		}
		if len(seen) > limit {
			return seen[:limit], seen[limit-1].Use(), nil
		}
		if len(out.LastEvaluatedKey) == 0 {
			return seen, "", nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// Usages implements broker.AuditReader.
func (s *DB) Usages(ctx context.Context, environment string, of []broker.Binding) (map[string]broker.Usage, error) {
	if err := broker.CheckUsages(environment, of); err != nil {
		return nil, err
	}
	wanted := map[key]bool{}
	var keys []key
	for _, b := range of {
		if k := usageKey(environment, b.Server, b.Name); !wanted[k] {
			wanted[k] = true
			keys = append(keys, k)
		}
	}
	found := map[string]broker.Usage{}
	for some := range slices.Chunk(keys, batchKeys) {
		err := s.batch(ctx, "read the usages", map[string][]key{s.tables.AuditIndex: some}, func(_ key, a attributes) error {
			u, err := decodeUsage(a, environment)
			found[u.Server+"/"+u.Binding] = u
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// SeenVersions implements broker.AuditReader. Which version is the newest can change
// when an older record arrives late, so all versions that were seen are read: one
// query for each reference.
func (s *DB) SeenVersions(ctx context.Context, environment string, references []string) (map[string]broker.SeenVersion, error) {
	if err := broker.CheckRotations(environment, references); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	newest := map[string]broker.SeenVersion{}
	err := inTurns(ctx, len(references), func(ctx context.Context, i int) error {
		return s.query(ctx, "read the rotations", s.tables.AuditIndex, rotationPartition(environment, references[i]), func(_ string, a attributes) error {
			v, err := decodeRotation(a, environment)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if v.Replaces(newest[v.Reference]) {
				newest[v.Reference] = v
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return newest, nil
}

// Lag implements broker.AuditReader.
func (s *DB) Lag(ctx context.Context, environment string) (broker.Lag, error) {
	const doing = "read the lag of the audit index"
	if err := broker.CheckName("environment", environment); err != nil {
		return broker.Lag{}, err
	}
	a, err := s.get(ctx, doing, s.tables.AuditIndex, lagKey(environment))
	if err != nil || a == nil {
		return broker.Lag{}, err
	}
	l, err := decodeLag(a, environment)
	if err != nil {
		return broker.Lag{}, fmt.Errorf("%s: %w", doing, err)
	}
	return l, nil
}
