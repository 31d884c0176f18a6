package revoke_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/revoke"
)

// TestWhatIsStoppedIsStoppedOnce: the second request has the acknowledgement of
// the first.
func TestWhatIsStoppedIsStoppedOnce(t *testing.T) {
	f := newFixture(t)
	want := revoke.Acknowledgement{Case: id(1), Kind: broker.PrincipalMarker, Subject: alice, Revoked: true, Epoch: 1, At: noon, Recorded: true}
	if d := cmp.Diff(want, f.must(f.Revoke(t.Context(), order(1)))); d != "" {
		t.Error(d)
	}
	want.Already = true
	for _, again := range []int{1, 2} {
		if d := cmp.Diff(want, f.must(f.Revoke(t.Context(), order(again)))); d != "" {
			t.Error(d)
		}
	}
	wantCase := broker.Revocation{Environment: "prod", ID: id(1), Version: 1, Kind: broker.PrincipalMarker, Subject: alice, Epoch: 1,
		By: "p-admin", Via: broker.ViaAdmin, Reason: "left the company", At: noon, Work: broker.WorkOpen}
	if d := cmp.Diff([]broker.Revocation{wantCase}, f.cases()); d != "" {
		t.Error(d)
	}
	f.settled(1, true)
}

// TestALiftingIsADecisionOfItsOwn, with a case of its own and nothing left to do.
func TestALiftingIsADecisionOfItsOwn(t *testing.T) {
	f := newFixture(t)
	f.must(f.Revoke(t.Context(), order(1)))
	want := revoke.Acknowledgement{Case: id(2), Kind: broker.PrincipalMarker, Subject: alice, Epoch: 2, At: noon, Recorded: true}
	if d := cmp.Diff(want, f.must(f.Lift(t.Context(), lifting(2, 1)))); d != "" {
		t.Error(d)
	}
	want.Already = true
	if d := cmp.Diff(want, f.must(f.Lift(t.Context(), lifting(3, 1)))); d != "" {
		t.Error(d)
	}
	if c := f.cases()[0]; !c.Lifts || c.Work != broker.WorkDone || c.Done != noon || c.By != "p-root" {
		t.Errorf("its case is %+v", c)
	}
	f.settled(2, false)
}

// TestALiftingLiftsWhatItNamesAndNothingElse.
func TestALiftingLiftsWhatItNamesAndNothingElse(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Lift(t.Context(), lifting(2, 1)); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a case that is not there: %v", err)
	}
	f.must(f.Revoke(t.Context(), order(1)))
	f.must(f.Lift(t.Context(), lifting(2, 1)))
	if _, err := f.Lift(t.Context(), lifting(3, 2)); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a lifting: %v", err)
	}
	f.must(f.Revoke(t.Context(), order(4)))
	if _, err := f.Lift(t.Context(), lifting(5, 1)); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("what another case has stopped since: %v", err)
	}
	f.settled(3, true)
}

// TestAnOrderOfLongAgoStopsNothingAgain: an event is delivered once more after
// what it had stopped was let go.
func TestAnOrderOfLongAgoStopsNothingAgain(t *testing.T) {
	f := newFixture(t)
	f.must(f.Revoke(t.Context(), order(1)))
	f.must(f.Lift(t.Context(), lifting(2, 1)))
	if a := f.must(f.Revoke(t.Context(), order(1))); !a.Already || a.Epoch != 1 || a.Revoked {
		t.Errorf("acknowledged as %+v", a)
	}
	f.settled(2, false)
	other := order(1)
	other.Subject = "p-bobbbbbbbbbbbbbbbbbbbbbbbb"
	if _, err := f.Revoke(t.Context(), other); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("another subject under the id: %v", err)
	}
}

// TestAMarkerIsWrittenAgain: whoever wrote it may have died before all its copies
// were made.
func TestAMarkerIsWrittenAgain(t *testing.T) {
	f := newFixture(t)
	f.must(f.Revoke(t.Context(), order(1)))
	before := f.tables.Calls(memory.PutMarker)
	f.must(f.Revoke(t.Context(), order(2)))
	if f.tables.Calls(memory.PutMarker) == before {
		t.Error("it was taken for done because it could be read")
	}
}

// TestACaseIsNoSignThatAllCopiesWereMade: somebody else stored it after the writer
// had died. The order comes again, under its own id.
func TestACaseIsNoSignThatAllCopiesWereMade(t *testing.T) {
	f := newFixture(t)
	f.must(f.Revoke(t.Context(), order(1)))
	before := f.tables.Calls(memory.PutMarker)
	f.tables.Inject(memory.PutMarker, memory.Refuse())
	f.must(f.Revoke(t.Context(), order(1)))
	if f.tables.Calls(memory.PutMarker) != before+2 {
		t.Error("it was acknowledged by its case")
	}
	f.tables.Inject(memory.PutMarker, slices.Repeat([]memory.Fault{memory.Refuse()}, 20)...)
	if _, err := f.Revoke(t.Context(), order(1)); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("acknowledged although it could not be written: %v", err)
	}
	f.settled(1, true)
}

