// Package handler is the outbox function: of the records that the audit table's
// stream brings it makes events, and hands them to an event bus.
//
// What is recorded is told at least once: a record leaves the stream only when
// its event has been taken, or is one that nobody ever will take, which is
// reported with a digest of its receipt. Whoever listens may get an event twice,
// and knows it by its id and type. The function reads no table, changes no
// record, and logs nothing of what one says.
package handler

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	lambda "github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/events"
	"bindery/shared/start"
	"bindery/shared/telemetry"
)

// Bus takes events. Send hands over up to MaxTogether, which together are no
// larger than MaxBytes, and gives one fault for each in their order: nil if it
// was taken, ErrRefused if it never will be, and any other if it may be later. An
// error means that nothing is known of any of them.
type Bus interface {
	Send(ctx context.Context, some []events.Event) ([]error, error)
}

// What a bus takes at once.
const (
	MaxTogether = 10
	MaxBytes    = 256 << 10
)

// ErrRefused is the fault of an event that the bus will not take however often it
// is sent.
var ErrRefused = errors.New("the bus refuses the event")

// Handler answers Lambda. It is safe for concurrent use.
type Handler struct {
	bus Bus
	log *slog.Logger
}

var (
	errEvent = errors.New("the event is not records of a stream")
)

// placed is an event and where its record stands in the stream.
type placed struct {
	events.Event
	receipt, sequence string
}

// Handle takes {"Records": [...]}, as a stream brings it, and names the first
// record that has to come again, with all after it.
func (h *Handler) Handle(ctx context.Context, event json.RawMessage) (answer lambda.DynamoDBEventResponse, err error) {
	defer start.Guard(h.log, &err)
	var batch struct{ Records []json.RawMessage }
	if json.Unmarshal(event, &batch) != nil || batch.Records == nil {
		return lambda.DynamoDBEventResponse{}, errEvent
	}
	return h.deliver(ctx, h.eventsOf(batch.Records)), nil
}

// eventsOf makes the events of a batch. What is no record, was not inserted, or
// should be an event and cannot be, is reported and passed over, so that it does
// not hold up the others for ever.
func (h *Handler) eventsOf(batch []json.RawMessage) []placed {
	var all []placed
	for _, raw := range batch {
		var e lambda.DynamoDBEventRecord
		if json.Unmarshal(raw, &e) != nil {
			h.passedOver("", "it does not decode")
			continue
		}
		r, err := dynamo.DecodeRecord(dynamo.Streamed(e.Change.NewImage))
		switch {
		case e.EventName != string(lambda.DynamoDBOperationTypeInsert):
			h.passedOver(receiptOf(e), "it was changed") // nobody may
		case err != nil:
			h.passedOver(receiptOf(e), "it does not decode")
		default:
			made, ok, err := events.Of(r)
			if err != nil {
				h.passedOver(r.Receipt, err.Error())
			}
			if ok {
				all = append(all, placed{made, r.Receipt, e.Change.SequenceNumber})
			}
		}
	}
	return all
}

// passedOver reports a record that should have been told and is not.
func (h *Handler) passedOver(receipt, why string) {
	h.log.Error("a record is not told", "receipt", broker.Digest("receipt", receipt), "cause", why, string(telemetry.EventsNotTold), 1)
}

func receiptOf(e lambda.DynamoDBEventRecord) string {
	if pk := e.Change.Keys["pk"]; pk.DataType() == lambda.DataTypeString {
		return pk.String()
	}
	return ""
}
