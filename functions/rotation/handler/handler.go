// Package handler is the rotation function: what changes credentials, and looks
// after them, outside of any call. Each task is one row of a table; the
// schedule names it.
//
// No call waits for any of it. It gives nothing that it reads, makes or
// refreshes to anybody but the upstream, provider or store it is for, and logs
// counts and words of its own.
package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"bindery/shared/broker"
	"bindery/shared/start"
	"bindery/shared/stores/awssm"
)

// Handler answers Lambda. It is safe for concurrent use; runs at the same time
// leave each other's work alone.
type Handler struct {
	grants      Grants
	drift       Drift
	rotations   Rotations
	incidents   Incidents
	journal     *broker.Journal
	sealed      reencryption
	managed     managed
	account     awssm.Account
	environment string
	log         *slog.Logger
	now         func() time.Time
}

// task is what an event asks for. Its context ends before the invocation does;
// its answer is JSON without secrets.
type task func(ctx context.Context) (any, error)

// tasks are those of the schedule, by name.
func (h *Handler) tasks() map[string]task {
	return map[string]task{
		"refresh": h.refresh,
		"drift":   h.scan,
		"rotate":  h.rotate,
	}
}

// forms are the kinds of event that the function takes. Each gives the task
// that an event of its kind asks for, or nil for any other.
func (h *Handler) forms() []func(event json.RawMessage) task {
	return []func(json.RawMessage) task{h.scheduled, h.reencrypting, h.step, h.stored}
}

// reserve is what of an invocation is kept to bring to its end what is begun.
const reserve = 30 * time.Second

var (
	errEvent = errors.New("the event is none that this function takes")
)

// Handle does what the event asks for.
func (h *Handler) Handle(ctx context.Context, event json.RawMessage) (answer any, err error) {
	defer start.Guard(h.log, &err)
	if end, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-reserve))
		defer cancel()
	}
	for _, form := range h.forms() {
		if do := form(event); do != nil {
			return do(ctx)
		}
	}
	return nil, errEvent
}

// scheduled reads {"task": "refresh"}, as the schedule sends it.
func (h *Handler) scheduled(event json.RawMessage) task {
	var asked struct{ Task string }
	d := json.NewDecoder(bytes.NewReader(event))
	d.DisallowUnknownFields()
	if d.Decode(&asked) != nil {
		return nil
	}
	return h.tasks()[asked.Task]
}
