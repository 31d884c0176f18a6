package dynamo

import (
	"context"
	"fmt"
	"maps"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// An audit item is the record under its JSON names, plus pk and sk. The record
// carries its own schema version, and its hash is taken over those names.

func jsonNames(o *attributevalue.EncoderOptions)     { o.TagKey = "json" }
func readJSONNames(o *attributevalue.DecoderOptions) { o.TagKey = "json" }

// Append implements broker.AuditLog. It only ever puts, and only where nothing
// is.
func (s *DB) Append(ctx context.Context, r broker.Record) error {
	const doing = "append the audit record"
	if err := r.Check(); err != nil {
		return err
	}
	item, err := auditItem(doing, r)
	if err != nil {
		return err
	}
	there, err := s.tryPut(ctx, doing, s.tables.Audit, item, absent())
	if there == nil {
		return err
	}
	if nonce, ok := there["nonce"].(*types.AttributeValueMemberS); ok && nonce.Value == r.Nonce {
		return nil
	}
	return err
}

func auditItem(doing string, r broker.Record) (attributes, error) {
	item, err := attributevalue.MarshalMapWithOptions(r, jsonNames)
	if err != nil {
		return nil, fmt.Errorf("%s: encode the record: %w", doing, err)
	}
	maps.Copy(item, auditKey(r).attributes())
	return item, nil
}
