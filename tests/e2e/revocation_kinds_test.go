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

// lift takes the first marker of something back.
func (d *deployment) lift(kind broker.MarkerKind, id string) {
	d.t.Helper()
	must(d.t, d.DB.PutMarker(d.t.Context(), broker.Marker{Environment: d.env, Kind: kind, ID: id, Epoch: 2, At: time.Now(), By: "test"}))
}

// TestEachKindOfRevocationIsSeenByTheNextCall, to the caller like anything else
// that is not allowed, and is over with the marker.
func TestEachKindOfRevocationIsSeenByTheNextCall(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	passed := 1
	for _, c := range []struct {
		kind     broker.MarkerKind
		id       string
		reason   broker.Reason
		recorded bool // the intent was, before it was known
	}{
		{broker.PrincipalMarker, person(alice).Principal, broker.PrincipalRevoked, false},
		{broker.AgentMarker, shellAgent, broker.AgentRevoked, false},
		{broker.GroupMarker, "dev", broker.GroupRevoked, false},
		{broker.IssuerMarker, shared.oidc.URL, broker.IssuerRevoked, false},
		{broker.ServerMarker, "notes", broker.ServerClosed, false},
		{broker.BindingMarker, "notes/dev-notes", broker.BindingClosed, false},
		{broker.StoreMarker, "aws-sm", broker.StoreUnregistered, false},
		{broker.EnvironmentMarker, d.env, broker.EnvironmentClosed, false},
		{broker.EverythingMarker, d.env, broker.EnvironmentClosed, false},
		{broker.ReferenceMarker, "aws-sm:" + d.env + "/notes", broker.ReferenceRevoked, true},
	} {
		d.revoke(c.kind, c.id)
		a := d.post(alice, "notes")
		a.want(t, http.StatusForbidden, forbidden)
		if c.recorded {
			d.ended(a, c.reason)
		} else {
			d.refused(a, c.reason)
		}
		if n := len(u.arrivals()); n != passed {
			t.Errorf("%s: the upstream was asked", c.kind)
		}
		d.lift(c.kind, c.id)
		d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
		passed++
	}
}

// TestMarkersThatCannotBeReadRefuseTheCall, each read of them.
func TestMarkersThatCannotBeReadRefuseTheCall(t *testing.T) {
	t.Parallel()
	d, u := warmed(t)
	for name, rule := range map[string]faultproxy.Rule{
		"of all":              always("Query", `"markers/`+d.env+`#`, faultproxy.Throttle()),
		"of the server":       always("Query", `"markers/`+d.env+`/notes"`, faultproxy.ServerError()),
		"the role may not":    always("Query", `"markers/`, faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException")),
		"of the person":       always("BatchGetItem", `/principal/`, faultproxy.Unprocessed(0)),
		"of the secret":       always("BatchGetItem", `/reference/`, faultproxy.Throttle()),
		"of it, unprocessed":  always("BatchGetItem", `/reference/`, faultproxy.Unprocessed(0)),
		"of it, for too long": always("BatchGetItem", `/reference/`, faultproxy.Delay(4*time.Second)),
	} {
		d.faults.Clear()
		d.faults.Inject(rule)
		a := d.post(alice, "notes")
		if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, undecided) {
			t.Errorf("%s: answered %d %s", name, a.status, a.body)
		}
		records := d.records(a)
		if last := records[len(records)-1]; last.Reason != broker.CatalogueUnread {
			t.Errorf("%s: recorded %s", name, last.Reason)
		}
		u.spared(t)
	}
	d.faults.Clear()
	d.faults.Inject(once("BatchGetItem", `/reference/`, faultproxy.Unprocessed(0)))
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]") // what passes is got over
}

// kept is a deployment whose card keeps its value for an hour, and an upstream
// that shows the value before.
func kept(t *testing.T, accepts func(token string) bool, before *string) (*deployment, *upstream, string) {
	t.Helper()
	d := deploy(t)
	u := d.upstream(func(w http.ResponseWriter, r *http.Request) {
		if !accepts(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		echo("cached", *before)(w, r)
	})
	d.server("notes", u.URL)
	current, reference := d.secret("notes")
	d.bind(d.card("notes", "dev-notes", group("dev"), reference), func(b *broker.Binding) { b.MaxAge = time.Hour })
	for range 2 { // the second gets what the first has read
		d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	}
	return d, u, current
}

// TestAChangeIsUsedByTheNextCallAlthoughTheCardKeepsValues: a change that was
// heard of ends what is kept, and the value before still reaches nobody.
func TestAChangeIsUsedByTheNextCallAlthoughTheCardKeepsValues(t *testing.T) {
	t.Parallel()
	before := ""
	d, u, first := kept(t, func(string) bool { return true }, &before)
	read := d.faults.Count("GetSecretValue")
	a := d.post(alice, "notes")
	if r := d.ended(a, ""); len(r.Accesses) != 1 || r.Accesses[0].Version == "" || r.Accesses[0].RequestID != "" || d.faults.Count("GetSecretValue") != read {
		t.Errorf("the store was asked for what is kept: %+v", r.Accesses)
	}
	second := d.canary()
	d.rotate("notes", object("token", second))
	d.post(alice, "notes").want(t, http.StatusOK, "[masked:dev-notes]")
	u.carried(t, first) // nobody has said that it changed
	before = first
	must(t, d.DB.PutMarker(t.Context(), broker.Marker{Environment: d.env, Kind: broker.ChangeMarker, ID: "aws-sm:" + d.env + "/notes", Epoch: 1, At: time.Now(), By: "test"}))
	for range 2 {
		d.post(alice, "notes").want(t, http.StatusOK, `"cached":"[masked:dev-notes]"`)
		u.carried(t, second)
	}
}

// TestAnUpstreamThatRefusesWhatIsKeptGetsTheNextValue: within the same call.
func TestAnUpstreamThatRefusesWhatIsKeptGetsTheNextValue(t *testing.T) {
	t.Parallel()
	before, refused := "", ""
	d, u, first := kept(t, func(token string) bool { return token != refused }, &before)
	second := d.canary()
	d.rotate("notes", object("token", second))
	before, refused = first, first
	n := len(u.arrivals())
	a := d.post(alice, "notes")
	a.want(t, http.StatusOK, `"cached":"[masked:dev-notes]"`)
	u.carried(t, second)
	if tries := len(u.arrivals()) - n; tries != 2 {
		t.Errorf("%d tries", tries)
	}
	if r := d.ended(a, ""); len(r.Accesses) != 2 || r.Accesses[0].Version == r.Accesses[1].Version {
		t.Errorf("recorded %+v", r.Accesses)
	}
	d.post(alice, "notes").want(t, http.StatusOK, `"cached":"[masked:dev-notes]"`)
	if tries := len(u.arrivals()) - n; tries != 3 {
		t.Errorf("the value that was read then is not kept: %d tries", tries)
	}
}
