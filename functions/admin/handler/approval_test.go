package handler

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

const (
	wiki    = "/servers/wiki"
	approve = wiki + "/approve"
)

var (
	wikiBody  = strings.Replace(serverBody, "notes.example.com", "wiki.example.com", 1)
	movedBody = strings.Replace(serverBody, "notes.example.com", "elsewhere.example.com", 1)
)

func suspended(body string) string { return strings.Replace(body, `"active"`, `"suspended"`, 1) }

// stands requires a server's state and proposer.
func (f *fixture) stands(t *testing.T, path, state string, proposer any) answer {
	t.Helper()
	a := f.call(t, "auditor", "GET", path, nil).want(t, 200, "")
	if a.body["state"] != state || a.body["proposed_by"] != proposer {
		t.Errorf("it stands at %s", a.Body)
	}
	return a
}

// TestANewOriginInProductionWaitsForASecondAdministrator: nobody calls until
// another than the proposer has approved it.
func TestANewOriginInProductionWaitsForASecondAdministrator(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for _, query := range []string{"?dry_run=true", ""} {
		if a := f.call(t, "admin", "PUT", wiki+query, wikiBody, "If-None-Match", "*").want(t, 200, ""); a.body["state"] != "pending" || a.body["proposed_by"] != "p-admin" {
			t.Errorf("%s", a.Body)
		}
	}
	f.call(t, "root", "PUT", wiki+"/bindings/dev-wiki", bindingBody, "If-None-Match", "*").want(t, 200, "")
	asked := strings.Replace(question, "notes", "wiki", 1)
	if a := f.call(t, "admin", "POST", "/explain", asked).want(t, 200, ""); a.body["reason"] != string(broker.ServerClosed) || !strings.Contains(a.Body.String(), `"missing":["`+lacksApproval+`"]`) {
		t.Errorf("a call gets %s", a.Body)
	}
	for _, who := range []string{"admin", "owner", "auditor", "nobody", "other"} {
		f.call(t, who, "POST", approve, nil, "If-Match", `"v1"`).want(t, 403, "forbidden")
	}
	f.call(t, "second", "POST", approve, nil).want(t, 428, "condition_required")
	f.call(t, "second", "POST", approve+"?dry_run=true", nil, "If-Match", `"v1"`).want(t, 200, "")
	f.stands(t, wiki, "pending", "p-admin")
	a := f.call(t, "second", "POST", approve, nil, "If-Match", `"v1"`).want(t, 200, "")
	if r := f.records(a); a.Header().Get("ETag") != `"v2"` || len(r) != 2 || r[0].Method != "approve-server" || !strings.Contains(r[0].Before, `"proposed_by":"p-admin"`) {
		t.Errorf("%v %s, recorded %+v", a.Header(), a.Body, r)
	}
	f.stands(t, wiki, "active", nil)
	if a := f.call(t, "admin", "POST", "/explain", asked).want(t, 200, ""); a.body["allowed"] != true {
		t.Errorf("a call gets %s", a.Body)
	}
	f.call(t, "second", "POST", approve, nil, "If-Match", `"v2"`).want(t, 422, "invalid")
	f.call(t, "second", "POST", approve, nil, "If-Match", `"v1"`).want(t, 412, "version_conflict")
	f.call(t, "second", "POST", "/servers/none/approve", nil, "If-Match", `"v1"`).want(t, 404, "not_found")
	f.call(t, "nobody", "POST", "/servers/none/approve", nil, "If-Match", `"v1"`).want(t, 403, "forbidden")
}