// TestAMarkerOfNoCaseGetsOne: it stops, and who stopped it is evidence.
func TestAMarkerOfNoCaseGetsOne(t *testing.T) {
	f := newFixture(t)
	m := broker.Marker{Environment: "prod", Kind: broker.PrincipalMarker, ID: alice, Epoch: 1, Revoked: true, At: noon}
	if err := f.tables.PutMarker(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if a := f.must(f.Revoke(t.Context(), order(1))); a.Case != id(1) || a.Epoch != 2 || a.Already {
		t.Errorf("acknowledged as %+v", a)
	}
}

// TestEveryKindIsStoppedAsDecisionsLookForIt.
func TestEveryKindIsStoppedAsDecisionsLookForIt(t *testing.T) {
	digest := strings.TrimPrefix(alice, "p-")
	for kind, c := range map[broker.MarkerKind]struct {
		fine, stored string
		bad          []string
	}{
		broker.PrincipalMarker: {alice, alice, []string{"alice@example.com", "", "p-", strings.ToUpper(alice)}},
		broker.AgentMarker:     {"corp:agent", "corp:agent", []string{"", "\xff"}},
		broker.SessionMarker:   {digest, digest, []string{"", alice, "session", digest + "a"}},
		broker.GroupMarker:     {"team-a", "team-a", []string{"", strings.Repeat("a", 257)}},
		broker.IssuerMarker:    {"https://login.example.com", "https://login.example.com", []string{"", strings.Repeat("a", 257)}},
		broker.ServerMarker:    {"github", "github", []string{"", "GitHub", "github/dev"}},
		broker.BindingMarker:   {"github/dev", "github/dev", []string{"", "github", "github/", "/dev", "github/dev/x"}},
		broker.StoreMarker:     {"aws-sm", "aws-sm", []string{"", "aws_sm"}},
		broker.ReferenceMarker: {"aws-sm:prod/github#token", "aws-sm:prod/github", []string{"", "prod/github", "aws-sm:", "aws-sm:prod/*",
			"aws-sm:arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/github-AbCdEf", "aws-sm:prod/github?stage=AWSCURRENT"}},
		broker.GrantMarker:       {alice + "/github", alice + "/github", []string{"", alice, "alice@example.com/github", alice + "/GitHub"}},
		broker.EnvironmentMarker: {"prod", "prod", []string{"", "staging"}},
		broker.EverythingMarker:  {"prod", "prod", []string{"", "staging", "everything"}},
		broker.ChangeMarker:      {bad: []string{"aws-sm:prod/github"}},
		"planet":                 {bad: []string{"earth"}},
	} {
		f := newFixture(t)
		o := order(1)
		o.Kind = kind
		for _, bad := range c.bad {
			o.Subject = bad
			if _, err := f.Revoke(t.Context(), o); !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "alice@") {
				t.Errorf("%s %q: %v", kind, bad, err)
			}
		}
		if c.fine == "" {
			continue
		}
		o.Subject = c.fine
		if a := f.must(f.Revoke(t.Context(), o)); a.Subject != c.stored || !a.Recorded {
			t.Errorf("%s: acknowledged as %+v", kind, a)
		}
		found, err := f.tables.Markers(t.Context(), "prod", []broker.MarkerKey{{Kind: kind, ID: c.stored}})
		if err != nil || len(found) != 1 || !found[0].Revoked {
			t.Errorf("%s: %+v, %v", kind, found, err)
		}
	}
}

// TestEverythingTakesAReason of some length; anything takes one.
func TestEverythingTakesAReason(t *testing.T) {
	f := newFixture(t)
	everything := order(1)
	everything.Kind, everything.Subject, everything.Reason = broker.EverythingMarker, "prod", "  because   "
	if _, err := f.Revoke(t.Context(), everything); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("nine characters: %v", err)
	}
	for name, spoil := range map[string]func(*revoke.Order){
		"no reason":                func(o *revoke.Order) { o.Reason = " " },
		"a reason too long":        func(o *revoke.Order) { o.Reason = strings.Repeat("a", revoke.MaxReason+1) },
		"a reason of no text":      func(o *revoke.Order) { o.Reason = "\xff" },
		"nobody":                   func(o *revoke.Order) { o.By = "" },
		"an id that is no receipt": func(o *revoke.Order) { o.ID = "1" },
	} {
		o := order(1)
		spoil(&o)
		if _, err := f.Revoke(t.Context(), o); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheRecordSaysWhatWasStopped, and by whom: an event is no principal.
func TestTheRecordSaysWhatWasStopped(t *testing.T) {
	f := newFixture(t)
	o := order(1)
	o.Kind, o.Subject, o.By = broker.BindingMarker, "github/dev", revoke.EventAuthor("hr.example", "evt-1")
	f.must(f.Revoke(t.Context(), o))
	records := f.tables.Records(broker.ReceiptOf(noon, "fact", "prod", id(1)))
	if len(records) != 1 {
		t.Fatalf("recorded: %+v", records)
	}
	r := records[0]
	var detail revoke.Stopped
	if err := json.Unmarshal([]byte(r.After), &detail); err != nil {
		t.Fatal(err)
	}
	want := revoke.Stopped{Case: id(1), Kind: broker.BindingMarker, Subject: "github/dev", Epoch: 1, Via: broker.ViaEvent, By: "event/hr.example/evt-1", Reason: "left the company"}
	if d := cmp.Diff(want, detail); d != "" || r.Object != "binding/github/dev" || r.Server != "github" || r.Binding != "dev" || r.Principal != "" {
		t.Errorf("recorded: %+v %s", r, d)
	}
}
