package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
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

// failureOf is a cause in words that hold no value. An error that comes to
// nothing but known faults was put into words here. Of any other, which may say
// anything, only the types are told.
func failureOf(err error) string {
	types, foreseen := typesOf(err)
	if foreseen {
		return err.Error()
	}
	return strings.Join(types, ", ")
}

// typesOf gives the types of an error and of all that it wraps, and reports
// whether it comes to known faults alone.
func typesOf(err error) (types []string, foreseen bool) {
	types = []string{fmt.Sprintf("%T", err)}
	var wrapped []error
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		wrapped = several.Unwrap()
	} else if one := errors.Unwrap(err); one != nil {
		wrapped = []error{one}
	}
	if len(wrapped) == 0 {
		return types, kindOf(err) != internal
	}
	foreseen = true
	for _, w := range wrapped {
		more, known := typesOf(w)
		types, foreseen = append(types, more...), foreseen && known
	}
	return types, foreseen
}
