package handler

import (
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/telemetry"
)

// TestACallThatIsNamedLikeAFactIsCountedAsNone: the method of a call is its caller's
// to choose, and must wake nobody.
func TestACallThatIsNamedLikeAFactIsCountedAsNone(t *testing.T) {
	for action, want := range map[broker.Action]int{broker.ActOfItself: 1, broker.CallTool: 0, broker.Administer: 0} {
		c := counts{}
		c.add([]broker.Record{{At: noon, Action: action, Method: string(broker.GrantDied)}}, noon)
		if c[telemetry.GrantsDead] != want {
			t.Errorf("%s: counted %d times, want %d", action, c[telemetry.GrantsDead], want)
		}
	}
}

// TestAnIntentThatALookMayBePassingMarksItsPlaceOnce: clocks may be apart, and the
// place moves no further back with every intent. Another environment's moves nothing.
func TestAnIntentThatALookMayBePassingMarksItsPlaceOnce(t *testing.T) {
	f := newFixture()
	f.looks(t)
	foreign := at(broker.IntentOverdue-time.Minute, 9, broker.Intent)
	foreign[0].Environment = "dev"
	for i, c := range []struct {
		indexed []broker.Record
		moved   int
	}{{foreign, 0}, {at(broker.IntentOverdue-skew/2, 1, broker.Intent), 1}, {at(broker.IntentOverdue-skew/2, 2, broker.Intent), 0}} {
		before := f.tables.Calls(memory.MoveLooked)
		if err := f.lookAgain(t.Context(), c.indexed); err != nil || f.tables.Calls(memory.MoveLooked)-before != c.moved {
			t.Errorf("%d: %v; moved %d times, want %d", i, err, f.tables.Calls(memory.MoveLooked)-before, c.moved)
		}
	}
}
