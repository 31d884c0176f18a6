package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/oauth"
	"bindery/shared/revoke"
)

// aCompany is everything that a revocation of everything has to end, some of it
// in vain. Of one grant somebody has asked for a token and was not heard of again.
func aCompany(t *testing.T) (*world, string) {
	w := newWorld(t)
	for n := range 2 {
		w.session(n, "github")
		w.grant(n, "files")
	}
	w.grant(2, "files")
	w.provider.fault = func(token, _ string) error {
		if token == canary+"-refresh-files-2" || token == canary+"-access-files-2" {
			return &oauth.Fault{Kind: oauth.ErrRefused, Status: http.StatusBadRequest, Code: "unsupported_token_type"}
		}
		return nil
	}
	_, err := w.tables.LeaseGrant(t.Context(), w.grant(3, "files"), "somebody", w.time(), w.time().Add(time.Second))
	w.must(err)
	w.pass(time.Second + broker.ClockSkew + 1)
	return w, w.revoke(broker.EverythingMarker, "prod")
}

// left is what there is when all is over.
type left struct {
	Sessions, Grants broker.Tally
	Unreached        []broker.Unreached
	Kept             []string // at the upstream
	Honoured         []string // by the provider
	Live             int
	Sealed           int
	Facts            []broker.FactKind
	Unknown          int // attempts that were told of as of unknown outcome
}

func (w *world) over(c broker.Revocation) left {
	w.Helper()
	live, _, err := w.tables.ScanSessions(w.Context(), "prod", "", broker.MaxScan)
	w.must(err)
	l := left{Sessions: c.Sessions, Grants: c.Grants, Unreached: c.Unreached, Kept: w.upstream.kept, Live: len(live), Facts: w.facts(c.ID)}
	l.Honoured = slices.Sorted(slices.Values(w.provider.honours()))
	for _, r := range w.tables.Log() {
		if r.Method == string(broker.GrantOutcomeUnknown) {
			l.Unknown++
		}
	}
	grants, _, err := w.tables.ScanGrants(w.Context(), "prod", "", broker.MaxScan)
	w.must(err)
	for _, g := range grants {
		if g.State == broker.Active || len(g.Sealed) > 0 {
			l.Sealed++
		}
	}
	return l
}

// TestADeathAtAnyStep: wherever a process dies, before a step was applied or just
// after, the next one ends in the same state, and counts nothing twice.
func TestADeathAtAnyStep(t *testing.T) {
	w, id := aCompany(t)
	w.life = life{}
	want := w.over(w.finish(id))
	steps := w.life.steps
	if want.Sessions.Ended != 2 || want.Unknown != 1 || want.Grants != (broker.Tally{Found: 4, Ended: 3, GivenUp: 1}) || len(want.Unreached) != 1 || want.Live+want.Sealed+len(want.Kept) > 0 || steps < 40 {
		t.Fatalf("%+v in %d steps", want, steps)
	}
	for _, applied := range []bool{false, true} {
		for dies := 1; dies <= steps; dies++ {
			t.Run(fmt.Sprint("step ", dies, ", applied ", applied), func(t *testing.T) {
				w, id := aCompany(t)
				w.life = life{dies: dies, applied: applied}
				for range 3 { // the schedule goes on calling the dead
					_, _ = w.handler().Handle(t.Context(), json.RawMessage(`{"task":"continue"}`))
					w.pass(time.Minute)
				}
				w.life = life{}
				w.pass(leaseTime + broker.ClockSkew)
				if d := cmp.Diff(want, w.over(w.finish(id))); d != "" {
					t.Error(d)
				}
				w.clean()
			})
		}
	}
	t.Logf("%d crash points tried", 2*steps)
}

// TestTwoRunsAtOnce end what one does, and one of them stops where the other one
// was faster.
func TestTwoRunsAtOnce(t *testing.T) {
	w, id := aCompany(t)
	alone, aloneID := aCompany(t)
	want := alone.over(alone.finish(aloneID))
	c := w.found(id)
	done := make(chan error)
	for range 4 {
		go func() { done <- w.handler().work(t.Context(), c) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	w.pass(leaseTime + broker.ClockSkew)
	if d := cmp.Diff(want, w.over(w.finish(id))); d != "" {
		t.Error(d)
	}
}

// TestARevocationThatIsLifted meanwhile: nothing is ended any more.
func TestARevocationThatIsLifted(t *testing.T) {
	w := newWorld(t)
	for n := range 3 * batch {
		w.session(n, "github")
	}
	id := w.revoke(broker.BindingMarker, "github/other")
	if c := w.finish(id); c.Sessions != (broker.Tally{}) {
		t.Fatalf("another card's sessions: %+v", c.Sessions)
	}
	id = w.revoke(broker.EnvironmentMarker, "prod")
	lifted := false
	lift := func() {
		if lifted {
			return
		}
		lifted = true
		_, err := w.revoker.Lift(t.Context(), revoke.Lifting{ID: w.receipt(), Case: id, By: leader, Reason: "a drill of the tests"})
		w.must(err)
	}
	h := w.handler()
	h.Cases = after{h.Cases, lift}
	w.must(h.work(t.Context(), w.found(id)))
	c := w.found(id)
	if c.Work != broker.WorkDone || c.Sessions.Ended != batch || len(w.upstream.kept) != 2*batch || !slices.Contains(c.Unknown, wasLifted) {
		t.Errorf("%+v, %d kept", c, len(w.upstream.kept))
	}
	if d := cmp.Diff([]broker.FactKind{broker.RevocationCompleted}, w.facts(id)); d != "" {
		t.Error(d)
	}
	again := w.revoke(broker.EnvironmentMarker, "prod") // a new case, with a marker of its own
	if c := w.finish(again); c.Sessions.Ended != 2*batch || len(w.upstream.kept) > 0 {
		t.Errorf("%+v", c.Sessions)
	}
}

// after does something when a case has been stored.
type after struct {
	broker.Revocations
	then func()
}

func (a after) PutRevocation(ctx context.Context, r broker.Revocation) error {
	defer a.then()
	return a.Revocations.PutRevocation(ctx, r)
}
