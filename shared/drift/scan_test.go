package drift

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// settled is a world with two notices that have been told.
func settled(t *testing.T) *world {
	w := newWorld(t)
	for _, name := range []string{"dev", "ops", "qa"} {
		w.card("github", name, "prod/"+name)
	}
	w.vault.set("prod/dev", broker.ErrSecretMissing)
	w.scan()
	w.told()
	w.pass(2 * time.Hour)
	w.vault.set("prod/dev", nil)
	w.vault.set("prod/ops", broker.ErrStoreDenied)
	return w
}

var (
	changedOpen = []string{"denied reference/aws-sm:prod/ops"}
	changedTold = []string{"closed missing reference/aws-sm:prod/dev", "opened denied reference/aws-sm:prod/ops"}
)

// TestAScanThatCrashesAnywhere: whatever operation of whatever number fails, with
// or without effect, the next run ends where one without faults does, and each
// change is told once.
func TestAScanThatCrashesAnywhere(t *testing.T) {
	crashes := 0
	for _, op := range []memory.Op{memory.PutNotice, memory.PutScan, memory.ReadNotice, memory.ListNotices, memory.ReadScan, memory.ListUses,
		memory.ReadBinding, memory.ReadServer, memory.ListStores, memory.ListServers, memory.ListBindings, memory.ScanGrants, memory.ListRotations} {
		for _, fault := range []memory.Fault{memory.Refuse(), memory.Lose()} {
			for step := 0; ; step++ {
				w := settled(t)
				before := w.db.Calls(op)
				w.db.Inject(op, append(make([]memory.Fault, step), fault)...)
				_, err := w.scanner().Run(t.Context())
				if w.db.Calls(op)-before <= step {
					break // it does no such step
				}
				crashes++
				w.db.Clear()
				if err == nil && fault.Before != nil { // an answer that says there is none is not withheld
					t.Errorf("%s %d: the run says that all went well", op, step)
				}
				w.pass(time.Hour) // the hold of a run that died is over, too
				w.scan()
				w.wants(changedOpen, changedTold)
				if t.Failed() {
					t.Fatalf("%s, call %d, %+v", op, step, fault)
				}
			}
		}
	}
	if crashes < 40 {
		t.Errorf("only %d crashes were tried", crashes)
	}
}

// TestAFactThatIsNotStored is told by the next run, and one whose answer was lost
// is not told again.
func TestAFactThatIsNotStored(t *testing.T) {
	fault := fmt.Errorf("made-up: %w", broker.ErrUnavailable)
	for _, lost := range []bool{false, true} {
		w := settled(t)
		fail := func(broker.Record) error { return fault }
		if lost {
			w.log.lose = fail
		} else {
			w.log.fail = fail
		}
		if _, err := w.scanner().Run(t.Context()); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("lost %v: %v", lost, err)
		}
		w.log.lose, w.log.fail = nil, nil
		w.pass(time.Hour)
		w.scan()
		w.wants(changedOpen, changedTold)
	}
}

