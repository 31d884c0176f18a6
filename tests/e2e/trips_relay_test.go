//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/infra/cost"
	"bindery/shared/broker"
)

// cost requires that a call took the rounds, and made the requests to AWS and no
// others, that the table says which also gives its price.
func (d *deployment) cost(t *testing.T, mode cost.Mode, rounds int) {
	t.Helper()
	want, known := cost.Trips()[mode]
	if !known || rounds != want.Rounds {
		t.Errorf("%s: %d rounds, want %d", mode, rounds, want.Rounds)
	}
	got := map[string]int{}
	for _, operation := range operations {
		if n := d.faults.Count(operation); n > 0 {
			got[operation] = n
		}
	}
	if diff := cmp.Diff(want.Requests, got); diff != "" || d.faults.Count("") != want.Total() {
		t.Errorf("%s: %d requests, want %d (-want +got):\n%s", mode, d.faults.Count(""), want.Total(), diff)
	}
}

// keeping is a deployment with a server that keeps sessions.
func keeping(t *testing.T, limits broker.Limits) (*deployment, *upstream) {
	t.Helper()
	d := deploy(t)
	u := d.upstream(sessionful(nil))
	d.server("notes", u.URL, func(s *broker.Server) { s.Limits = limits })
	_, reference := d.secret("notes")
	d.bind(d.card("notes", "dev-notes", group("dev"), reference))
	return d, u
}

// TestTripsOfAList: one read more, beside the others. It does not run beside
// other tests, like all that count.
func TestTripsOfAList(t *testing.T) {
	d, u := keeping(t, broker.Limits{})
	id := d.open(u, alice, "notes")
	took := d.watched(d.asking(alice, "notes", legacy, "tools/list", "", in(id)), func(r *rounds) {
		r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query", "Query")
		r.pass("")
		r.next("BatchGetItem", "GetSecretValue", "PutItem")
		r.pass("")
		r.next("PutItem")
	})
	d.cost(t, cost.List, took)
}

// TestTripsOfACallInASession: none more, once a process has the key of the day.
// A process that does not have it reads it and has it opened first.
func TestTripsOfACallInASession(t *testing.T) {
	for name, cold := range map[string]bool{"a process that has the key": false, "a process that has not": true} {
		t.Run(name, func(t *testing.T) {
			d, u := keeping(t, broker.Limits{})
			id := d.open(u, alice, "notes")
			if cold {
				d.another()
				for range 2 {
					d.ask(alice, "notes", legacy, "tools/call", "whoami").want(t, http.StatusNotFound, "no session")
				}
			}
			before := len(u.arrivals())
			took := d.watched(d.asking(alice, "notes", legacy, "tools/call", "whoami", in(id)), func(r *rounds) {
				r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query")
				r.pass("")
				if cold {
					r.next("GetItem")
					r.pass("")
					r.next("Decrypt")
					r.pass("")
				}
				r.next("BatchGetItem", "GetSecretValue", "PutItem")
				if len(u.arrivals()) != before {
					t.Error("the upstream was called early")
				}
				r.pass("")
				r.next("PutItem")
			})
			d.cost(t, map[bool]cost.Mode{false: cost.Session, true: cost.SessionCold}[cold], took)
		})
	}
}

// TestTripsOfTheFirstSessionOfADay: its key is made before the upstream is
// asked, once for all processes; each session is kept before its client has it.
func TestTripsOfTheFirstSessionOfADay(t *testing.T) {
	d, u := keeping(t, broker.Limits{})
	for range 2 {
		d.ask(alice, "notes", legacy, "tools/call", "whoami").want(t, http.StatusNotFound, "no session")
	}
	before := len(u.arrivals())
	took := d.watched(d.request(alice, "notes", legacy, initialize), func(r *rounds) {
		r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query")
		for _, operation := range []string{"GetItem", "GenerateDataKey", "PutItem", "Decrypt"} {
			r.pass("")
			r.next(operation)
		}
		r.pass("")
		r.next("BatchGetItem", "GetSecretValue", "PutItem")
		if len(u.arrivals()) != before {
			t.Error("the upstream was called early")
		}
		r.pass("")
		r.next("PutItem") // that there is a session, which the client does not have yet
		r.pass("")
		r.next("PutItem")
	})
	d.cost(t, cost.SessionFirst, took)
}

// TestTripsOfALimitedCall: one write for each subject whose calls are counted,
// beside the others.
func TestTripsOfALimitedCall(t *testing.T) {
	d, u := keeping(t, broker.Limits{CallsPerMinute: 1000})
	must(t, d.DB.PutAgent(t.Context(), broker.Agent{Environment: d.env, ID: shellAgent, Version: 1, State: broker.Active, Team: "platform",
		Ceiling: broker.Critical, Limits: broker.Limits{CallsPerMinute: 1000}}))
	id := d.open(u, alice, "notes")
	took := d.watched(d.asking(alice, "notes", legacy, "tools/call", "whoami", in(id)), func(r *rounds) {
		r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query")
		r.pass("")
		r.next("BatchGetItem", "GetSecretValue", "PutItem", "UpdateItem", "UpdateItem")
		r.pass("")
		r.next("PutItem")
	})
	d.cost(t, cost.Limited, took)
}

// TestTripsOfAStream with the limits that a deployment has by default: beside
// the intent a place of the person's is looked for and then taken, then one of
// the agent's and one of the server's side by side. All are given back beside
// the outcome.
func TestTripsOfAStream(t *testing.T) {
	d := deploy(t)
	h := d.holding()
	d.simple(h.upstream)
	for range 2 { // from here on the version before is known
		d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	}
	took := d.watched(d.asking(alice, "notes", legacy, "tools/call", "whoami", by(http.MethodGet)), func(r *rounds) {
		r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query", "Query") // what it lists may be filtered
		r.pass("")
		r.next("BatchGetItem", "GetSecretValue", "PutItem", "Query")
		r.pass("")
		r.next("PutItem")
		r.pass("")
		r.next("Query", "Query")
		r.pass("")
		r.next("PutItem", "PutItem")
		if len(h.arrivals()) != 2 {
			t.Error("the upstream was called before all places were taken")
		}
		r.pass("") // the caller leaves at once
		r.next("DeleteItem", "DeleteItem", "DeleteItem", "PutItem")
	})
	d.cost(t, cost.Stream, took)
}
