package stack

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	rotation "bindery/functions/rotation/handler"
)

// Rotation is the rotation function of the deployment.
func (d *Deployment) Rotation(log *slog.Logger) *rotation.Handler {
	return rotation.New(d.Config, d.as("rotation"), log)
}

// rotationTasks are the tasks of the function's schedule, and how often each is
// done here. Nobody wakes the function when a rotation is asked for, so it looks
// each second.
func rotationTasks() map[string]time.Duration {
	return map[string]time.Duration{"rotate": time.Second, "refresh": time.Minute, "drift": time.Minute}
}

// FollowRotations does what the schedule of a deployment has the rotation function
// do, until ctx ends.
func (d *Deployment) FollowRotations(ctx context.Context, log *slog.Logger) {
	h := d.Rotation(log)
	var all sync.WaitGroup
	for task, pause := range rotationTasks() {
		all.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					_, _ = h.Handle(ctx, json.RawMessage(`{"task": "`+task+`"}`)) // it is in the log; the next one tries again
				}
			}
		})
	}
	all.Wait()
}