// TestTwoScansAtOnce: one works, and if both do, each change is told once.
func TestTwoScansAtOnce(t *testing.T) {
	w := settled(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := w.scanner().Run(t.Context()); err != nil && !errors.Is(err, broker.ErrConflict) && !errors.Is(err, broker.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.scan()
	w.wants(changedOpen, changedTold)

	w = settled(t)
	for range 4 { // keepers know nothing of the hold
		all.Go(func() {
			k := w.scanner().keeper(w.now)
			if err := errors.Join(k.Load(t.Context()), k.Gone(t.Context(), broker.NoticeMissing, "reference/aws-sm:prod/dev"),
				k.Found(t.Context(), Finding{Kind: broker.NoticeDenied, Subject: "reference/aws-sm:prod/ops"})); err != nil && !errors.Is(err, errContended) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.wants(changedOpen, changedTold)
}

// TestAnotherRunIsAtWork: whoever comes while it is leaves it alone, until it must
// be dead.
func TestAnotherRunIsAtWork(t *testing.T) {
	w := settled(t)
	row, err := w.scanner().take(t.Context())
	w.must(err)
	if r, err := w.scanner().Run(t.Context()); err != nil || !r.Busy {
		t.Errorf("%+v, %v", r, err)
	}
	w.pass(hold)
	w.scan()
	w.wants(changedOpen, changedTold)
	if err := (&run{Scanner: w.scanner(), row: row, keeper: w.scanner().keeper(w.now)}).came(t.Context(), cardPhase, ""); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("the one that was thought dead goes on: %v", err)
	}
}

// TestTheClockGoesBack, by an hour and by ten years, during a run and between
// runs: nothing is told twice, and nothing stays open that is over.
func TestTheClockGoesBack(t *testing.T) {
	for _, back := range []time.Duration{-time.Minute, -time.Hour, -87600 * time.Hour} {
		w := settled(t)
		w.vault.before = func() { w.pass(back / 4) }
		w.scan()
		w.vault.before = nil
		w.wants(changedOpen, changedTold)
		w.pass(back)
		w.scan()
		w.wants(changedOpen, nothing)
		w.vault.set("prod/ops", nil)
		w.pass(time.Minute)
		w.scan()
		w.wants(nothing, []string{"closed denied reference/aws-sm:prod/ops"})
	}
	w := settled(t)
	_, err := w.scanner().take(t.Context()) // dies, and its clock was ahead by a day
	w.must(err)
	w.pass(-24 * time.Hour)
	w.scan()
	w.wants(changedOpen, changedTold)
}

// TestARoundOfManyRuns: each goes as far as its time lets it, and the sum is one
// round.
func TestARoundOfManyRuns(t *testing.T) {
	w := newWorld(t)
	want := []string{}
	for i := range 450 {
		w.card("github", fmt.Sprint("card-", i), fmt.Sprint("prod/card-", i/2)) // two cards each
		if i%50 == 0 {
			w.vault.set(fmt.Sprint("prod/card-", i/2), broker.ErrSecretMissing)
			want = append(want, fmt.Sprint("missing reference/aws-sm:prod/card-", i/2))
		}
	}
	slices.Sort(want)
	runs := 0
	for done := false; !done; runs++ {
		ctx, cancel := context.WithCancel(t.Context())
		left := 130
		w.vault.before = func() {
			if left--; left == 0 {
				cancel()
			}
		}
		r, err := w.scanner().Run(ctx)
		cancel()
		w.must(err)
		if done = r.Done; runs > 20 {
			t.Fatal("it does not end")
		}
	}
	w.vault.before = nil
	if runs < 2 {
		t.Errorf("%d runs", runs)
	}
	opened := make([]string, 0, len(want))
	for _, n := range want {
		opened = append(opened, "opened "+n)
	}
	w.wants(want, opened)
	w.scan()
	w.wants(want, nothing)
}

// TestAStoreThatIsSlow leaves no time for a whole page: what was looked at counts
// all the same, so that the round ends.
func TestAStoreThatIsSlow(t *testing.T) {
	w := newWorld(t)
	for i := range 30 {
		w.card("github", fmt.Sprint("card-", i), fmt.Sprint("prod/card-", i))
	}
	w.vault.set("prod/card-7", broker.ErrSecretMissing)
	for done, runs := false, 0; !done; runs++ {
		if runs > 20 {
			t.Fatal("it does not end")
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := 4
		w.vault.before = func() {
			if left--; left == 0 {
				cancel()
			}
		}
		r, err := w.scanner().Run(ctx)
		cancel()
		w.must(err)
		done = r.Done
	}
	w.vault.before = nil
	is := "missing reference/aws-sm:prod/card-7"
	w.wants([]string{is}, []string{"opened " + is})
}

// TestWhatIsNotLive is not looked at: no card, no server, another origin.
func TestWhatIsNotLive(t *testing.T) {
	w := newWorld(t)
	w.server("jira")
	suspended, moved, deleted, once := w.card("github", "suspended", "prod/a"), w.card("github", "moved", "prod/b"), w.card("jira", "gone", "prod/c"), w.card("github", "once", "prod/d")
	w.must(w.db.PutServer(t.Context(), broker.Server{Environment: prod, Name: "jira", Version: 1, State: broker.Deleted, Owner: "x", URL: "https://jira.example.com/mcp"}))
	suspended.State, moved.Origin, once.Fields = broker.Suspended, strings.Repeat("a", len(moved.Origin)), nil
	for _, b := range []broker.Binding{suspended, moved, once} {
		w.must(w.db.PutBinding(t.Context(), b))
	}
	_ = deleted
	for _, path := range []string{"prod/a", "prod/b", "prod/c", "prod/d"} {
		w.vault.set(path, broker.ErrSecretMissing)
	}
	w.scan()
	w.wants(nothing, nothing)
	if w.vault.fetched > 0 {
		t.Errorf("read %d secrets", w.vault.fetched)
	}
}

// TestASecretOfManyCardsIsReadOnce.
func TestASecretOfManyCardsIsReadOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 250 {
		w.card("github", fmt.Sprint("card-", i), "prod/shared")
	}
	w.scan()
	if w.vault.fetched != 1 {
		t.Errorf("read %d times", w.vault.fetched)
	}
}

// TestAValueThatIsKeptDoesNotHideDrift: a card may allow calls to use one for a
// while.
func TestAValueThatIsKeptDoesNotHideDrift(t *testing.T) {
	w := newWorld(t)
	b := w.card("github", "dev", "prod/dev")
	b.MaxAge = time.Hour
	w.must(w.db.PutBinding(t.Context(), b))
	s := w.scanner()
	for range 2 {
		_, err := s.Run(t.Context())
		w.must(err)
		w.vault.set("prod/dev", broker.ErrSecretMissing)
	}
	if w.vault.fetched != 2 {
		t.Errorf("the store was asked %d times", w.vault.fetched)
	}
	w.wants([]string{"missing reference/aws-sm:prod/dev"}, []string{"opened missing reference/aws-sm:prod/dev"})
}
