package handler

import (
	"context"
	"errors"

	lambda "github.com/aws/aws-lambda-go/events"

	"bindery/shared/events"
)

// deliver sends events in the order of their records, and stops at the first that
// may be taken later: it comes again with all that follow, of which some may
// have been taken already.
func (h *Handler) deliver(ctx context.Context, all []placed) lambda.DynamoDBEventResponse {
	told, refused := 0, 0
	for rest := all; len(rest) > 0; {
		n := fitting(rest)
		faults, err := h.send(ctx, rest[:n])
		for i, fault := range faults {
			switch {
			case errors.Is(fault, ErrRefused):
				refused++
				h.passedOver(rest[i].receipt, fault.Error())
			case fault != nil && err == nil:
				err = fault
				rest = rest[i:] // from here on
			case err == nil:
				told++
			}
		}
		if err != nil {
			h.log.Error("events could not be sent", "told", told, "left", len(rest), "cause", err.Error())
			return lambda.DynamoDBEventResponse{BatchItemFailures: []lambda.DynamoDBBatchItemFailure{{ItemIdentifier: rest[0].sequence}}}
		}
		rest = rest[n:]
	}
	if len(all) > 0 {
		h.log.Info("events sent", "told", told, "refused", refused)
	}
	return lambda.DynamoDBEventResponse{BatchItemFailures: []lambda.DynamoDBBatchItemFailure{}}
}

func (h *Handler) send(ctx context.Context, some []placed) ([]error, error) {
	plain := make([]events.Event, len(some))
	for i, p := range some {
		plain[i] = p.Event
	}
	return h.bus.Send(ctx, plain)
}

// fitting is how many of the events, from the first on, a bus takes at once.
func fitting(rest []placed) int {
	n, size := 0, 0
	for n < len(rest) && n < MaxTogether && (n == 0 || size+rest[n].Size() <= MaxBytes) {
		size += rest[n].Size()
		n++
	}
	return n
}
