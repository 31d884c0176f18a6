package dynamo

import (
	"context"
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

type attributes = map[string]types.AttributeValue

// absent holds where no item is.
func absent() expression.ConditionBuilder {
	return expression.AttributeNotExists(expression.Name("pk"))
}

// replaces holds where the stored row has this version and is no tombstone;
// for version 0, where no row is.
func replaces(version int64) expression.ConditionBuilder {
	if version == 0 {
		return absent()
	}
	return expression.Name("version").Equal(expression.Value(version)).
		And(expression.Name("state").NotEqual(expression.Value(string(broker.Deleted))))
}

// notLater holds where no row of a later release is: for rows that say nothing
// but what their key says.
func notLater() expression.ConditionBuilder {
	return absent().Or(expression.Name("schema").LessThanEqual(expression.Value(schema)))
}

// put stores an item on a condition. Where the condition does not hold but the
// very same item is stored already, an earlier attempt was applied and its
// answer lost (or somebody else wrote the same): there is nothing left to do.
func (s *DB) put(ctx context.Context, doing, table string, item attributes, c expression.ConditionBuilder) error {
	there, err := s.tryPut(ctx, doing, table, item, c)
	if there != nil && same(there, item) {
		return nil
	}
	return err
}

// tryPut is one conditional put. With ErrConflict comes the item that is there.
func (s *DB) tryPut(ctx context.Context, doing, table string, item attributes, c expression.ConditionBuilder) (there attributes, err error) {
	e, err := expression.NewBuilder().WithCondition(c).Build()
	if err != nil {
		return nil, fmt.Errorf("%s: build the condition: %w", doing, err)
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:                           aws.String(table),
		Item:                                item,
		ConditionExpression:                 e.Condition(),
		ExpressionAttributeNames:            e.Names(),
		ExpressionAttributeValues:           e.Values(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if err == nil {
		return nil, nil
	}
	if there, ok := refused(err); ok {
		return there, fmt.Errorf("%s: %w", doing, broker.ErrConflict)
	}
	return nil, fault(doing, err)
}

// same compares items attribute by attribute. Numbers here are integers, which
// DynamoDB gives back as they were written.
func same(a, b attributes) bool { return reflect.DeepEqual(a, b) }

// putRow checks nothing: it encodes a versioned row and puts it.
func (s *DB) putRow(ctx context.Context, doing, table string, row any, c expression.ConditionBuilder) error {
	item, err := encode(doing, row)
	if err != nil {
		return err
	}
	return s.put(ctx, doing, table, item, c)
}

func encode(doing string, row any) (attributes, error) {
	item, err := attributevalue.MarshalMap(row)
	if err != nil {
		return nil, fmt.Errorf("%s: encode the row: %w", doing, err)
	}
	return item, nil
}

// PutServer implements broker.CatalogueWriter. The entry in the index comes
// first: an entry without its server is passed over, while a server without its
// entry could not be listed. It is put each time, for servers that have none yet.
func (s *DB) PutServer(ctx context.Context, v broker.Server) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	if err := s.index(ctx, broker.Route{Environment: v.Environment, Server: v.Name}); err != nil {
		return err
	}
	return s.putRow(ctx, "put the server", s.tables.Catalogue, newServerRow(v), replaces(expected))
}

// PutAgent implements broker.CatalogueWriter.
func (s *DB) PutAgent(ctx context.Context, v broker.Agent) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putRow(ctx, "put the agent", s.tables.Catalogue, newAgentRow(v), replaces(expected))
}

// PutTool implements broker.CatalogueWriter.
func (s *DB) PutTool(ctx context.Context, v broker.Tool) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putRow(ctx, "put the tool", s.tables.Catalogue, newToolRow(v), replaces(expected))
}
