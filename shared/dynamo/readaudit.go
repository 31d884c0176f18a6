package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// Receipt implements broker.AuditReader, on the audit table itself. The role of
// the function that relays calls cannot.
func (s *DB) Receipt(ctx context.Context, receipt string) ([]broker.Record, error) {
	if err := broker.CheckID("receipt", receipt); err != nil {
		return nil, err
	}
	var records []broker.Record
	err := s.query(ctx, "read the audit records", s.tables.Audit, receipt, func(_ string, a attributes) error {
		r, err := DecodeRecord(a)
		records = append(records, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}

// DecodeRecord reads an item of the audit table, as it is read there or as the
// table's stream brings it. An attribute that is unknown is passed over: what
// changes the meaning of a record changes its schema.
func DecodeRecord(item map[string]types.AttributeValue) (broker.Record, error) {
	var r, none broker.Record
	if err := attributevalue.UnmarshalMapWithOptions(item, &r, readJSONNames); err != nil {
		return none, fmt.Errorf("%w: an attribute has the wrong type", errRow)
	}
	if err := r.Check(); err != nil {
		return none, fmt.Errorf("%w: %w", errRow, err)
	}
	if auditKey(r) != keyOf(item) {
		return none, fmt.Errorf("%w: it belongs to another key", errRow)
	}
	return r, nil
}

// ScanPlace is where a scan of the audit table has come to; the zero value is
// its beginning.
type ScanPlace struct {
	Receipt string       `json:"receipt"`
	Phase   broker.Phase `json:"phase"`
}

// ScanRecords reads a part of one segment of the audit table, as items, and says
// where it came to. It is how the index is made anew, and reads for nobody else.
func (s *DB) ScanRecords(ctx context.Context, segment, segments int, after *ScanPlace, limit int) (items []map[string]types.AttributeValue, next *ScanPlace, err error) {
	in := &dynamodb.ScanInput{
		TableName: aws.String(s.tables.Audit), ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(limit)),
		Segment: aws.Int32(int32(segment)), TotalSegments: aws.Int32(int32(segments)),
	}
	if after != nil {
		in.ExclusiveStartKey = key{after.Receipt, string(after.Phase)}.attributes()
	}
	out, err := s.client.Scan(ctx, in)
	if err != nil {
		return nil, nil, fault("scan the audit table", err)
	}
	if len(out.LastEvaluatedKey) > 0 {
		k := keyOf(out.LastEvaluatedKey)
		next = &ScanPlace{k.pk, broker.Phase(k.sk)}
	}
	return out.Items, next, nil
}
