package handler

import (
	"context"

	"bindery/shared/rotate"
	"bindery/shared/telemetry"
)

// Rotations begins what is due by its plan, and goes on with what is due.
type Rotations interface {
	Run(ctx context.Context) (rotate.Report, error)
}

// rotate goes on with all rotations as long as there is something to do and time
// to do it.
func (h *Handler) rotate(ctx context.Context) (any, error) {
	report, err := h.rotations.Run(ctx)
	if report.Unread > 0 {
		h.log.Error("rows of rotations do not decode: they are not gone on with", string(telemetry.RowsUnreadable), report.Unread)
	}
	if err != nil {
		h.log.Error("rotations could not be gone on with", "begun", report.Begun, "worked", report.Worked, "cause", err.Error())
		return nil, err
	}
	h.log.Info("rotations gone on with", "begun", report.Begun, "worked", report.Worked, "ended", report.Ended, "done", report.Done, string(telemetry.RotationRuns), 1)
	return report, nil
}
