package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/revoke"
	"bindery/shared/telemetry"
)

// stream begins with what is new in the revocations table, and names the first
// row that has to come again, with all after it. A row that is none is reported
// and passed over, so that it does not hold up the others for ever. So is one that
// was removed: what it stopped may go on.
func (h *Handler) stream(ctx context.Context, batch []json.RawMessage) events.DynamoDBEventResponse {
	answer := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	for _, raw := range batch {
		var e events.DynamoDBEventRecord
		if json.Unmarshal(raw, &e) != nil {
			h.Log.Error("a row of the stream does not decode", string(telemetry.RowsUnreadable), 1)
			continue
		}
		if e.EventName == string(events.DynamoDBOperationTypeRemove) {
			if dynamo.RemovedByNobody(dynamo.Streamed(e.Change.Keys)) { // else it is the entry of a case that is done
				h.Log.Error("a marker or a case was removed", string(telemetry.AuditChanged), 1)
			}
			continue
		}
		change, err := dynamo.DecodeRevocationChange(dynamo.Streamed(e.Change.NewImage))
		if err != nil {
			h.Log.Error("a row of the stream does not decode", "cause", err.Error(), string(telemetry.RowsUnreadable), 1)
			continue
		}
		if err := h.follow(ctx, change); err != nil {
			h.Log.Error("a change could not be followed", "cause", err.Error())
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.DynamoDBBatchItemFailure{ItemIdentifier: e.Change.SequenceNumber})
			break
		}
	}
	return answer
}

// follow makes up for a case that was never stored, and works one that is due.
func (h *Handler) follow(ctx context.Context, change dynamo.RevocationChange) error {
	switch m := change.Marker; {
	case m != nil && m.Environment == h.Environment && m.Revocation != "":
		return h.adopt(ctx, *m)
	case change.Case == nil || change.Case.Environment != h.Environment || !h.due(*change.Case):
		return nil
	}
	c, err := h.Cases.Revocation(ctx, h.Environment, change.Case.ID) // the stream is behind
	if err != nil {
		return fmt.Errorf("read the case: %w", err)
	}
	if !h.due(c) {
		return nil
	}
	_ = h.work(ctx, c) // it is in the log; the schedule goes on with it
	return nil
}

// adopt stores the record and the case of a marker, where whoever wrote the marker
// did not live to. What they stored, or store meanwhile, is the very same.
func (h *Handler) adopt(ctx context.Context, m broker.Marker) error {
	c := revoke.CaseOf(m)
	if err := revoke.Tell(ctx, h.Journal, c); err != nil {
		return err
	}
	_, err := h.Cases.Revocation(ctx, h.Environment, m.Revocation)
	if errors.Is(err, broker.ErrNotFound) {
		err = h.Cases.AddRevocation(ctx, c)
	}
	if err != nil && !errors.Is(err, broker.ErrConflict) {
		return fmt.Errorf("store the case of a marker: %w", err)
	}
	return nil
}
