package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
)

var _ broker.GrantScanner = (*DB)(nil)

// ScanGrants implements broker.GrantScanner. No other row of these partitions has
// both a state and a time of consent.
func (s *DB) ScanGrants(ctx context.Context, environment, after string, limit int) (found []broker.Grant, next string, err error) {
	of := expression.Name("pk").BeginsWith(join("grants", environment)+"/").
		And(expression.Name("consented").AttributeExists(), expression.Name("state").NotEqual(expression.Value(string(broker.Deleted))))
	all, next, err := scan(ctx, s, "scan the grants", s.tables.Grants, of, environment, after, limit, decodeGrant)
	for _, g := range all {
		found = append(found, g.Grant)
	}
	return found, next, err
}

// scan reads the next rows of a table, at most limit, and gives those that are of
// a kind. A row of it that does not decode is counted, never an absence.
func scan[V any](ctx context.Context, s *DB, doing, table string, of expression.ConditionBuilder, environment, after string, limit int,
	decode func(attributes) (V, error),
) (found []V, next string, err error) {
	if err := broker.CheckScan(environment, after, limit); err != nil {
		return nil, "", err
	}
	e, err := expression.NewBuilder().WithFilter(of).Build()
	if err != nil {
		return nil, "", fmt.Errorf("%s: build the filter: %w", doing, err)
	}
	in := &dynamodb.ScanInput{TableName: aws.String(table), ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(limit)),
		FilterExpression: e.Filter(), ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values()}
	if after != "" {
		in.ExclusiveStartKey = keyOfToken(after).attributes()
	}
	out, err := s.client.Scan(ctx, in)
	if err != nil {
		return nil, "", fault(doing, err)
	}
	var passed unread
	for _, a := range out.Items {
		v, err := decode(a)
		if err != nil {
			passed.add(err)
			continue
		}
		found = append(found, v)
	}
	return found, tokenOf(out.LastEvaluatedKey), passed.err(doing)
}

// tokenOf is the key that a page of a scan ended with, as text: keys have no
// spaces, they are escaped. It is empty where that was the last page.
func tokenOf(last attributes) string {
	if len(last) == 0 {
		return ""
	}
	k := keyOf(last)
	return k.pk + " " + k.sk
}

// keyOfToken is the key of which tokenOf made the text.
func keyOfToken(token string) key {
	pk, sk, _ := strings.Cut(token, " ")
	return key{pk, sk}
}
