package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// createWait is how long one table may take to become active.
const createWait = 30 * time.Second

// Create makes the tables for local use and tests and returns when they are
// active. Tables that exist are left as they are. Deployments do not use it:
// theirs come from template.yaml, with recovery, encryption and TTL.
func Create(ctx context.Context, client *dynamodb.Client, t Tables) error {
	names := []string{t.Catalogue, t.Revocations, t.Grants, t.Transient, t.Audit, t.AuditIndex}
	for _, name := range names {
		var stream *types.StreamSpecification
		if name == t.Audit || name == t.Revocations {
			stream = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}
		}
		in := &dynamodb.CreateTableInput{
			TableName: aws.String(name), StreamSpecification: stream, BillingMode: types.BillingModePayPerRequest,
			KeySchema: keyedBy("pk", "sk"), AttributeDefinitions: texts("pk", "sk"),
		}
		if name == t.Grants {
			in.AttributeDefinitions = texts("pk", "sk", "due", "due_at")
			in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{{IndexName: aws.String(dueIndex), KeySchema: keyedBy("due", "due_at"),
				Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}}}
		}
		_, err := client.CreateTable(ctx, in)
		var exists *types.ResourceInUseException
		if err != nil && !errors.As(err, &exists) {
			return fault(fmt.Sprintf("create the table %s", name), err)
		}
	}
	for _, name := range names {
		active := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
			o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
		})
		if err := active.Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(name)}, createWait); err != nil {
			return fault(fmt.Sprintf("wait for the table %s", name), err)
		}
	}
	return nil
}

func keyedBy(hash, order string) []types.KeySchemaElement {
	return []types.KeySchemaElement{{AttributeName: aws.String(hash), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(order), KeyType: types.KeyTypeRange}}
}

func texts(names ...string) (list []types.AttributeDefinition) {
	for _, n := range names {
		list = append(list, types.AttributeDefinition{AttributeName: aws.String(n), AttributeType: types.ScalarAttributeTypeS})
	}
	return list
}
