package handler

import (
	"context"
	"errors"
	"net/http"

	"bindery/shared/admin"
	"bindery/shared/telemetry"
)

// fail answers for what failed outside of the operations.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(fault(err))
	h.logFailure(r.Context(), p)
	writeProblem(w, p)
}

// logFailure logs a failure that is not the caller's.
func (h *Handler) logFailure(ctx context.Context, p *Problem) {
	if p.Status >= http.StatusInternalServerError {
		line := []any{"receipt", callerOf(ctx).Receipt, "status", p.Status, "cause", failureOf(p.cause)}
		if errors.Is(p.cause, admin.ErrUnrecorded) {
			line = append(line, string(telemetry.AuditFailures), 1)
		}
		h.log.Error("request failed", line...)
	}
}

// failureOf is a cause in words that hold no value.
func failureOf(err error) string {
	return admin.Cause(err, func(err error) bool { return kindOf(err) != internal })
}
