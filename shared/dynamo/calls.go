package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
)

// CountCall implements broker.Quotas: one update that counts on the condition
// that there is room. A counter that is no number has none.
func (s *DB) CountCall(ctx context.Context, q broker.Quota, at time.Time) (bool, error) {
	const doing = "count the call"
	if err := q.CheckCall(at); err != nil {
		return false, err
	}
	calls := expression.Name("calls")
	e, err := expression.NewBuilder().
		WithCondition(expression.Or(absent(), calls.LessThan(expression.Value(q.Limit)))).
		WithUpdate(expression.Add(calls, expression.Value(1)).
			Set(expression.Name("schema"), expression.Value(schema)).
			Set(expression.Name("expires"), expression.Value(expiry(at, broker.QuotaWindow+slack)))).Build()
	if err != nil {
		return false, fmt.Errorf("%s: build the update: %w", doing, err)
	}
	_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(s.tables.Transient), Key: windowKey(q, at).attributes(),
		UpdateExpression: e.Update(), ConditionExpression: e.Condition(),
		ExpressionAttributeNames: e.Names(), ExpressionAttributeValues: e.Values(),
	})
	if err == nil {
		return true, nil
	}
	if _, full := refused(err); full {
		return false, nil
	}
	return false, fault(doing, err)
}
