//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"testing"

	"bindery/infra/cost"
)

// TestTripsOfACallUnderPolicies: the first use of a set is one read more, in
// sequence; after that policies cost no request. It does not run beside other
// tests.
func TestTripsOfACallUnderPolicies(t *testing.T) {
	for name, known := range map[string]bool{"the first use of a set": false, "a set that is known": true} {
		t.Run(name, func(t *testing.T) {
			d, u := warmed(t)
			d.post(alice, "notes").want(t, http.StatusOK, "") // from here on the version before is known
			d.govern(d.set(noDeletes+fourEyes), "")
			if known {
				d.post(alice, "notes").want(t, http.StatusOK, "")
			}
			d.post(bob, "notes").want(t, http.StatusForbidden, forbidden) // who has no binding costs no read of policies
			reached := len(u.arrivals())
			took := d.measured(alice, "notes", func(r *rounds) {
				r.next("BatchGetItem", "Query", "Query", "Query", "Query", "Query")
				r.pass("")
				if !known {
					r.next("GetItem")
					r.pass("")
				}
				r.next("BatchGetItem", "GetSecretValue", "PutItem")
				r.pass("GetSecretValue")
				r.still()
				if len(u.arrivals()) != reached {
					t.Error("the upstream was called before the intent was stored")
				}
				r.pass("")
				r.next("PutItem")
			})
			d.cost(t, map[bool]cost.Mode{false: cost.PolicyCold, true: cost.Static}[known], took)
		})
	}
}

// TestReadsOfPolicies: each set is read once by a process, whether in force or
// in shadow, and stays known when it goes out of force and comes back.
func TestReadsOfPolicies(t *testing.T) {
	t.Parallel()
	d, _ := warmed(t)
	set, shadow := d.set(noDeletes+fourEyes), d.set(notInShadow)
	for i, c := range []struct {
		inForce, shadow string
		reads           int
	}{{"", "", 0}, {set, shadow, 2}, {set, shadow, 0}, {"", "", 0}, {shadow, "", 0}, {set, "", 0}} {
		d.govern(c.inForce, c.shadow)
		d.faults.ResetCounts()
		d.post(alice, "notes")
		if n := d.faults.Count("GetItem"); n != c.reads {
			t.Errorf("step %d: %d reads, want %d", i, n, c.reads)
		}
	}
}
