package handler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// TestARowThatDoesNotDecodeHoldsUpNoLook: the intents beside it are found, it is
// counted in the answer and in the metric, and the look is done. Indexed anew it is
// looked at, too.
func TestARowThatDoesNotDecodeHoldsUpNoLook(t *testing.T) {
	f := newFixture()
	bad, good := at(3*time.Hour, 1, broker.Intent), at(2*time.Hour, 2, broker.Intent)
	f.happened(t, false, append(bad, good...)...)
	if err := f.tables.Spoil("prod", bad[0]); err != nil {
		t.Fatal(err)
	}
	if l := f.looks(t); !l.Done || l.Without != 1 || l.Unread != 1 {
		t.Errorf("%+v", l)
	}
	if d := cmp.Diff([]string{good[0].Receipt}, f.told(t)); d != "" {
		t.Error(d)
	}
	if log := f.log.String(); !strings.Contains(log, `"RowsUnreadable":1`) || !strings.Contains(log, `"IntentRuns":1`) {
		t.Error(log)
	}
	f.tables.Mend()
	f.table.rows = bad
	if _, err := f.ask(t, `{"rebuild":{"segment":0,"segments":1}}`); err != nil {
		t.Fatal(err)
	}
	if l := f.looks(t); !l.Done || l.Without != 1 || l.Unread != 0 || len(f.told(t)) != 2 {
		t.Errorf("indexed anew: %+v, told %v", l, f.told(t))
	}
}

// misplaced is an index in which the place of the look does not decode.
type misplaced struct{ broker.IntentWatch }

func (misplaced) Looked(context.Context, string) (time.Time, error) {
	return time.Time{}, fmt.Errorf("read how far intents were looked at: %w", broker.ErrUndecodable)
}

// TestAPlaceThatDoesNotDecodeHoldsUpNoIndexing, and no look takes it for the
// beginning.
func TestAPlaceThatDoesNotDecodeHoldsUpNoIndexing(t *testing.T) {
	f := newFixture()
	f.intents = misplaced{f.tables}
	f.table.rows = at(3*time.Hour, 1, broker.Intent)
	if _, err := f.ask(t, `{"rebuild":{"segment":0,"segments":1}}`); err != nil || len(f.entries(t)) != 1 {
		t.Errorf("%v, %d entries", err, len(f.entries(t)))
	}
	if _, err := f.ask(t, lookEvent); !errors.Is(err, broker.ErrUndecodable) || !strings.Contains(f.log.String(), `"RowsUnreadable":1`) {
		t.Errorf("%v\n%s", err, f.log)
	}
}
