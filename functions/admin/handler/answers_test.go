package handler

import (
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// TestWhatFailsIsRecordedAsItIsAnswered, wherever in a request it fails; that
// records say what was answered is held of every request of every test.
func TestWhatFailsIsRecordedAsItIsAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		op                 memory.Op
		method, path, body string
	}{
		"a list that cannot be read":               {memory.ListServers, "GET", "/servers", ""},
		"a dry run that cannot look":               {memory.ListUses, "POST", "/incidents?dry_run=true", incidentBody},
		"an incident that is stopped, and unread":  {memory.ListUses, "POST", "/incidents", incidentBody},
		"a stop that is foreseen, and cannot be":   {memory.ReadMarkers, "POST", "/revocations?dry_run=true", revocationBody},
		"references without their revocations":     {memory.ReadMarkers, "GET", "/stores/aws-sm/references", ""},
		"a provider whose stores cannot be listed": {memory.ListStores, "PUT", "/providers/acme?dry_run=true", providerBody},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.seed(t)
			faults := []memory.Fault{memory.Refuse(), memory.Refuse(), memory.Refuse()}
			if c.op == memory.ReadMarkers { // the first asks whether the caller is revoked
				faults = append([]memory.Fault{{}}, faults...)
			}
			f.tables.Inject(c.op, faults...)
			a := f.call(t, "root", c.method, c.path, c.body, "If-None-Match", "*").want(t, 503, "unavailable")
			if len(f.records(a)) == 0 {
				t.Error("nothing of it is recorded")
			}
		})
	}
}

// TestNothingIsShownThatCouldNotBeRecorded: the answer is there, and is held back.
func TestNothingIsShownThatCouldNotBeRecorded(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.tables.Inject(memory.Append, slices.Repeat([]memory.Fault{memory.Refuse()}, 8)...)
	a := f.call(t, "root", "GET", "/servers/notes", nil).want(t, 503, "audit_unavailable")
	if strings.Contains(a.Body.String(), "notes.example.com") || a.Header().Get("ETag") != "" {
		t.Errorf("answered %v %s", a.Header(), a.Body)
	}
}

// TestAnAnswerThatIsAnErrorDidNotGoWell: so say the words for people.
func TestAnAnswerThatIsAnErrorDidNotGoWell(t *testing.T) {
	f := newFixture(t)
	missing := f.call(t, "root", "GET", "/servers/none", nil).want(t, 404, "not_found")
	if r := f.records(missing); len(r) != 1 || r[0].Phase != broker.Outcome || r[0].Status != 404 || r[0].Method != "get-server" {
		t.Fatalf("recorded %+v", r)
	}
	said := f.call(t, "auditor", "GET", "/audit/"+missing.Header().Get("Bindery-Receipt"), nil).want(t, 200, "")
	if text := said.body["explanation"].(string); !strings.Contains(text, "answered with an error") {
		t.Errorf("explained: %s", text)
	}
}

// TestAnAddressSaysWhichMethodsItTakes, and one that is none says no more.
func TestAnAddressSaysWhichMethodsItTakes(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ method, path, takes string }{
		{"PATCH", "/servers/notes", "GET, PUT, DELETE"}, {"POST", "/servers/notes", "GET, PUT, DELETE"}, {"DELETE", "/servers", "GET"},
		{"GET", "/servers/notes/approve", "POST"}, {"HEAD", "/values/x", "PUT, DELETE"}, {"PUT", "/incidents", "GET, POST"},
	} {
		a := f.call(t, "root", c.method, c.path, nil).want(t, 405, "method_not_allowed")
		if got := a.Header().Get("Allow"); got != c.takes {
			t.Errorf("%s %s: allows %q, want %q", c.method, c.path, got, c.takes)
		}
	}
	for _, path := range []string{"/nothing", "/servers/", "/servers/notes/none"} {
		if a := f.call(t, "root", "PATCH", path, nil).want(t, 404, "not_found"); a.Header().Get("Allow") != "" {
			t.Errorf("%s: allows %s", path, a.Header().Get("Allow"))
		}
	}
}

// TestValuesHaveOneStore: another name of it would be another name of each value.
func TestValuesHaveOneStore(t *testing.T) {
	f := newFixture(t)
	for _, dry := range []string{"?dry_run=true", ""} {
		a := f.call(t, "root", "PUT", "/stores/typed"+dry, sealedBody, "If-None-Match", "*").want(t, 422, "invalid")
		if detail, _ := a.body["detail"].(string); !strings.Contains(detail, "sealed") {
			t.Errorf("nobody is told what to do: %q", detail)
		}
	}
	f.call(t, "root", "PUT", "/stores/sealed", sealedBody, "If-None-Match", "*").want(t, 200, "")
	if err := f.tables.PutStore(t.Context(), broker.Store{Environment: "prod", Name: "typed", Kind: "sealed", Paths: broker.Scope{"*"}, State: broker.Active}); err != nil {
		t.Fatal(err)
	}
	f.call(t, "root", "PUT", "/stores/typed", strings.Replace(sealedBody, "active", "suspended", 1), "If-Match", `"v1"`).want(t, 200, "") // what stands from before can be closed
	f.call(t, "root", "DELETE", "/stores/typed", nil, "If-Match", `"v2"`).want(t, 204, "")
}