// TestAMovedServerWaitsToo, and keeps its proposer whoever edits it: only who
// moves it again is the new one.
func TestAMovedServerWaitsToo(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	const notes = "/servers/notes"
	f.call(t, "admin", "PUT", notes, movedBody, "If-Match", `"v1"`).want(t, 200, "")
	described := strings.Replace(movedBody, `"state"`, `"description":"ours","state"`, 1)
	f.call(t, "root", "PUT", notes, described, "If-Match", `"v2"`).want(t, 200, "")
	f.stands(t, notes, "pending", "p-admin")
	f.call(t, "admin", "POST", notes+"/approve", nil, "If-Match", `"v3"`).want(t, 403, "forbidden")
	f.call(t, "root", "PUT", notes, wikiBody, "If-Match", `"v3"`).want(t, 200, "")
	f.stands(t, notes, "pending", "p-root")
	f.call(t, "root", "POST", notes+"/approve", nil, "If-Match", `"v4"`).want(t, 403, "forbidden") // super_admin or not
	f.call(t, "admin", "POST", notes+"/approve", nil, "If-Match", `"v3"`).want(t, 412, "version_conflict")
	f.call(t, "admin", "POST", notes+"/approve", nil, "If-Match", `"v4"`).want(t, 200, "")
	a := f.stands(t, notes, "active", nil)
	if !strings.Contains(a.Body.String(), `"missing":["`+lacksRebinding+`"]`) {
		t.Errorf("%s", a.Body)
	}
	f.call(t, "admin", "PUT", notes, strings.Replace(wikiBody, "/mcp", "/v2/mcp", 1), "If-Match", `"v5"`).want(t, 200, "")
	f.stands(t, notes, "active", nil) // another path is no other origin
}

// TestSuspendingAndResumingDoesNotSkipTheApproval, and approving does not resume.
func TestSuspendingAndResumingDoesNotSkipTheApproval(t *testing.T) {
	f := newFixture(t)
	f.call(t, "admin", "PUT", wiki, suspended(wikiBody), "If-None-Match", "*").want(t, 200, "")
	f.stands(t, wiki, "suspended", "p-admin")
	f.call(t, "admin", "PUT", wiki, wikiBody, "If-Match", `"v1"`).want(t, 200, "")
	f.stands(t, wiki, "pending", "p-admin")
	f.call(t, "owner", "PUT", wiki, suspended(wikiBody), "If-Match", `"v2"`).want(t, 200, "")
	f.call(t, "owner", "PUT", wiki, wikiBody, "If-Match", `"v3"`).want(t, 403, "forbidden")
	f.call(t, "second", "POST", approve, nil, "If-Match", `"v3"`).want(t, 200, "")
	f.stands(t, wiki, "suspended", nil)
	f.call(t, "admin", "PUT", wiki, wikiBody, "If-Match", `"v4"`).want(t, 200, "")
	f.stands(t, wiki, "active", nil)
}

