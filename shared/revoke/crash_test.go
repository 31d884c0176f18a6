package revoke_test

import (
	"errors"
	"sync"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/revoke"
)

// steps is how many times a stop, or a lifting, asks storage for something.
const steps = 5

// TestADeathAtAnyStepEndsInTheSameState: a process dies before or after each step
// of a stop. Whoever asks again, under the same id or another, ends it.
func TestADeathAtAnyStepEndsInTheSameState(t *testing.T) {
	points := 0
	for step := 1; step <= steps; step++ {
		for _, applied := range []bool{false, true} {
			for _, again := range []int{1, 2} {
				points++
				f := newFixture(t)
				d := &dying{f.tables, step, applied}
				a, err := revoker(d, d, d, d).Revoke(t.Context(), order(1))
				if d.left > 0 {
					t.Fatalf("it takes fewer than %d steps", step)
				}
				if err == nil && (!f.marker().Revoked || a.Recorded) {
					t.Errorf("step %d: %+v was acknowledged by one who died", step, a)
				}
				if err != nil && !errors.Is(err, errDied) {
					t.Fatal(err)
				}
				b := f.must(f.Revoke(t.Context(), order(again)))
				if !b.Recorded || !b.Revoked || b.Epoch != 1 {
					t.Errorf("step %d, applied %t: asked again: %+v", step, applied, b)
				}
				f.settled(1, true)
			}
		}
	}
	f := newFixture(t)
	d := &dying{f.tables, steps + 1, false}
	if a, err := revoker(d, d, d, d).Revoke(t.Context(), order(1)); err != nil || !a.Recorded || d.left != 1 {
		t.Errorf("it takes another number of steps than %d: %d left, %v", steps, d.left, err)
	}
	t.Logf("%d crash points tried", points)
}

// TestADeathAtAnyStepOfALifting, likewise.
func TestADeathAtAnyStepOfALifting(t *testing.T) {
	for step := 1; step <= steps; step++ {
		for _, applied := range []bool{false, true} {
			f := newFixture(t)
			f.must(f.Revoke(t.Context(), order(1)))
			d := &dying{f.tables, step, applied}
			if _, err := revoker(d, d, d, d).Lift(t.Context(), lifting(2, 1)); err != nil && !errors.Is(err, errDied) || d.left > 0 {
				t.Fatalf("step %d: %v", step, err)
			}
			if b := f.must(f.Lift(t.Context(), lifting(3, 1))); !b.Recorded || b.Revoked || b.Epoch != 2 {
				t.Errorf("step %d, applied %t: asked again: %+v", step, applied, b)
			}
			f.settled(2, false)
		}
	}
	t.Logf("%d crash points tried", 2*steps)
}

// TestLostAnswersAreNoSecondStop, at any write.
func TestLostAnswersAreNoSecondStop(t *testing.T) {
	f := newFixture(t)
	for _, op := range []memory.Op{memory.PutMarker, memory.AddRevocation, memory.Append} {
		f.tables.Inject(op, memory.Lose(), memory.Lose())
	}
	a := f.must(f.Revoke(t.Context(), order(1)))
	if a.Epoch != 1 || a.Already || !a.Recorded || a.Case != id(1) {
		t.Errorf("acknowledged as %+v", a)
	}
	f.settled(1, true)
}

// TestTwoStopsAtOnceAreOne: all are acknowledged, with the one case there is.
func TestTwoStopsAtOnceAreOne(t *testing.T) {
	const many = 16
	f := newFixture(t)
	acknowledged, errs := make([]revoke.Acknowledgement, many), make([]error, many)
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() { acknowledged[i], errs[i] = f.Revoke(t.Context(), order(i)) })
	}
	all.Wait()
	first := 0
	for i, a := range acknowledged {
		if errs[i] != nil || a.Case != acknowledged[0].Case || a.Epoch != 1 || !a.Recorded {
			t.Errorf("request %d: %+v, %v", i, a, errs[i])
		}
		if !a.Already {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d were the first", first)
	}
	f.settled(1, true)
}

// TestAStopAndALiftingAtOnce: whatever their order, what stands is what the later
// of them said, and everything acknowledged has its case.
func TestAStopAndALiftingAtOnce(t *testing.T) {
	for round := range 50 {
		f := newFixture(t)
		f.must(f.Revoke(t.Context(), order(1)))
		var lifted, stopped revoke.Acknowledgement
		var liftErr, stopErr error
		var both sync.WaitGroup
		both.Go(func() { lifted, liftErr = f.Lift(t.Context(), lifting(2, 1)) })
		both.Go(func() { stopped, stopErr = f.Revoke(t.Context(), order(3)) })
		both.Wait()
		if liftErr != nil || stopErr != nil || lifted.Epoch != 2 {
			t.Fatalf("round %d: %+v %v, %+v %v", round, lifted, liftErr, stopped, stopErr)
		}
		switch stopped.Epoch {
		case 1: // it was stopped already
			f.settled(2, false)
		case 3:
			f.settled(3, true)
		default:
			t.Errorf("round %d: stopped at %d", round, stopped.Epoch)
		}
	}
}

// TestNothingIsAcknowledgedUnlessTheMarkerStands: the table of markers is down,
// for reading or for writing.
func TestNothingIsAcknowledgedUnlessTheMarkerStands(t *testing.T) {
	for _, op := range []memory.Op{memory.PutMarker, memory.ReadMarkers, memory.ReadRevocation} {
		f := newFixture(t)
		for range 20 {
			f.tables.Inject(op, memory.Refuse())
		}
		if a, err := f.Revoke(t.Context(), order(1)); !errors.Is(err, broker.ErrUnavailable) || a != (revoke.Acknowledgement{}) {
			t.Errorf("%s: %+v, %v", op, a, err)
		}
		f.tables.Clear()
		if f.marker().Revoked || len(f.cases()) != 0 {
			t.Errorf("%s: it left %+v", op, f.marker())
		}
	}
}

// TestNoAuditHoldsUpAStop: the marker is written, the answer says what is missing,
// and asking again makes up for it.
func TestNoAuditHoldsUpAStop(t *testing.T) {
	for _, op := range []memory.Op{memory.Append, memory.AddRevocation} {
		f := newFixture(t)
		for range 20 {
			f.tables.Inject(op, memory.Refuse())
		}
		a := f.must(f.Revoke(t.Context(), order(1)))
		if a.Recorded || !errors.Is(a.Unrecorded, broker.ErrUnavailable) || !f.marker().Revoked {
			t.Errorf("%s: %+v", op, a)
		}
		f.tables.Clear()
		if b := f.must(f.Revoke(t.Context(), order(1))); !b.Recorded || b.Case != a.Case {
			t.Errorf("%s: asked again: %+v", op, b)
		}
		f.settled(1, true)
	}
}
