package handler

import (
	"strings"
	"testing"

	"bindery/shared/memory"
)

// TestAValueIsNotTakenFromAnotherServer: what its cards read is not sealed for
// another origin.
func TestAValueIsNotTakenFromAnotherServer(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", wiki, wikiBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/notes-too", serverBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "admin", "PUT", "/values/token-1", valueBody).want(t, 200, "")
	const card = "/servers/notes/bindings/sealed"
	f.call(t, "admin", "PUT", card, strings.Replace(bindingBody, "aws-sm:prod/notes#token", "sealed:token-1#token", 1), "If-None-Match", "*").want(t, 200, "")
	for server, status := range map[string]int{"notes": 200, "notes-too": 200, "wiki": 422} {
		f.call(t, "admin", "PUT", "/values/token-1", strings.Replace(valueBody, "notes", server, 1)).want(t, status, "")
	}
	f.call(t, "other", "PUT", "/values/token-1", strings.Replace(valueBody, "notes", "wiki", 1)).want(t, 403, "forbidden")
	f.tables.Inject(memory.ListUses, memory.Refuse())
	f.call(t, "admin", "PUT", "/values/token-1", valueBody).want(t, 503, "unavailable")
	f.call(t, "admin", "DELETE", card, nil, "If-Match", `"v1"`).want(t, 204, "")
	f.call(t, "admin", "PUT", "/values/token-1", strings.Replace(valueBody, "notes", "wiki", 1)).want(t, 200, "")
	f.clean(t)
}

// TestOnlyAdministratorsDeleteValues, not even those who enter them.
func TestOnlyAdministratorsDeleteValues(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.assigns(t, "one", `{"store":"sealed","paths":["*"],"groups":["team-notes"],"state":"active"}`)
	f.call(t, "owner", "PUT", "/values/token-1", valueBody).want(t, 200, "")
	for _, who := range []string{"owner", "other", "auditor", "second", "nobody"} {
		f.call(t, who, "DELETE", "/values/token-1", nil).want(t, 403, "forbidden")
		f.call(t, who, "DELETE", "/values/none", nil).want(t, 403, "forbidden")
	}
	f.call(t, "admin", "DELETE", "/values/none", nil).want(t, 404, "not_found")
	f.call(t, "admin", "DELETE", "/values/token-1?dry_run=true", nil).want(t, 204, "")
	f.call(t, "admin", "DELETE", "/values/token-1", nil).want(t, 204, "")
}
