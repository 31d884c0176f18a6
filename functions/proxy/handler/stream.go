package handler

import (
	"context"
	"errors"
	"io"
	"net/http"

	"bindery/shared/broker"
	"bindery/shared/mcp"
)

// stream relays Server-Sent Events one by one: each event leaves, masked, when
// its blank line has arrived, while the upstream is still writing. A stream
// that ends without the answer the caller waits for ends with a JSON-RPC error
// in its place, because clients otherwise wait for ever; a legacy stream with
// event ids may end early by its own rules and is left alone.
func (x *exchange) stream(ctx context.Context, response *http.Response) {
	if !x.header(response) {
		x.fail(failure{wouldLeak, broker.AnswerWouldLeak})
		return
	}
	x.result.Reason, x.result.Status = "", response.StatusCode
	x.w.WriteHeader(response.StatusCode)
	flush := http.NewResponseController(x.w)
	_ = flush.Flush()

	events := mcp.NewEventReader(response.Body, int(x.maxAnswer))
	answered, resumable := x.message.Kind != mcp.Request, false
	for {
		event, err := events.Next()
		if err != nil {
			x.end(ctx, err, answered, resumable && !x.message.Modern)
			break
		}
		out, ok := x.event(&event)
		if !ok {
			x.last(failure{wouldLeak, broker.AnswerWouldLeak}, answered)
			break
		}
		answered = answered || mcp.IsResponseTo(event.Data(), x.message.ID)
		resumable = resumable || event.HasID()
		_, err = x.w.Write(out)
		if err == nil {
			err = flush.Flush()
		}
		if err != nil {
			x.abandoned(events)
			return
		}
	}
	_ = flush.Flush()
}

// abandoned ends a stream that nobody reads any more. In the legacy era that
// does not cancel the call, so the upstream is heard out, within the call's
// time; in the modern era it does.
func (x *exchange) abandoned(events *mcp.EventReader) {
	x.result.Reason = broker.CallerGone
	for err := error(nil); err == nil && !x.message.Modern; {
		_, err = events.Next()
	}
}

// event masks one event. The bytes of an event without a secret are relayed as
// they came. Otherwise its data is masked as the JSON text it is, and then
// what stands around it: a secret that a line break inside the event splits
// shows only in the joined data, one in a comment only outside.
func (x *exchange) event(event *mcp.Event) (out []byte, ok bool) {
	out, found := x.masker.Bytes(event.Raw)
	if found == 0 && event.DataLines() <= 1 {
		return out, true
	}
	data := event.Data()
	masked, inData := x.masker.Bytes(data)
	if found == 0 && inData == 0 {
		return event.Raw, true
	}
	out, around := x.masker.Bytes(event.WithData(masked))
	if around > 0 && event.HasID() || inData > 0 && x.leaks(data) {
		return nil, false // an event id is what a client resumes with
	}
	x.result.Masked += inData + around
	return out, true
}

// end handles the end of the upstream's stream.
func (x *exchange) end(ctx context.Context, err error, answered, resumable bool) {
	if errors.Is(err, io.EOF) && (answered || resumable) {
		return
	}
	x.last(breakOf(ctx, err), answered)
}

// last writes the synthetic error that takes the answer's place. A message
// that waits for no answer, or has its answer already, gets none: two answers
// to one request are none a client could trust.
func (x *exchange) last(f failure, answered bool) {
	x.result.Reason = f.reason
	if !answered {
		_, _ = x.w.Write(mcp.ErrorEvent(x.message.ID, f.problem.Code, f.problem.Text))
	}
}
