package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// Receipt implements broker.AuditReader, on the audit table itself. The role of
// the function that relays calls cannot.
func (s *DB) Receipt(ctx context.Context, receipt string) ([]broker.Record, error) {
	if err := broker.CheckID("receipt", receipt); err != nil {
		return nil, err
	}
	const doing = "read the audit records"
	var records []broker.Record
	var passed unread
	err := s.query(ctx, doing, s.tables.Audit, receipt, func(_ string, a attributes) error {
		r, err := DecodeRecord(a)
		if err != nil {
			passed.add(err)
			return nil
		}
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return records, passed.err(doing)
}

// DecodeRecord reads an item of the audit table, as it is read there or as the
// table's stream brings it. An attribute that is unknown is passed over: what
// changes the meaning of a record changes its schema.
func DecodeRecord(item map[string]types.AttributeValue) (broker.Record, error) {
	var r, none broker.Record
	if err := attributevalue.UnmarshalMapWithOptions(item, &r, readJSONNames); err != nil {
		return none, fmt.Errorf("%w: an attribute has the wrong type", broker.ErrUndecodable)
	}
	if err := r.Check(); err != nil {
		return none, fmt.Errorf("%w: %w", broker.ErrUndecodable, err)
	}
	if auditKey(r) != keyOf(item) {
		return none, fmt.Errorf("%w: it belongs to another key", broker.ErrUndecodable)
	}
	return r, nil
}
