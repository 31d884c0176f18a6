package handler

import (
	"slices"
	"testing"
	"time"

	"bindery/shared/broker"
)

// unheard has somebody ask for a new token for alice's grant, and never heard of again.
func (f *fixture) unheard() {
	f.t.Helper()
	view, _ := f.grant("acme", "alice")
	now := f.now().UTC()
	_, err := f.tables.LeaseGrant(f.t.Context(), view.Grant, "h-dead", now, now.Add(time.Second))
	f.must(err)
	f.clock = func() time.Time { return time.Now().Add(time.Second + broker.ClockSkew + time.Millisecond) }
}

// TestAnAttemptIsToldOfBeforeItsTraceIsGone: what a provider may have given to
// somebody who was not heard of again is known from the grant alone, which a new
// consent and an end write over. Where it cannot be told, they do not.
func TestAnAttemptIsToldOfBeforeItsTraceIsGone(t *testing.T) {
	for name, ends := range map[string]func(f *fixture) bool{
		"a new consent": func(f *fixture) bool {
			b, link := f.browser(), f.link("acme", "alice")
			b.get(f.acme.agree(b.post(link, b.logIn(link, "alice").yes()).onward(), "me"))
			view, _ := f.grant("acme", "alice")
			return view.Grant.Generation == 2
		},
		"an end": func(f *fixture) bool {
			return f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience)).Code == 200
		},
	} {
		f := newFixture(t)
		f.browser().consent("acme", "alice")
		f.unheard()
		f.untold = broker.GrantOutcomeUnknown
		if view, _ := f.grant("acme", "alice"); ends(f) || view.Grant.State != broker.Active || view.Grant.Generation != 1 {
			t.Errorf("%s was stored before the attempt was told of: %+v", name, view.Grant)
		}
		f.untold = ""
		if !ends(f) || len(f.facts(broker.GrantOutcomeUnknown)) != 1 {
			t.Errorf("%s: told %v", name, f.facts(broker.GrantOutcomeUnknown))
		}
	}
}

// TestTokensNotTakenBackAreToldOf: the provider issued them, they are of no use
// here, and it cannot be told that they are over.
func TestTokensNotTakenBackAreToldOf(t *testing.T) {
	for name, untold := range map[string]broker.FactKind{"told": "", "not to be told": broker.GrantNotRevoked} {
		f := newFixture(t)
		f.browser().consent("acme", "alice")
		f.acme.server.Close()
		f.untold = untold
		w := f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience))
		if want := map[bool]int{true: 200, false: 503}[untold == ""]; w.Code != want {
			t.Errorf("%s: answered %d, want %d", name, w.Code, want)
		}
		records := f.tables.Records(w.Header().Get("Bindery-Receipt"))
		if last := records[len(records)-1]; (last.Reason == "") != (untold == "") {
			t.Errorf("%s: the outcome says %q", name, last.Reason)
		}
	}
}

// facts gives the records of a kind of fact.
func (f *fixture) facts(kind broker.FactKind) []broker.Record {
	return slices.DeleteFunc(f.tables.Log(), func(r broker.Record) bool { return r.Method != string(kind) })
}
