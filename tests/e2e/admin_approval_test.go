//go:build e2e && !nonode

package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/config"
)

func production(c *config.Config) { c.Production = true }

// TestInProductionASecondAdministratorApprovesAnOrigin, of a new server and of
// one that moves; until then no call is served and no credential leaves.
func TestInProductionASecondAdministratorApprovesAnOrigin(t *testing.T) {
	t.Parallel()
	d := administered(t, production)
	u, other := d.upstream(echo()), d.upstream(echo())
	registered(t, u, d)
	d.ask(bob, "GET", "/servers/notes", "").want(t, 200, `"missing":["approval by a second administrator"]`)
	refusal := d.post(alice, "notes")
	refusal.want(t, 403, forbidden)
	d.refused(refusal, broker.ServerClosed)

	const approve = "/servers/notes/approve"
	own := d.ask(bob, "POST", approve, "", "If-Match", `"v1"`)
	own.want(t, 403, "urn:bindery:problem:forbidden")
	d.refused(own, broker.NotPermitted)
	d.ask(alice, "POST", approve, "", "If-Match", `"v1"`).want(t, 403, "urn:bindery:problem:forbidden")
	u.untouched(t)
	for range 2 { // sent again under its key, it is made once
		d.ask(carol, "POST", approve, "", "If-Match", `"v1"`, "Idempotency-Key", "approval").want(t, 200, `"version":2`)
	}
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")

	d.changed("/servers/notes", body(serverAt(other.URL)), 2)
	moved := d.post(alice, "notes")
	moved.want(t, 403, forbidden)
	d.refused(moved, broker.ServerClosed)
	d.ask(carol, "POST", approve, "", "If-Match", `"v2"`).want(t, 412, "urn:bindery:problem:version_conflict")
	d.ask(carol, "POST", approve, "", "If-Match", `"v3"`).want(t, 200, `"state":"active"`)
	d.ask(bob, "GET", "/servers/notes", "").want(t, 200, "its bindings to be put again")
	other.untouched(t)
}

// TestATeamBindsAndEntersWhatIsAssignedToItsServer, and no more; what is deleted
// is gone from the next call on.
func TestATeamBindsAndEntersWhatIsAssignedToItsServer(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	d.made("/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`)
	d.made("/agents/"+shellAgent, `{"team":"platform","ceiling":"critical","state":"active"}`)
	d.made("/servers/notes", body(serverAt(u.URL)))
	value := object("server", "notes", "value", d.canary())
	d.ask(alice, "PUT", "/values/notes", value).want(t, 403, "urn:bindery:problem:forbidden")
	d.made("/assignments/notes", `{"store":"sealed","paths":["notes"],"servers":["notes"],"state":"active"}`)
	d.ask(alice, "PUT", "/values/notes", value).want(t, 200, "sealed:notes")
	d.ask(alice, "PUT", "/values/another", value).want(t, 403, "urn:bindery:problem:forbidden")
	d.ask(alice, "PUT", "/servers/notes/bindings/dev-notes", body(sealedCard()), "If-None-Match", "*").want(t, 200, `"version":1`)
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")

	d.ask(bob, "DELETE", "/assignments/notes", "", "If-Match", `"v1"`).want(t, 204, "")
	d.ask(alice, "PUT", "/values/notes", value).want(t, 403, "urn:bindery:problem:forbidden")
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
	u.last(t)
	for range 2 {
		d.ask(bob, "DELETE", "/values/notes", "").want(t, 204, "")
	}
	if r := d.records(d.post(alice, "notes")); len(r) != 2 || r[1].Reason != broker.SecretMissing {
		t.Errorf("recorded %+v", r)
	}
	d.ask(bob, "PUT", "/values/notes", value).want(t, 200, `"version":4`)
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
}

// TestPoliciesArePutIntoForceAndOutOfIt at the API alone.
func TestPoliciesArePutIntoForceAndOutOfIt(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u := d.upstream(echo())
	registered(t, u, d)
	stored := d.ask(bob, "POST", "/policy-sets", object("text", `@id("closed")
forbid (principal, action == Action::"call_tool", resource == Server::"notes");`, "tests", `[{"name":"notes","server":{"name":"notes"},"tool":"whoami","expect":"forbid"}]`))
	stored.want(t, 200, `"passed":true`)
	var set struct{ ID string }
	must(t, json.Unmarshal([]byte(stored.body), &set))
	e := d.ask(bob, "GET", "/environment", "")
	version := func(a answer) string { return a.header.Get("ETag") }
	e = d.ask(bob, "PUT", "/environment", object("state", "active", "policies", set.ID, "shadow", ""), "If-Match", version(e))
	e.want(t, 200, set.ID)
	refusal := d.post(alice, "notes")
	refusal.want(t, 403, forbidden)
	d.refused(refusal, broker.PolicyForbids)
	d.ask(bob, "GET", "/policy-sets", "").want(t, 200, set.ID)
	if again := d.ask(bob, "GET", "/policy-sets/"+set.ID, ""); !strings.Contains(again.body, "closed") {
		t.Errorf("read %s", again.body)
	}
	u.untouched(t)
	d.ask(bob, "PUT", "/environment", `{"state":"active","policies":"","shadow":""}`, "If-Match", version(e)).want(t, 200, "")
	d.post(alice, "notes").want(t, 200, "[masked:dev-notes]")
}
