package handler

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/telemetry"
)

// together is how many records are indexed at once: what they have in common is
// written once, and one that fails brings no more than these again.
const together = 250

// placed is a record and its place in the stream.
type placed struct {
	broker.Record
	sequence string
}

// stream indexes the records of a batch and names the first that has to come
// again, with all after it. Only an insert is a record: nobody may change one.
func (h *Handler) stream(ctx context.Context, batch []json.RawMessage) events.DynamoDBEventResponse {
	var records []placed
	for _, raw := range batch {
		var e events.DynamoDBEventRecord
		if json.Unmarshal(raw, &e) != nil {
			h.unreadable("")
			continue
		}
		if e.EventName != string(events.DynamoDBOperationTypeInsert) {
			h.log.Error("an audit record was changed", "receipt", digest(receiptOf(e)), "phase", phaseOf(e), "how", how(e), string(telemetry.AuditChanged), 1)
			continue
		}
		r, err := recordOf(e.Change.NewImage)
		if err != nil {
			h.unreadable(receiptOf(e))
			continue
		}
		records = append(records, placed{r, e.Change.SequenceNumber})
	}
	counted := counts{}
	for some := range slices.Chunk(records, together) {
		indexed := plain(some)
		err := h.index.IndexRecords(ctx, indexed)
		if err == nil {
			err = h.lookAgain(ctx, indexed)
		}
		if err != nil {
			h.log.LogAttrs(ctx, slog.LevelError, "records could not be indexed", counted.attrs(slog.Int("records", len(some)), slog.String("cause", err.Error()))...)
			return events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{{ItemIdentifier: some[0].sequence}}}
		}
		counted.add(indexed, h.now())
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "indexed", counted.attrs(slog.Int("records", len(records)), slog.Int("passed_over", len(batch)-len(records)))...)
	return events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
}

func plain(some []placed) []broker.Record {
	records := make([]broker.Record, len(some))
	for i, p := range some {
		records[i] = p.Record
	}
	return records
}

// recordOf decodes what was inserted, and refuses what no index takes.
func recordOf(image map[string]events.DynamoDBAttributeValue) (broker.Record, error) {
	r, err := dynamo.DecodeRecord(dynamo.Streamed(image))
	if err == nil {
		_, err = broker.EntryOf(r)
	}
	return r, err
}

// unreadable reports a row of the audit table that is no record.
func (h *Handler) unreadable(receipt string) {
	h.log.Error("an audit record does not decode", "receipt", digest(receipt), string(telemetry.AuditUnreadable), 1)
}

// digest names a receipt that may be anything.
func digest(receipt string) string { return broker.Digest("receipt", receipt) }

func receiptOf(e events.DynamoDBEventRecord) string {
	if pk := e.Change.Keys["pk"]; pk.DataType() == events.DataTypeString {
		return pk.String()
	}
	return ""
}

// phaseOf is empty where the row has none.
func phaseOf(e events.DynamoDBEventRecord) string {
	sk := e.Change.Keys["sk"]
	if sk.DataType() != events.DataTypeString || !known(broker.Phase(sk.String())) {
		return ""
	}
	return sk.String()
}

func known(p broker.Phase) bool {
	return p == broker.Intent || p == broker.Outcome || p == broker.Refused
}

func how(e events.DynamoDBEventRecord) string {
	switch e.EventName {
	case string(events.DynamoDBOperationTypeModify):
		return "replaced"
	case string(events.DynamoDBOperationTypeRemove):
		return "removed"
	}
	return "in an unknown way"
}
