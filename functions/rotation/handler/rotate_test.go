package handler

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/rotate"
)

// turning is what a run of the engine comes to.
type turning struct {
	report rotate.Report
	fault  error
	left   time.Duration // of the context
}

func (r *turning) Run(ctx context.Context) (rotate.Report, error) {
	if end, bounded := ctx.Deadline(); bounded {
		r.left = time.Until(end)
	}
	return r.report, r.fault
}

func TestRotationsThatCannotBeReadFailTheRun(t *testing.T) {
	h, log := newHandler(nil)
	h.rotations = &turning{report: rotate.Report{Begun: 1}, fault: broker.ErrUnavailable}
	if got, err := h.Handle(t.Context(), json.RawMessage(`{"task":"rotate"}`)); !errors.Is(err, broker.ErrUnavailable) || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if !strings.Contains(log.String(), `"begun":1`) {
		t.Errorf("logged %s", log)
	}
}

func TestRotationsThatDoNotDecodeAreTold(t *testing.T) {
	h, log := newHandler(nil)
	h.rotations = &turning{report: rotate.Report{Worked: 1, Unread: 2}}
	if _, err := h.Handle(t.Context(), json.RawMessage(`{"task":"rotate"}`)); err != nil || !strings.Contains(log.String(), `"level":"ERROR"`) || !strings.Contains(log.String(), `"RowsUnreadable":2`) {
		t.Errorf("%v, logged %s", err, log)
	}
}

func TestRotationsEndBeforeTheInvocation(t *testing.T) {
	h, _ := newHandler(nil)
	r := &turning{}
	h.rotations = r
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := h.Handle(ctx, json.RawMessage(`{"task":"rotate"}`)); err != nil || r.left == 0 || r.left > time.Hour-reserve {
		t.Errorf("%v left of an hour, %v", r.left, err)
	}
}
