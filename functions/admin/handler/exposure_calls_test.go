package handler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// TestExposureSaysWhatACallWouldMeet, whatever stops it: a card whose row says
// active may serve nobody.
func TestExposureSaysWhatACallWouldMeet(t *testing.T) {
	const cards, store = "/servers/notes/bindings/dev-notes", "/stores/aws-sm"
	put := func(path, body string) func(*fixture, *testing.T) {
		return func(f *fixture, t *testing.T) {
			f.call(t, "root", "PUT", path, body, "If-Match", `"v1"`).want(t, 200, "")
		}
	}
	stop := func(kind, subject string) func(*fixture, *testing.T) {
		return func(f *fixture, t *testing.T) {
			f.call(t, "root", "POST", "/revocations", `{"kind":"`+kind+`","subject":"`+subject+`","reason":"it was found in a public repository"}`).want(t, 200, "")
		}
	}
	for name, c := range map[string]struct {
		do    func(*fixture, *testing.T)
		says  []string // calls, state, server_state
		about string   // what is revoked
	}{
		"nothing":           {func(*fixture, *testing.T) {}, []string{"possible", "active", "active"}, ""},
		"the card":          {stop("binding", "notes/dev-notes"), []string{"stopped", "revoked", "active"}, "binding/notes/dev-notes"},
		"the server":        {stop("server", "notes"), []string{"stopped", "active", "revoked"}, "server/notes"},
		"the secret":        {stop("reference", "aws-sm:prod/notes#token"), []string{"stopped", "active", "active"}, "reference/aws-sm:prod/notes"},
		"the store":         {stop("store", "aws-sm"), []string{"stopped", "active", "active"}, "store/aws-sm"},
		"whom it is for":    {stop("group", "dev"), []string{"stopped", "active", "active"}, "group/dev"},
		"another group":     {stop("group", "ops"), []string{"possible", "active", "active"}, ""},
		"the environment":   {stop("environment", "prod"), []string{"stopped", "active", "active"}, "environment/prod"},
		"everything":        {stop("everything", "prod"), []string{"stopped", "active", "active"}, "everything/prod"},
		"a suspended card":  {put(cards, strings.Replace(bindingBody, `"state":"active"`, `"state":"suspended"`, 1)), []string{"stopped", "suspended", "active"}, ""},
		"a suspended store": {put(store, strings.Replace(storeBody, "active", "suspended", 1)), []string{"stopped", "active", "active"}, ""},
		"a closed environment": {func(f *fixture, t *testing.T) {
			f.call(t, "root", "PUT", "/environment", strings.Replace(environmentBody, "active", "suspended", 1), "If-Match", `"v1"`).want(t, 200, "")
		}, []string{"stopped", "active", "active"}, ""},
		"a moved server": {put("/servers/notes", strings.Replace(serverBody, "notes.example.com", "moved.example.com", 1)), []string{"pending", "active", "pending"}, ""},
		"a card that is over": {func(f *fixture, t *testing.T) {
			put(cards, strings.Replace(bindingBody, `"state"`, `"expires":"2090-01-01T00:00:00Z","state"`, 1))(f, t)
			f.now = func() time.Time { return time.Date(2091, 1, 1, 0, 0, 0, 0, time.UTC) }
		}, []string{"expired", "active", "active"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.seed(t)
			c.do(f, t)
			for _, query := range []string{"reference=aws-sm:prod/notes", "store=aws-sm", "server=notes&binding=dev-notes", "principal=p-aliceaaaaaaaaaaaaaaaaaaaaa"} {
				a := f.call(t, "auditor", "GET", "/exposure/bindings?"+query, nil).want(t, 200, "")
				says := slices.Concat(a.items("calls"), a.items("state"), a.items("server_state"))
				if d := cmp.Diff(c.says, says); d != "" {
					t.Errorf("%s: %s", query, d)
				}
				about := []any{}
				if c.about != "" {
					about = append(about, c.about)
				}
				if d := cmp.Diff(about, a.body["items"].([]any)[0].(map[string]any)["revoked"]); d != "" {
					t.Errorf("%s: %s", query, d)
				}
			}
		})
	}
}

// TestExposureKnowsWhatItsStoreIsReadWith: a vault that nobody can sign in to
// gives nothing.
func TestExposureKnowsWhatItsStoreIsReadWith(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/vault", strings.Replace(vaultBody, "prod/vault#token", "prod/notes#token", 1), "If-None-Match", "*").want(t, 200, "")
	b, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "notes"}, "dev-notes")
	if err != nil {
		t.Fatal(err)
	}
	if b.Fields[0].Reference, err = broker.ParseReference("vault:secret/data/mcp/notes#token"); err != nil {
		t.Fatal(err)
	}
	if err := f.tables.PutBinding(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	calls := func() string {
		return f.call(t, "auditor", "GET", "/exposure/bindings?store=vault", nil).want(t, 200, "").items("calls")[0]
	}
	if before := calls(); before != "possible" {
		t.Errorf("before: %s", before)
	}
	f.call(t, "root", "POST", "/revocations", `{"kind":"reference","subject":"aws-sm:prod/notes","reason":"found in a public repository"}`).want(t, 200, "")
	if after := calls(); after != "stopped" {
		t.Errorf("afterwards: %s", after)
	}
}

// TestExposureWithoutMarkersSaysSo: who looks after a leak is not left without
// the list, and nothing in it is taken for a way that is open.
func TestExposureWithoutMarkersSaysSo(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.tables.Inject(memory.ReadMarkers, memory.Fault{}, memory.Refuse()) // the first asks whether the caller is revoked
	a := f.call(t, "auditor", "GET", "/exposure/bindings?store=aws-sm", nil).want(t, 200, "")
	if calls := a.items("calls"); !slices.Equal(calls, []string{"unknown"}) {
		t.Errorf("calls %v", calls)
	}
}
