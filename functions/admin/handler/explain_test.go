package handler

import (
	"strings"
	"testing"
)

// TestExplainSaysWhatACallWouldGet without a secret, a count, or a call.
func TestExplainSaysWhatACallWouldGet(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	question := func(change ...string) string {
		return strings.NewReplacer(change...).Replace(`{"server":"notes","principal":"p-aliceaaaaaaaaaaaaaaaaaaaaa","kind":"user","groups":["dev"],"action":"call_tool","target":"whoami"}`)
	}
	for name, c := range map[string]struct {
		body, want string
	}{
		"allowed":             {question(), `{"allowed":true,"binding":"dev-notes","version":1,"candidates":[{"binding":"dev-notes","version":1,"rank":"group","state":"active"}]}`},
		"not in the group":    {question("dev", "ops"), `{"allowed":false,"reason":"no_binding","candidates":[],"missing":["a binding that covers the caller and the call"]}`},
		"no such server":      {question("notes", "none"), `{"allowed":false,"reason":"server_unknown","candidates":[],"missing":["a server of this name"]}`},
		"an unknown agent":    {question(`"action"`, `"agent":"oidc:bot","action"`), `{"allowed":false,"reason":"agent_unknown","binding":"dev-notes","version":1,`},
		"another's name":      {question(`"action"`, `"binding":"other","action"`), `{"allowed":false,"reason":"not_own_binding",`},
		"prompts not allowed": {question("call_tool", "get_prompt"), `{"allowed":false,"reason":"no_binding"`},
	} {
		if a := f.call(t, "admin", "POST", "/explain", c.body).want(t, 200, ""); !strings.HasPrefix(a.Body.String(), c.want) {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	f.call(t, "other", "POST", "/explain", question()).want(t, 403, "forbidden")
	f.call(t, "owner", "POST", "/explain", question()).want(t, 200, "")
	f.call(t, "admin", "POST", "/explain", question("call_tool", "anything")).want(t, 422, "invalid")
	f.clean(t)
}

func TestACallerListsTheNamesOfTheirOwnBindingsAndNoMore(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/servers/notes/bindings/own", strings.Replace(bindingBody, `{"group":"dev"}`, `{"group":"team-other"}`, 1), "If-None-Match", "*").want(t, 200, "")
	if a := f.call(t, "other", "GET", "/servers/notes/own-bindings", nil).want(t, 200, ""); strings.TrimSpace(a.Body.String()) != `{"items":["own"]}` {
		t.Errorf("%s", a.Body)
	}
	for _, path := range []string{"/servers/notes/own-bindings", "/servers/none/own-bindings"} {
		if a := f.call(t, "nobody", "GET", path, nil).want(t, 200, ""); strings.TrimSpace(a.Body.String()) != `{"items":[]}` {
			t.Errorf("%s: %s", path, a.Body)
		}
	}
}
