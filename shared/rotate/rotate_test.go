package rotate

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func (w *world) run() Report {
	w.Helper()
	report, err := w.engine().Run(w.Context())
	w.must(err)
	return report
}

func (w *world) runs(subject string) []broker.Rotation {
	w.Helper()
	all, _, err := w.db.RotationsOf(w.Context(), environment, subject, "", 100)
	w.must(err)
	return all
}

func TestTheValueBeforeGoesOnForItsGrace(t *testing.T) {
	w := newWorld(t)
	w.run()
	r := w.latest(ofToken)
	if r.Step != broker.RotationInUse || r.Holder != "" || !r.Next.Equal(w.now.Add(time.Hour)) || w.shelf.previous != "made-up-first" {
		t.Fatalf("%+v, %+v", r, w.shelf)
	}
	w.wait(time.Hour - 1)
	w.run()
	if r := w.latest(ofToken); r.Step != broker.RotationInUse {
		t.Fatalf("%s before the grace is over", r.Step)
	}
	w.wait(1)
	w.run()
	if r := w.latest(ofToken); r.Step != broker.RotationOver || w.shelf.previous != "" {
		t.Fatalf("%+v, %+v", r, w.shelf)
	}
}

func TestAPromotionIsCountedAsAChange(t *testing.T) {
	w := newWorld(t)
	for want := range int64(3) {
		found, err := w.db.Markers(t.Context(), environment, []broker.MarkerKey{{Kind: broker.ChangeMarker, ID: "aws-sm:prod/github"}})
		w.must(err)
		if want > 0 && (len(found) != 1 || found[0].Epoch != want || found[0].Revoked) {
			t.Fatalf("after %d rotations: %+v", want, found)
		}
		w.live(ofToken, w.latest(ofToken).ID)
		w.wait(24 * time.Hour)
	}
}

func TestAScheduleThatFiresTwiceBeginsOneRun(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		before := len(w.runs(ofToken))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := w.engine().Run(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.run()
		if n := len(w.runs(ofToken)); n != before+1 {
			t.Fatalf("%d runs were begun", n-before)
		}
		w.live(ofToken, "")
		r := w.latest(ofToken)
		if got := strings.Join(w.story(r.ID), " "); got != "rotation.staged rotation.probed rotation.promoted rotation.retired" {
			t.Fatalf("the story is %s", got)
		}
		w.wait(24 * time.Hour)
	}
	if len(w.accepted) != 3 { // the first has no name, the other is another card's, and the newest
		t.Fatalf("the upstream takes %d values", len(w.accepted))
	}
}

func TestARunThatSomebodyIsAtWorkOnIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.at, w.how = 5, after
	_, _ = w.engine().Run(t.Context())
	w.dead = false
	held := w.latest(ofToken)
	if held.Holder == "" {
		t.Fatalf("nobody holds %+v", held)
	}
	for _, d := range []time.Duration{0, time.Minute, lease + broker.ClockSkew - time.Minute - time.Second} {
		w.wait(d)
		count := w.count
		if after, err := w.engine().Go(t.Context(), held); err != nil || after.Version != held.Version || w.count != count {
			t.Fatalf("%v later somebody else goes on: %v", d, err)
		}
		if _, ok := Cancel(held, w.now); ok {
			t.Fatal("it is taken back while somebody is at work")
		}
	}
	w.wait(2 * time.Second)
	w.run()
	if r := w.latest(ofToken); r.Step != broker.RotationInUse {
		t.Fatalf("nobody goes on with %+v", r)
	}
}

// TestAClockThatMovesBackOnlyDelays: nothing is begun twice, and no grace is cut.
func TestAClockThatMovesBackOnlyDelays(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.wait(-48 * time.Hour)
	for range 10 {
		w.run()
	}
	if r := w.latest(ofToken); r.Step != broker.RotationInUse || len(w.runs(ofToken)) != 1 {
		t.Fatalf("%+v, %d runs", r, len(w.runs(ofToken)))
	}
	w.wait(49 * time.Hour)
	w.run()
	if r := w.latest(ofToken); r.Step != broker.RotationOver {
		t.Fatalf("it is %s when its time has come", r.Step)
	}
	w.wait(-48 * time.Hour)
	w.run()
	if len(w.runs(ofToken)) != 1 {
		t.Fatal("a second run is begun in the past")
	}
}

func TestAFailedPlanIsTriedAgainTheNextDay(t *testing.T) {
	w := newWorld(t)
	w.alter(func(p *broker.RotationPlan) { p.Every = 90 * 24 * time.Hour })
	w.refuses = broker.UpstreamAuth
	w.live(ofToken, "")
	w.wait(23 * time.Hour)
	w.run()
	if len(w.runs(ofToken)) != 1 {
		t.Fatal("it is tried again at once")
	}
	w.refuses = ""
	w.wait(2 * time.Hour)
	if r := w.live(ofToken, w.latest(ofToken).ID); r.Step != broker.RotationOver {
		t.Fatalf("the next one is %s", r.Step)
	}
	w.wait(80 * 24 * time.Hour)
	w.run()
	if len(w.runs(ofToken)) != 2 {
		t.Fatal("it is tried again after it went well")
	}
}

func TestWhatCannotBeTakenBackIsSaidToHaveFailed(t *testing.T) {
	w := newWorld(t)
	w.faults["promote"], w.faults["restore"] = broker.ErrStoreDenied, broker.ErrStoreDenied
	r := w.live(ofToken, "")
	if r.Step != broker.RotationAbandoned || r.Reason != broker.StoreDenied || r.Tries != endingTries {
		t.Fatalf("%+v", r)
	}
	last := w.facts[len(w.facts)-1]
	if last.Method != string(broker.RotationFailed) || !strings.Contains(last.After, `"tries":14`) || last.Reason != broker.StoreDenied {
		t.Fatalf("%+v", last)
	}
	w.faults = map[string]error{}
	w.shelf.staged = map[string]string{} // somebody has looked
	w.wait(24 * time.Hour)
	if next := w.live(ofToken, r.ID); next.Step != broker.RotationOver {
		t.Fatalf("the next one is %s", next.Step)
	}
}

