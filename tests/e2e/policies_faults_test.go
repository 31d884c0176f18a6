//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
)

// TestPoliciesThatCannotBeReadRefuseEveryCall until they can be: nothing of the
// fault stays. A set that is only tried out refuses none.
func TestPoliciesThatCannotBeReadRefuseEveryCall(t *testing.T) {
	t.Parallel()
	for name, effect := range map[string]faultproxy.Effect{
		"throttled":                faultproxy.Throttle(),
		"the role may not read":    faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException"),
		"the answer is no JSON":    faultproxy.Garble(),
		"the answers are lost":     faultproxy.DropAnswer(),
		"the endpoint hangs":       faultproxy.Delay(4 * time.Second),
		"the endpoint breaks down": faultproxy.ServerError(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, u := warmed(t)
			secrets := d.faults.Count("GetSecretValue")
			inForce, shadow := d.set(noDeletes), d.set(notInShadow)
			d.govern(inForce, "")
			d.faults.Inject(always("GetItem", `"policies/`, effect))
			a := d.post(alice, "notes")
			if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, undecided) || a.header.Get("Retry-After") == "" {
				t.Errorf("answered %d %s", a.status, a.body)
			}
			d.refused(a, broker.PoliciesUnread)
			u.spared(t)
			if n := d.faults.Count("GetSecretValue"); n != secrets {
				t.Errorf("%d secrets were read", n-secrets)
			}
			d.faults.Clear()
			d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")

			d.govern(inForce, shadow)
			d.faults.Inject(always("GetItem", `"policies/`, effect))
			a = d.post(alice, "notes")
			a.want(t, http.StatusOK, "[masked:dev-notes]")
			if r := d.ended(a, ""); r.Shadow == nil || r.Shadow.Effect != broker.WouldBeUnread || r.Policy != inForce {
				t.Errorf("recorded %q, %+v", r.Policy, r.Shadow)
			}
			d.faults.Clear()
			if r := d.ended(d.post(alice, "notes"), ""); r.Shadow == nil || r.Shadow.Effect != broker.WouldForbid {
				t.Errorf("recorded %+v", r.Shadow)
			}
		})
	}
}
