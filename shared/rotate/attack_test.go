package rotate

import (
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// afterOne has had one rotation, and is where the next is due.
func afterOne(t *testing.T) (*world, broker.Rotation) {
	w := newWorld(t)
	first := w.live(ofToken, "")
	w.wait(24 * time.Hour)
	return w, first
}

// TestALeakedValueHasNoGrace: where the reference is revoked, the value before is
// over with its promotion.
func TestALeakedValueHasNoGrace(t *testing.T) {
	w, first := afterOne(t)
	leaked := w.shelf.current
	hasRevoked(broker.ReferenceMarker, "aws-sm:prod/github")(w)
	w.run()
	r := w.latest(ofToken)
	if r.ID == first.ID || r.Step != broker.RotationOver || w.accepted[leaked] || w.shelf.previous != "" {
		t.Fatalf("%+v, the upstream takes the leaked value: %v", r, w.accepted[leaked])
	}
}

// TestAGraceIsCutWhereTheSecretLeaked, by whoever says so, and then told once.
func TestAGraceIsCutWhereTheSecretLeaked(t *testing.T) {
	w, _ := afterOne(t)
	before := w.shelf.current
	w.run()
	r := w.latest(ofToken)
	w.wait(time.Minute)
	cut, ok := CutGrace(r, w.now)
	if !ok {
		t.Fatalf("the grace of %+v cannot be cut", r)
	}
	w.must(w.db.PutRotation(t.Context(), cut))
	w.run()
	if r := w.latest(ofToken); r.Step != broker.RotationOver || w.accepted[before] {
		t.Fatalf("%+v, the upstream takes the value before: %v", r, w.accepted[before])
	}
	if _, ok := CutGrace(w.latest(ofToken), w.now); ok {
		t.Error("a run that has ended has a grace")
	}
}

// TestAValueThatWasPutBackIntoUseIsNotEnded: somebody moves the value before back
// by hand during its grace. It is the only one that calls have.
func TestAValueThatWasPutBackIntoUseIsNotEnded(t *testing.T) {
	w, _ := afterOne(t)
	before := w.shelf.current
	w.run()
	w.shelf.current = before
	r := w.live(ofToken, "")
	for ; !r.Step.Ended(); r = w.latest(ofToken) {
		w.wait(time.Hour)
		w.run()
	}
	if !w.accepted[before] || r.Step != broker.RotationAbandoned || r.Reason != broker.ChangeLost {
		t.Fatalf("%s (%s), the upstream takes what calls use: %v", r.Step, r.Reason, w.accepted[before])
	}
}

// TestACardThatNoLongerUsesTheSecretShowsNothing: an upstream that takes the
// card's other credential has said nothing about the new value.
func TestACardThatNoLongerUsesTheSecretShowsNothing(t *testing.T) {
	w, first := afterOne(t)
	w.probes = nil
	b, err := w.db.Binding(t.Context(), route, "dev")
	w.must(err)
	b.Fields[0].Reference = newToken
	w.must(w.db.PutBinding(t.Context(), b))
	r := w.live(ofToken, first.ID)
	if r.Step != broker.RotationUndone || r.Reason != broker.ChangeLost || len(w.probes) > 0 {
		t.Fatalf("%s (%s), asked with %v", r.Step, r.Reason, w.probes)
	}
}

// TestARecipeDoesNotFollowACardToAnotherOrigin: its requests went to the server's
// own origin when the plan was put. Since then server and card moved, properly
// approved, and the recipe would take the new server's credential to the old one.
func TestARecipeDoesNotFollowACardToAnotherOrigin(t *testing.T) {
	w, first := afterOne(t)
	moveServer(w)()
	b, err := w.db.Binding(t.Context(), route, "dev")
	w.must(err)
	b.Origin, err = broker.OriginDigest("https://elsewhere.example.com/mcp")
	w.must(err)
	w.must(w.db.PutBinding(t.Context(), b))
	made := len(w.accepted)
	r := w.live(ofToken, first.ID)
	if r.Step != broker.RotationUndone || r.Reason != broker.BindingPending || len(w.accepted) != made {
		t.Fatalf("%s (%s); the upstream takes %v", r.Step, r.Reason, w.accepted)
	}
}

// TestAClientThatWasRenewedIsNotForgotten: its provider ended the secret before,
// and takes the next request about the client only with what it gave along.
func TestAClientThatWasRenewedIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	w.alter(func(p *broker.RotationPlan) { *p = bare(*p) })
	w.faults["stage"], w.faults["withdraw"] = broker.ErrStoreDenied, broker.ErrProviderRefused
	w.run()
	r := w.latest(ofToken)
	if r.Step != broker.RotationAbandoned || r.Reason != broker.StoreDenied {
		t.Fatalf("%s (%s): nobody can order another", r.Step, r.Reason)
	}
	if made := "name of made-up-" + strings.ToLower(r.ID); !strings.Contains(turned(string(r.Kept)), made) {
		t.Fatal("what the provider gave is lost")
	}
}

// TestAStoresOwnRotationThatCannotBeTakenBackHoldsUpNoOther: somebody has to look,
// and can order another at once.
func TestAStoresOwnRotationThatCannotBeTakenBackHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	w.alter(func(p *broker.RotationPlan) { *p = bare(*p); p.Maker, p.Provider = broker.MakeInStore, "" })
	w.faults["stage"], w.faults["restore"] = broker.ErrStoreDenied, broker.ErrConflict
	w.run()
	if r := w.latest(ofToken); r.Step != broker.RotationAbandoned || r.Reason != broker.StoreDenied {
		t.Fatalf("%s (%s)", r.Step, r.Reason)
	}
}

// TestAStopOfEverythingStopsPlansWithoutCard, too: nobody may use what they make.
func TestAStopOfEverythingStopsPlansWithoutCard(t *testing.T) {
	for kind, id := range map[broker.MarkerKind]string{broker.StoreMarker: "aws-sm", broker.EnvironmentMarker: environment, broker.EverythingMarker: environment} {
		w := newWorld(t)
		w.alter(func(p *broker.RotationPlan) { *p = bare(*p) })
		hasRevoked(kind, id)(w)
		made := len(w.accepted)
		if r := w.live(ofToken, ""); r.Step != broker.RotationUndone || len(w.accepted) != made || w.shelf.current != "made-up-first" {
			t.Errorf("%s is revoked, and the rotation is %s; the upstream takes %v", kind, r.Step, w.accepted)
		}
	}
}
