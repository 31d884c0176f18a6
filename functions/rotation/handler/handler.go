// Package handler is the rotation function: on a schedule it refreshes the
// grants whose access tokens end soon, by the very protocol by which calls do,
// so that calls seldom have to.
//
// It is never needed: a grant that it did not get to is refreshed by the next
// call. It asks no provider that no card in use names, gives nothing that it
// refreshed to anybody, and logs counts alone.
package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
)

// Grants refreshes what is due.
type Grants interface {
	RefreshDue(ctx context.Context, environment string, before time.Time, limit int) (credential.Prefetched, error)
}

// Handler answers Lambda. It is safe for concurrent use; runs at the same time
// leave each other's grants alone.
type Handler struct {
	grants      Grants
	environment string
	log         *slog.Logger
	now         func() time.Time
}

const (
	// ahead is how long before its end a token is replaced: two runs of the
	// schedule, so that one that fails costs nothing.
	ahead = 10 * time.Minute
	// batch is how many grants are listed at once, longest due first.
	batch = broker.MaxPage
	// reserve is what of an invocation is kept to bring to its end what is begun.
	reserve = 30 * time.Second
)

var (
	errEvent = errors.New("the event is not the schedule's")
	errPanic = errors.New("the function failed")
)

// Report is what a run did.
type Report struct {
	Refreshed int  `json:"refreshed"`
	Left      int  `json:"left"` // of the last batch: others have them, they cool, died, or nothing uses them
	Done      bool `json:"done"` // false: the time was over, or what was left hides more
}

// Handle takes {"task": "refresh"}, as the schedule sends it.
func (h *Handler) Handle(ctx context.Context, event json.RawMessage) (report Report, err error) {
	defer func() {
		if v := recover(); v != nil { // the runtime would print the value, which may hold anything
			h.log.Error("handler panicked", "type", fmt.Sprintf("%T", v))
			report, err = Report{}, errPanic
		}
	}()
	var asked struct{ Task string }
	d := json.NewDecoder(bytes.NewReader(event))
	d.DisallowUnknownFields()
	if d.Decode(&asked) != nil || asked.Task != "refresh" {
		return Report{}, errEvent
	}
	return h.refresh(ctx)
}

// refresh goes on, a batch at a time, as long as there is something to do and
// time to do it.
func (h *Handler) refresh(ctx context.Context) (Report, error) {
	if end, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-reserve))
		defer cancel()
	}
	var report Report
	before := h.now().Add(ahead).UTC()
	for {
		done, err := h.grants.RefreshDue(ctx, h.environment, before, batch)
		report.Refreshed, report.Left = report.Refreshed+done.Refreshed, done.Left
		switch {
		case err != nil && ctx.Err() == nil:
			h.log.Error("grants could not be refreshed", "refreshed", report.Refreshed, "left", report.Left, "cause", err.Error())
			return Report{}, err
		case err != nil || done.Refreshed == 0 || done.Refreshed+done.Left < batch:
			report.Done = err == nil && done.Refreshed+done.Left < batch
			h.log.Info("grants refreshed ahead of time", "refreshed", report.Refreshed, "left", report.Left, "done", report.Done)
			return report, nil
		}
	}
}
