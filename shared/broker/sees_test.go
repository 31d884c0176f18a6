package broker_test

import (
	"slices"
	"testing"

	"bindery/shared/broker"
)

// listed decides a tools/list of the principal, which reads all tools.
func listed(t *testing.T, w *world, p broker.Principal, change ...func(*broker.Call)) *broker.Decision {
	t.Helper()
	c := call(p)
	c.Action, c.Method, c.Target, c.Lists = broker.List, "tools/list", "", true
	for _, f := range change {
		f(&c)
	}
	d, err := w.broker().Decide(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func allow(tools ...string) func(*broker.Binding) {
	return func(b *broker.Binding) { b.Allow = broker.Allow{Tools: tools} }
}

func TestAListShowsWhatACallWouldBeAllowed(t *testing.T) {
	agent := func(p broker.Principal) broker.Principal { return viaAgent(p, "oidc:bot", false) }
	for name, c := range map[string]struct {
		shared []broker.Binding
		caller broker.Principal
		sees   []string
	}{
		"of its own binding":              {[]broker.Binding{card(t, "a", group("dev"), allow("read_*"))}, alice, []string{"read_issue"}},
		"of several bindings":             {[]broker.Binding{card(t, "a", group("dev"), allow("read_*")), card(t, "b", broker.Actor{Anyone: true}, allow("create_issue"))}, alice, []string{"read_issue", "create_issue"}},
		"not behind a dead binding":       {[]broker.Binding{card(t, "a", user("p-alice"), allow("read_*")), card(t, "b", group("dev"), allow("create_issue"), suspended), card(t, "c", broker.Actor{Anyone: true}, allow("*"))}, alice, []string{"read_issue", "delete_repo"}},
		"not a tool that is closed":       {[]broker.Binding{card(t, "a", group("dev"))}, alice, []string{"read_issue", "create_issue", "delete_repo"}},
		"not above the agent's ceiling":   {[]broker.Binding{card(t, "a", group("dev"))}, agent(alice), []string{"read_issue"}},
		"nothing that two bindings claim": {[]broker.Binding{card(t, "a", group("dev"), allow("read_*", "create_issue")), card(t, "b", group("ops"), allow("create_issue"), func(b *broker.Binding) { b.Priority = 0 }), card(t, "c", user("p-alice"), allow("nothing"))}, alice, []string{"read_issue"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.snapshot.Shared = c.shared
			w.snapshot.Agent = &broker.Agent{ID: "oidc:bot", State: broker.Active, Ceiling: broker.Low}
			w.snapshot.Tools = []broker.Tool{{Name: "read_issue", State: broker.Active, Risk: broker.Low}, {Name: "create_issue", State: broker.Active, Risk: broker.High},
				{Name: "closed", State: broker.Suspended, Risk: broker.Low}}
			d := listed(t, w, c.caller)
			if !w.lookup.Tools {
				t.Error("the tools' records were not asked for")
			}
			for _, tool := range []string{"read_issue", "create_issue", "delete_repo", "closed"} {
				if got, want := d.Sees(broker.CallTool, tool), slices.Contains(c.sees, tool); got != want {
					t.Errorf("%s: seen %v, want %v", tool, got, want)
				}
				w.snapshot.Tool = nil // what the catalogue would give for the call itself
				for i := range w.snapshot.Tools {
					if w.snapshot.Tools[i].Name == tool {
						w.snapshot.Tool = &w.snapshot.Tools[i]
					}
				}
				made := call(c.caller)
				made.Target = tool
				if _, err := w.broker().Decide(t.Context(), made); (err == nil) != d.Sees(broker.CallTool, tool) {
					t.Errorf("%s: the list and the call differ: %v", tool, err)
				}
			}
		})
	}
}

// One session at an upstream sees one credential, so a list within it shows
// only what its own binding serves.
func TestAListWithinASessionShowsOneBinding(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", group("dev"), allow("read_*")), card(t, "b", broker.Actor{Anyone: true}, allow("create_issue"))}
	d := listed(t, w, alice, func(c *broker.Call) { c.Session = "s-1" })
	if !d.Sees(broker.CallTool, "read_issue") || d.Sees(broker.CallTool, "create_issue") {
		t.Error("the list does not stop at the session's binding")
	}
	if w.lookup.Session != "s-1" {
		t.Error("the session's marker was not asked for")
	}
}

func TestPromptsResourcesAndTemplatesAreSeenByTheirOwnLists(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", group("dev"), func(b *broker.Binding) {
		b.Allow = broker.Allow{Prompts: []string{"review"}, Resources: []string{"repo://one/*", "file:///exact.txt"}}
	})}
	d := listed(t, w, alice)
	for _, c := range []struct {
		action broker.Action
		name   string
		want   bool
	}{{broker.CallTool, "review", false}, {broker.GetPrompt, "review", true}, {broker.GetPrompt, "other", false},
		{broker.ReadResource, "repo://one/a", true}, {broker.ReadResource, "repo://two/a", false}, {broker.ReadResource, "repo://one/../two/a", false}} {
		if got := d.Sees(c.action, c.name); got != c.want {
			t.Errorf("%s %s: %v", c.action, c.name, got)
		}
	}
	for template, want := range map[string]bool{"repo://one/{path}": true, "repo://{owner}/{path}": true, "repo://two/{path}": false,
		"file:///{name}": true, "file:///other/{name}": false, "{+anything}": true, "": true} {
		if got := d.SeesTemplate(template); got != want {
			t.Errorf("template %q: %v", template, got)
		}
	}
}

func TestARevokedSessionIsRefused(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", group("dev"))}
	w.snapshot.Markers = []broker.Marker{{Kind: broker.SessionMarker, ID: "s-1", Revoked: true}}
	c := call(alice)
	c.Session = "s-1"
	_, err := w.broker().Decide(t.Context(), c)
	wantReason(t, err, broker.SessionRevoked)
	// Who may not call at all learns nothing of a session, nor of the server by it.
	w.snapshot.Shared = nil
	_, err = w.broker().Decide(t.Context(), c)
	wantReason(t, err, broker.NoBinding)
}

// What could not be honoured if it were called is not shown.
func TestAListHidesWhatABindingCannotServe(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), allow("read_*")),
		card(t, "b", group("dev"), allow("create_issue"), func(b *broker.Binding) { b.Fields[0].Reference = reference(t, "aws-sm:staging/x#token") })}
	if d := listed(t, w, alice); !d.Sees(broker.CallTool, "read_issue") || d.Sees(broker.CallTool, "create_issue") {
		t.Error("a tool of a binding whose reference is out of scope is shown")
	}
}
