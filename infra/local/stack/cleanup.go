package stack

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	cleanup "bindery/functions/cleanup/handler"
)

// Cleanup is the cleanup function of the deployment.
func (d *Deployment) Cleanup(log *slog.Logger) *cleanup.Handler {
	return cleanup.New(d.Config, d.as("cleanup"), log)
}

// cleanupPause is how often the schedule of a deployment goes on with what
// revocations have left to do.
const cleanupPause = time.Minute

// FollowRevocations does what follows revocations until ctx ends: from the
// beginning of the table's stream, and by the minute.
func (d *Deployment) FollowRevocations(ctx context.Context, log *slog.Logger) {
	h := d.Cleanup(log)
	var both sync.WaitGroup
	both.Go(func() { d.Follow(ctx, log, d.Config.Tables.Revocations, h.Handle) })
	both.Go(func() {
		for tick := time.NewTicker(cleanupPause); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				_, _ = h.Handle(ctx, json.RawMessage(`{"task": "continue"}`)) // it is in the log; the next one tries again
			}
		}
	})
	both.Wait()
}
