package handler

import (
	"slices"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/revoke"
)

// TestAnIncidentThatDiedAfterItsStopTellsOfIt: nobody may read that the secret is
// still in use when it is not.
func TestAnIncidentThatDiedAfterItsStopTellsOfIt(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.tables.Inject(memory.PutIncident, memory.Fault{}, memory.Refuse())
	leaks(f, t, "root", "").want(t, 503, "unavailable")
	got := f.call(t, "auditor", "GET", "/incidents/"+f.newestIncident(t), nil).want(t, 200, "")
	if !stoppedNow(f, t) || got.body["stopped"] == nil || got.body["revocation"] == nil {
		t.Errorf("answered %s", got.Body)
	}
}

// TestAnIncidentIsToldOfOnceWhateverFails between two of its steps: whoever comes
// next tells of every incident that is written down, and none is told of twice.
func TestAnIncidentIsToldOfOnceWhateverFails(t *testing.T) {
	for name, fails := range map[string]func(f *fixture){
		"nothing":                    func(*fixture) {},
		"writing it down":            func(f *fixture) { f.tables.Inject(memory.PutIncident, memory.Refuse()) },
		"writing it down, unheard":   func(f *fixture) { f.tables.Inject(memory.PutIncident, memory.Lose()) },
		"the stop":                   func(f *fixture) { f.RevokeThrough(deaf{}) },
		"writing down what was done": func(f *fixture) { f.tables.Inject(memory.PutIncident, memory.Fault{}, memory.Refuse()) },
		"the same, unheard":          func(f *fixture) { f.tables.Inject(memory.PutIncident, memory.Fault{}, memory.Lose()) },
		"telling":                    func(f *fixture) { f.untold = broker.IncidentOpened },
	} {
		f := newFixture(t)
		f.seed(t)
		fails(f)
		leaks(f, t, "root", "")
		f.untold = ""
		rows, err := f.tables.Incidents(t.Context(), "prod", broker.Page{Limit: broker.MaxPage})
		if err != nil || len(rows) > 1 || len(rows) == 0 && name != "writing it down" {
			t.Fatalf("%s: %+v, %v", name, rows, err)
		}
		for _, i := range append(rows, rows...) {
			if err := revoke.TellIncident(t.Context(), f.desk.Journal, i); err != nil {
				t.Fatal(err)
			}
		}
		told := slices.DeleteFunc(f.tables.Log(), func(r broker.Record) bool { return r.Method != string(broker.IncidentOpened) })
		if len(told) != len(rows) {
			t.Errorf("%s: %d incidents, told of %d times", name, len(rows), len(told))
		}
	}
}

// newestIncident is the id of the latest incident, or of none.
func (f *fixture) newestIncident(t testing.TB) string {
	t.Helper()
	found, err := f.tables.Incidents(t.Context(), "prod", broker.Page{Limit: broker.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return noCase
	}
	return found[len(found)-1].ID
}

// TestATableThatCannotBeWrittenHoldsUpNoStop: the answer says that not all was
// done, and the secret is stopped all the same.
func TestATableThatCannotBeWrittenHoldsUpNoStop(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.tables.Inject(memory.PutIncident, memory.Refuse(), memory.Refuse())
	leaks(f, t, "root", "").want(t, 503, "unavailable")
	if !stoppedNow(f, t) {
		t.Error("the secret may still be used")
	}
}