func TestAValueBeforeThatCannotBeEndedIsSaid(t *testing.T) {
	w := newWorld(t)
	w.faults["end"] = broker.ErrProviderRefused
	r := w.live(ofToken, "")
	if r.Step != broker.RotationAbandoned || w.shelf.current == "made-up-first" || r.Reason != broker.ProviderRefused {
		t.Fatalf("%+v, calls get %s", r, w.shelf.current)
	}
	w.faults = map[string]error{}
	w.wait(24 * time.Hour)
	before := w.shelf.current
	if next := w.live(ofToken, r.ID); next.Step != broker.RotationOver || w.accepted[before] {
		t.Fatalf("the next one is %s, and the upstream takes the one before: %v", next.Step, w.accepted[before])
	}
}

func TestNoUpstreamIsAskedByACardThatNoCallMayUse(t *testing.T) {
	for name, stop := range map[string]func(*world){
		"its binding is revoked":  hasRevoked(broker.BindingMarker, "github/dev"),
		"its server is revoked":   hasRevoked(broker.ServerMarker, "github"),
		"its store is revoked":    hasRevoked(broker.StoreMarker, "aws-sm"),
		"the environment is":      hasRevoked(broker.EnvironmentMarker, environment),
		"everything is":           hasRevoked(broker.EverythingMarker, environment),
		"the reference is":        hasRevoked(broker.ReferenceMarker, "aws-sm:prod/github"),
		"its server moved":        func(w *world) { moveServer(w)() },
		"its binding was deleted": func(w *world) { deleteCard(w)() },
		"its binding is expired": func(w *world) {
			b, err := w.db.Binding(w.Context(), route, "dev")
			w.must(err)
			b.Expires = w.now
			w.must(w.db.PutBinding(w.Context(), b))
		},
	} {
		w := newWorld(t)
		w.then["stage"] = func() { stop(w) }
		w.live(ofToken, "")
		early := newWorld(t)
		stop(early)
		early.live(ofToken, "")
		if len(w.probes)+len(early.probes) != 0 {
			t.Errorf("%s: the upstream was asked with %v, %v", name, w.probes, early.probes)
		}
	}
}

func TestARunIsTakenBackBeforeItsPromotionAndNotAfter(t *testing.T) {
	w := newWorld(t)
	w.refuses = broker.UpstreamUnreached
	w.run() // it waits for the upstream
	r, ok := Cancel(w.latest(ofToken), w.now)
	if !ok {
		t.Fatal("it cannot be taken back")
	}
	w.must(w.db.PutRotation(t.Context(), r))
	w.run()
	if r := w.latest(ofToken); r.Step != broker.RotationUndone || r.Reason != broker.RotationCancelled || w.shelf.current != "made-up-first" || len(w.shelf.staged) > 0 {
		t.Fatalf("%+v, %+v", r, w.shelf)
	}
	w.refuses = ""
	w.wait(24 * time.Hour)
	w.run()
	if r, ok := Cancel(w.latest(ofToken), w.now); ok {
		t.Fatalf("taken back after %s", r.Step)
	}
}

func TestARunEndsWithItsInvocation(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.then["make"] = cancel
	report, err := w.engine().Run(ctx)
	if err != nil || report.Done {
		t.Fatalf("%+v, %v", report, err)
	}
	r := w.latest(ofToken)
	if r.Holder != "" || r.Tries != 0 || r.Step.Ended() || !r.Due(w.now) {
		t.Fatalf("the next process cannot go on at once with %+v", r)
	}
	if report := w.run(); !report.Done || w.latest(ofToken).Step != broker.RotationInUse {
		t.Fatalf("%+v, %+v", report, w.latest(ofToken))
	}
}

func TestAValueThatCannotBeMaskedIsGivenBack(t *testing.T) {
	w := newWorld(t)
	e := w.engine()
	e.Check = func(secret.Value) error { return broker.ErrInvalid }
	_, err := e.Run(t.Context())
	w.must(err)
	r := w.latest(ofToken)
	if r.Step != broker.RotationUndone || r.Reason != broker.SecretMalformed || len(w.accepted) != 2 {
		t.Fatalf("%+v, the upstream takes %d values", r, len(w.accepted))
	}
}

func TestAPlanOfAnotherSecretMovesNothing(t *testing.T) {
	w := newWorld(t)
	w.refuses = broker.UpstreamUnreached
	w.run()
	w.alter(func(p *broker.RotationPlan) { p.Reference = newToken })
	r := w.live(ofToken, "")
	if r.Step != broker.RotationAbandoned || w.shelf.current != "made-up-first" {
		t.Fatalf("%+v", r)
	}
}

func TestNothingThatIsToldHoldsAValue(t *testing.T) {
	w := newWorld(t)
	w.live(ofToken, "")
	for _, f := range w.facts {
		text, err := f.JSON()
		w.must(err)
		if strings.Contains(string(text), "made-up") {
			t.Errorf("%s tells a value", f.Method)
		}
		if f.Object != ofToken || f.Server != "github" || f.Binding != "dev" || !slices.Equal(f.References, []string{"=aws-sm:prod/github"}) {
			t.Errorf("%s is of %s, %s/%s, %v", f.Method, f.Object, f.Server, f.Binding, f.References)
		}
	}
}
