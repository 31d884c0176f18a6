//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"testing"

	"bindery/infra/cost"
	"bindery/shared/broker"
)

// TestTripsOfACallWithAFreshGrant: as many as with a sealed value. The grant and
// the agent's consent are one query, side by side with the intent, and one
// opening. It does not run beside other tests.
func TestTripsOfACallWithAFreshGrant(t *testing.T) {
	o := everybodysOwn(t)
	o.consent(alice)
	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
	o.send(o.request(alice, "files", legacy, initialize)).want(t, http.StatusOK, "") // issuer keys are known from here on
	reached := len(o.u.arrivals())
	took := o.measured(alice, "files", func(r *rounds) {
		r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query")
		r.pass("")
		r.next("BatchGetItem", "PutItem", "Query")
		r.pass("Query")
		r.next("BatchGetItem", "Decrypt", "PutItem")
		r.pass("Decrypt")
		r.still()
		if len(o.u.arrivals()) != reached {
			t.Error("the upstream was called before the intent was stored")
		}
		r.pass("")
		r.next("PutItem")
		if len(o.u.arrivals()) != reached+1 {
			t.Error("the upstream was not called")
		}
	})
	o.cost(t, cost.Grant, took)
}

// TestTripsOfAQuestion: a need that was asked about a moment ago costs one read
// of the link that was shown and one that sees whether it still waits.
func TestTripsOfAQuestion(t *testing.T) {
	o := everybodysOwn(t)
	first := o.post(alice, "files")
	first.want(t, http.StatusOK, `"isError":true`)
	o.faults.ResetCounts()
	o.post(alice, "files").want(t, http.StatusOK, `"isError":true`)
	o.served.Stop()                                              // and with it the outcome's write
	o.cost(t, cost.Question, cost.Trips()[cost.Question].Rounds) // tests/cost holds these
	o.ended(first, broker.ConsentRequired)
}
