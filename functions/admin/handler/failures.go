package handler

import (
	"context"
	"net/http"

	"bindery/shared/admin"
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
		h.log.Error("request failed", "receipt", callerOf(ctx).Receipt, "status", p.Status, "cause", failureOf(p.cause))
	}
}

// failureOf is a cause in words that hold no value.
func failureOf(err error) string {
	return admin.Cause(err, func(err error) bool { return kindOf(err) != internal })
}