// TestAServerSaysWhatIsMissing before calls can work, in the words of the
// document.
func TestAServerSaysWhatIsMissing(t *testing.T) {
	c := newContract(t)
	f := c.fixture
	f.call(t, "root", "PUT", "/stores/aws-sm", storeBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/environment", `{"state":"suspended","policies":"","shadow":""}`, "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "admin", "PUT", wiki, suspended(wikiBody), "If-None-Match", "*").want(t, 200, "")
	lacks := func(want ...string) {
		t.Helper()
		a := c.good(t, "auditor", "GET", wiki, "")
		var got []string
		list, _ := a.body["missing"].([]any)
		for _, m := range list {
			got = append(got, m.(string))
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("missing %q, want %q", got, want)
		}
	}
	lacks(lacksApproval, lacksResumption, lacksEnvironment, lacksBinding)
	f.call(t, "root", "PUT", "/environment", environmentBody, "If-Match", `"v2"`).want(t, 200, "")
	ended := strings.Replace(bindingBody, `"state"`, `"expires":"2020-01-01T00:00:00Z","state"`, 1)
	f.call(t, "root", "PUT", wiki+"/bindings/ended", ended, "If-None-Match", "*").want(t, 200, "")
	lacks(lacksApproval, lacksResumption, lacksBinding)
	f.call(t, "root", "PUT", wiki+"/bindings/dev-wiki", bindingBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", wiki, wikiBody, "If-Match", `"v1"`).want(t, 200, "")
	lacks(lacksApproval)
	f.call(t, "second", "POST", approve, nil, "If-Match", `"v2"`).want(t, 200, "")
	lacks()
	for kind, c := range map[broker.MarkerKind]struct{ id, lacks string }{broker.ServerMarker: {"wiki", lacksResumption},
		broker.EnvironmentMarker: {"prod", lacksEnvironment}, broker.EverythingMarker: {"prod", lacksEnvironment},
		broker.BindingMarker: {"wiki/dev-wiki", lacksLifting}, broker.StoreMarker: {"aws-sm", lacksLifting}, broker.ReferenceMarker: {"aws-sm:prod/notes", lacksLifting}} {
		m := broker.Marker{Environment: "prod", Kind: kind, ID: c.id, Epoch: 1, Revoked: true, At: time.Now()}
		for _, want := range [][]string{{c.lacks}, nil} {
			if err := f.tables.PutMarker(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			lacks(want...)
			m.Epoch, m.Revoked = 2, false
		}
	}
	f.tables.Inject(memory.ReadMarkers, memory.Refuse())
	f.call(t, "auditor", "GET", wiki, nil).want(t, 503, "unavailable")
	f.tables.Inject(memory.ListBindings, memory.Refuse())
	f.call(t, "auditor", "GET", wiki, nil).want(t, 503, "unavailable")
}

// TestElsewhereTheChangeIsTheApproval: a deployment that is not production.
func TestElsewhereTheChangeIsTheApproval(t *testing.T) {
	f := newFixture(t)
	f.call(t, "admin", "PUT", wiki, wikiBody, "If-None-Match", "*").want(t, 200, "")
	f.production = false
	f.call(t, "admin", "PUT", "/servers/other", wikiBody, "If-None-Match", "*").want(t, 200, "")
	f.stands(t, "/servers/other", "active", nil)
	f.call(t, "admin", "PUT", wiki, wikiBody, "If-Match", `"v1"`).want(t, 200, "")
	f.stands(t, wiki, "active", nil)
}

// TestAnApprovalThatBrokeOffFindsItsOwnWork.
func TestAnApprovalThatBrokeOffFindsItsOwnWork(t *testing.T) {
	for name, fault := range map[string]memory.Fault{"before the change": memory.Refuse(), "after it": memory.Lose()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.call(t, "admin", "PUT", wiki, wikiBody, "If-None-Match", "*").want(t, 200, "")
				f.tables.Inject(memory.PutServer, fault)
				header := []string{"If-Match", `"v1"`, "Idempotency-Key", "k"}
				f.call(t, "second", "POST", approve, nil, header...).want(t, 503, "unavailable")
				f.call(t, "second", "POST", approve, nil, header...).want(t, 200, "")
				if again := f.call(t, "second", "POST", approve, nil, header...).want(t, 200, ""); again.Header().Get("Idempotent-Replay") != "true" {
					t.Errorf("it was made once more: %v", again.Header())
				}
			})
		})
	}
}

// TestADeletionThatBrokeOffFindsItsOwnWork: what it deleted is deleted, and not
// unknown.
func TestADeletionThatBrokeOffFindsItsOwnWork(t *testing.T) {
	for name, fault := range map[string]memory.Fault{"before the change": memory.Refuse(), "after it": memory.Lose()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { deletionBrokenOff(t, fault) })
		})
	}
}

func deletionBrokenOff(t *testing.T, fault memory.Fault) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/agents/oidc:bot", agentBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/notes/tools/whoami", toolBody, "If-None-Match", "*").want(t, 200, "")
	for _, c := range []struct {
		op   memory.Op
		path string
	}{{memory.PutBinding, "/servers/notes/bindings/dev-notes"}, {memory.PutTool, "/servers/notes/tools/whoami"}, {memory.PutServer, "/servers/notes"},
		{memory.PutAgent, "/agents/oidc:bot"}, {memory.PutStore, "/stores/aws-sm"}} {
		who := "root"
		if c.op == memory.PutBinding || c.op == memory.PutTool {
			who = "owner" // who may not delete what was stopped, but finds the own work
		}
		remove := func() answer {
			return f.call(t, who, "DELETE", c.path, nil, "If-Match", `"v1"`, "Idempotency-Key", c.path)
		}
		f.tables.Inject(c.op, fault)
		remove().want(t, 503, "unavailable")
		remove().want(t, 204, "")
		f.call(t, who, "DELETE", c.path, nil, "If-Match", `"v1"`).want(t, 404, "not_found")
		f.call(t, "auditor", "GET", c.path, nil).want(t, 404, "not_found")
	}
}
