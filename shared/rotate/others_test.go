package rotate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

var errBad = errors.New("made-up: the row does not decode")

// spoilt is tables in which the latest run of one subject cannot be read, and the
// list of due runs has a row that does not decode.
type spoilt struct {
	broker.Rotations
	subject string
	rows    int
}

func (s spoilt) Rotation(ctx context.Context, environment, subject string) (broker.Rotation, error) {
	if subject == s.subject {
		return broker.Rotation{}, errBad
	}
	return s.Rotations.Rotation(ctx, environment, subject)
}

func (s spoilt) DueRotations(ctx context.Context, environment string, now time.Time, limit int) ([]broker.Rotation, error) {
	due, err := s.Rotations.DueRotations(ctx, environment, now, limit)
	if err == nil && s.rows > 0 {
		err = &broker.PassedOver{Rows: s.rows, Err: errBad}
	}
	return due, err
}

// TestWhatCannotBeReadIsInNobodyElsesWay: a plan that cannot be begun keeps no run
// from being gone on with, and neither does a row that does not decode. Both are
// told.
func TestWhatCannotBeReadIsInNobodyElsesWay(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.wait(time.Hour) // the grace is over: the run is due
	e := w.engine()
	e.Runs = spoilt{e.Runs, ofToken, 2}
	report, err := e.Run(t.Context())
	if !errors.Is(err, errBad) || !strings.Contains(err.Error(), "begin a rotation by the plan ") {
		t.Errorf("the plan: %v", err)
	}
	if report.Worked != 1 || report.Unread != 2 || !report.Done {
		t.Errorf("%+v", report)
	}
	if r := w.latest(ofToken); r.Step != broker.RotationOver {
		t.Errorf("%+v", r)
	}
}
