package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/broker"
)

// ReadAudit gives the records of one receipt, intent before outcome. It is for
// operators and tests: no storage interface reads the audit log, and the role
// of the function that writes it cannot.
func ReadAudit(ctx context.Context, client *dynamodb.Client, table, receipt string) ([]broker.Record, error) {
	const doing = "read the audit records"
	if err := broker.CheckID("receipt", receipt); err != nil {
		return nil, err
	}
	var records []broker.Record
	s := &DB{client: client}
	err := s.query(ctx, doing, table, receipt, func(_ string, a attributes) error {
		var r broker.Record
		if err := attributevalue.UnmarshalMapWithOptions(a, &r, readJSONNames); err != nil {
			return fmt.Errorf("%w: an attribute has the wrong type", errRow)
		}
		if err := r.Check(); err != nil {
			return fmt.Errorf("%w: %w", errRow, err)
		}
		if auditKey(r) != keyOf(a) {
			return fmt.Errorf("%w: it belongs to another key", errRow)
		}
		records = append(records, r)
		return nil
	})
	return records, err
}
