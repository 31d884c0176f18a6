package handler

import (
	"context"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/telemetry"
)

// Grants refreshes what is due.
type Grants interface {
	RefreshDue(ctx context.Context, environment string, before time.Time, limit int) (credential.Prefetched, error)
}

const (
	// ahead is how long before its end a token is replaced: two runs of the
	// schedule, so that one that fails costs nothing.
	ahead = 10 * time.Minute
	// batch is how many grants are listed at once, longest due first.
	batch = broker.MaxPage
)

// Refreshed is what a run of the task did.
type Refreshed struct {
	Refreshed int  `json:"refreshed"`
	Left      int  `json:"left"`             // of the last batch: others have them, they cool, died, or nothing uses them
	Done      bool `json:"done"`             // false: the time was over, or what was left hides more
	Unread    int  `json:"unread,omitempty"` // rows of grants that do not decode
}

// refresh goes on, a batch at a time, as long as there is something to do and
// time to do it. A grant that it does not get to is refreshed by the next call.
func (h *Handler) refresh(ctx context.Context) (any, error) {
	var report Refreshed
	before := h.now().Add(ahead).UTC()
	for {
		done, err := h.grants.RefreshDue(ctx, h.environment, before, batch)
		report.Refreshed, report.Left, report.Unread = report.Refreshed+done.Refreshed, done.Left, max(report.Unread, done.Unread)
		switch {
		case err != nil && ctx.Err() == nil:
			h.log.Error("grants could not be refreshed", "refreshed", report.Refreshed, "left", report.Left, "cause", err.Error())
			return nil, err
		case err != nil || done.Refreshed == 0 || done.Refreshed+done.Left < batch:
			if report.Unread > 0 {
				h.log.Error("rows of grants do not decode: they are not refreshed", string(telemetry.RowsUnreadable), report.Unread)
			}
			report.Done = err == nil && done.Refreshed+done.Left < batch
			h.log.Info("grants refreshed ahead of time", "refreshed", report.Refreshed, "left", report.Left, "done", report.Done, string(telemetry.RefreshRuns), 1)
			return report, nil
		}
	}
}
