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
	if f := x.header(ctx, response); f != nil {
		x.fail(*f)
		return
	}
	x.result.Reason, x.result.Status = "", response.StatusCode
	x.w.WriteHeader(response.StatusCode)
	_ = http.NewResponseController(x.w).Flush()
	out := newLive(x.w, x.silentlyAbandoned)
	defer out.stop()

	events := mcp.NewEventReader(response.Body, int(x.maxAnswer))
	answered := x.message.Kind != mcp.Request
	for {
		event, err := events.Next()
		if err == nil {
			err = ctx.Err() // what has arrived before a revocation does not leave after it
		}
		if err != nil {
			x.end(ctx, out, err, answered)
			return
		}
		data := event.Data()
		text, f := x.event(ctx, &event, data)
		if f != nil {
			x.last(out, *f, answered)
			return
		}
		answered = answered || mcp.IsResponseTo(data, x.message.ID)
		if !x.message.Modern && event.HasID() && !x.resumable.Swap(true) {
			defer x.follow()()
		}
		if out.write(text) != nil {
			x.abandoned(events)
			return
		}
	}
}

// heardOut reports whether the upstream is listened to until its end although
// nobody reads any more: in the legacy era leaving does not cancel a call. It
// cancels a modern one; a stream without an answer of its own has no end worth
// waiting for; and one with event ids is left, because its reader may come back
// for the rest, which an upstream gives only to one at a time.
func (x *exchange) heardOut() bool {
	return !x.message.Modern && !x.message.Lasting && !x.resumable.Load()
}

// abandoned ends a stream that nobody reads any more.
func (x *exchange) abandoned(events *mcp.EventReader) {
	x.result.Reason = broker.CallerGone
	for err := error(nil); err == nil && x.heardOut(); {
		_, err = events.Next()
	}
}

// silentlyAbandoned is the same, found out while the upstream is silent.
func (x *exchange) silentlyAbandoned() {
	if !x.heardOut() {
		x.leave(errCallerGone)
	}
}

// event masks one event. The bytes of an event without a secret are relayed as
// they came. Otherwise its data is masked as the JSON text it is, and then
// what stands around it: a secret that a line break inside the event splits
// shows only in the joined data, one in a comment only outside.
func (x *exchange) event(ctx context.Context, event *mcp.Event, data []byte) (out []byte, f *failure) {
	edited, changed, err := x.message.EditResult(data, x.sees(ctx))
	switch {
	case err != nil:
		return nil, &failure{notMCP, broker.UpstreamMalformed}
	case ctx.Err() != nil:
		f := breakOf(ctx, ctx.Err())
		return nil, &f
	}
	if changed {
		event = &mcp.Event{Raw: event.WithData(edited)}
		data = event.Data()
	}
	out, found := x.masker.Bytes(event.Raw)
	if found == 0 && event.DataLines() <= 1 {
		return out, nil
	}
	masked, inData := x.masker.Bytes(data)
	if found == 0 && inData == 0 {
		return event.Raw, nil
	}
	out, around := x.masker.Bytes(event.WithData(masked))
	if around > 0 && event.HasID() || inData > 0 && x.leaks(data) {
		return nil, &failure{wouldLeak, broker.AnswerWouldLeak} // an event id is what a client resumes with
	}
	x.result.Masked += inData + around
	return out, nil
}

// end handles the end of the upstream's stream. A caller who can come back for
// the rest is not told that it will not come, also where the connection broke.
func (x *exchange) end(ctx context.Context, out *live, err error, answered bool) {
	if errors.Is(err, io.EOF) && (answered || x.resumable.Load()) {
		return
	}
	f := breakOf(ctx, err)
	x.last(out, f, answered || x.resumable.Load() && f.reason == broker.UpstreamBroke)
}

// last writes the synthetic error that takes the answer's place. A message
// that waits for no answer, or has its answer already, gets none: two answers
// to one request are none a client could trust.
func (x *exchange) last(out *live, f failure, answered bool) {
	x.result.Reason = f.reason
	if !answered {
		_ = out.write(mcp.ErrorEvent(x.message.ID, f.problem.Code, f.problem.Text))
	}
}
