package handler

import (
	"fmt"
	"strings"
	"testing"
)

// TestABodyIsBoundedBeforeItIsLookedAt: what is wrong in each of very many
// places, or below a very long name, would cost the work of all of them.
func TestABodyIsBoundedBeforeItIsLookedAt(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", sealedBody, "If-None-Match", "*").want(t, 200, "")
	zeros := func(n int) string { return "[" + strings.Repeat("0,", n-1) + "0]" }
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":0`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	long := func(n int) string { return strings.Repeat("a", n) }
	document := func(name, of string) string {
		return strings.Replace(importBody, `"mcpServers":{`, `"mcpServers":{"`+name+`":`+of+`,`, 1)
	}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
	}{
		"a list":                            {"PUT", "/servers/notes", `{"attach":` + zeros(maxList) + `}`, 422},
		"a longer list":                     {"PUT", "/servers/notes", `{"attach":` + zeros(maxList+1) + `}`, 413},
		"a long list of a document":         {"POST", "/apply", `{"servers":{"a":{"attach":` + zeros(maxList+1) + `}}}`, 413},
		"a long list of somebody else":      {"POST", "/import?dry_run=true", document("a", zeros(maxList+1)), 200},
		"a name":                            {"PUT", "/servers/notes", `{"` + long(maxKey) + `":0}`, 422},
		"a longer name":                     {"PUT", "/servers/notes", `{"` + long(maxKey+1) + `":0}`, 413},
		"a long name over many wrong items": {"POST", "/apply", `{"servers":{"` + long(450_000) + `":{"attach":` + zeros(225_000) + `}}}`, 413},
		"a long name in a value":            {"PUT", "/values/a", `{"value":{"` + long(maxKey+1) + `":0}}`, 413},
		"a long name of somebody else":      {"POST", "/import?dry_run=true", document(long(maxKey+1), "0"), 200},
		"members":                           {"POST", "/apply", members(maxValues - 1), 422},
		"more members":                      {"POST", "/apply", members(maxValues), 413},
		"many values of somebody else":      {"POST", "/import?dry_run=true", document("a", zeros(maxValues)), 413},
		"many arguments":                    {"POST", "/explain", strings.Replace(question, `"bindery"`, zeros(maxValues), 1), 413},
		"a large row":                       {"PUT", "/servers/notes", `{"description":"` + long(64<<10) + `"}`, 413},
		"a large value":                     {"PUT", "/values/a", `{"server":"notes","value":"` + long(640<<10) + `"}`, 413},
		"a large policy set":                {"POST", "/policy-sets", `{"text":"` + long(640<<10) + `"}`, 413},
		"a large document":                  {"POST", "/apply", `{"partial":` + strings.Repeat(" ", 1<<20) + `true}`, 413},
		"a question of the same size":       {"POST", "/explain", strings.Repeat(" ", 1<<20) + question, 413},
	} {
		t.Run(name, func(t *testing.T) {
			f.call(t, "root", c.method, c.path, c.body, "If-Match", `"v1"`).want(t, c.status, map[int]string{413: "too_large", 422: "invalid"}[c.status])
		})
	}
	f.keepsNothing(t)
}

// TestADryRunRefusesWhatWouldBeRefused, as far as no secret is needed to see it.
func TestADryRunRefusesWhatWouldBeRefused(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for name, c := range map[string]struct{ path, body string }{
		"a server with a user in its URL":  {"/servers/notes", strings.Replace(serverBody, "https://", "https://somebody@", 1)},
		"a server with an open loopback":   {"/servers/notes", strings.Replace(serverBody, `"state"`, `"networks":["127.0.0.0/8"],"state"`, 1)},
		"a store that opens it":            {"/stores/aws-sm", strings.Replace(storeBody, `"state"`, `"networks":["127.0.0.0/8"],"state"`, 1)},
		"a card with a field too few":      {notesCard, strings.Replace(bindingBody, `{"name":"token","reference":"aws-sm:prod/notes#token"}`, "", 1)},
		"a card of an unregistered store":  {notesCard, strings.Replace(bindingBody, "aws-sm:", "vault:", 1)},
		"a card outside of the store's":    {notesCard, strings.Replace(bindingBody, "prod/notes", "staging/notes", 1)},
		"a card with two wildcards in one": {notesCard, strings.Replace(bindingBody, `"*"`, `"a*b*"`, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, query := range []string{"?dry_run=true", ""} {
				f.call(t, "root", "PUT", c.path+query, c.body, "If-Match", `"v1"`).want(t, 422, "invalid")
			}
		})
	}
	f.call(t, "root", "PUT", notesCard+"?dry_run=true", strings.Replace(bindingBody, "prod/notes", "prod/none", 1), "If-Match", `"v1"`).want(t, 200, "")
}

// TestAValueTellsNotWhichServersThereAre: whoever may enter it, and may not read
// the server, is answered alike where there is none.
func TestAValueTellsNotWhichServersThereAre(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", sealedBody, "If-None-Match", "*").want(t, 200, "")
	f.assigns(t, "one", `{"store":"sealed","paths":["*"],"groups":["team-other"],"state":"active"}`)
	f.call(t, "root", "PUT", "/servers/theirs", strings.Replace(serverBody, "team-notes", "team-other", 1), "If-None-Match", "*").want(t, 200, "")
	value := func(server string) string { return strings.Replace(valueBody, "notes", server, 1) }
	there := f.call(t, "other", "PUT", "/values/token-1?dry_run=true", value("notes")).want(t, 403, "forbidden")
	missing := f.call(t, "other", "PUT", "/values/token-1?dry_run=true", value("none")).want(t, 403, "forbidden")
	if there.Body.String() != missing.Body.String() {
		t.Errorf("answered %s and %s", there.Body, missing.Body)
	}
	f.call(t, "other", "PUT", "/values/token-1", value("theirs")).want(t, 200, "")
	f.call(t, "admin", "PUT", "/values/token-1", value("none")).want(t, 404, "not_found")
}
