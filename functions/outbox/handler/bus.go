package handler

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"bindery/shared/awsfault"
	"bindery/shared/broker"
	"bindery/shared/events"
)

// bridge is a bus of EventBridge.
type bridge struct {
	client *eventbridge.Client
	name   string
}

// Send implements Bus.
func (b bridge) Send(ctx context.Context, some []events.Event) ([]error, error) {
	const doing = "put events"
	in := &eventbridge.PutEventsInput{}
	for _, e := range some {
		in.Entries = append(in.Entries, types.PutEventsRequestEntry{EventBusName: &b.name, Source: aws.String(events.Source),
			DetailType: aws.String(e.Type), Detail: aws.String(string(e.Detail)), Time: aws.Time(e.Time)})
	}
	out, err := b.client.PutEvents(ctx, in)
	if err != nil {
		return nil, awsfault.Of(err).Wrap(doing, broker.ErrUnavailable)
	}
	if len(out.Entries) != len(some) {
		return nil, fmt.Errorf("%s: %w: the answer is not one for each event", doing, broker.ErrUnavailable)
	}
	faults := make([]error, len(some))
	for i, entry := range out.Entries {
		faults[i] = entryFault(doing, entry)
	}
	return faults, nil
}

// entryFault reads the answer to one event. Only what is wrong with the event
// itself will never be taken; a bus that lets nobody in may be set right.
func entryFault(doing string, entry types.PutEventsResultEntry) error {
	switch code := aws.ToString(entry.ErrorCode); {
	case code == "" && aws.ToString(entry.EventId) != "":
		return nil
	case code == "":
		return fmt.Errorf("%s: %w: neither taken nor refused", doing, broker.ErrUnavailable)
	case code == "InvalidArgument", code == "MalformedDetail":
		return fmt.Errorf("%s: %w: %s", doing, ErrRefused, code)
	default:
		return fmt.Errorf("%s: %w: %s", doing, broker.ErrUnavailable, awsfault.Code(code))
	}
}
