//go:build e2e && !nonode

package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// TestACatalogueIsKeptAsADocument: a file of a client is imported, its calls are
// served with the sealed value, and what is exported is applied elsewhere, where
// the value has to be entered again.
func TestACatalogueIsKeptAsADocument(t *testing.T) {
	t.Parallel()
	d := administered(t)
	u, canary := d.upstream(echo()), d.canary()
	d.made("/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`)
	d.made("/agents/"+shellAgent, `{"team":"platform","ceiling":"critical","state":"active"}`)
	file := `{"mcpServers":{"Notes":{"url":"` + u.URL + `","headers":` + object("Authorization", "Bearer "+canary) + `}}}`
	request := `{"document":` + file + `,"store":"sealed","owner":"dev","actor":{"group":"dev"},"allow":{"tools":["*"]}}`
	d.ask(bob, "POST", "/import?dry_run=true", request).want(t, 200, `"reference":"sealed:notes-imported#token"`)
	d.ask(bob, "GET", "/servers/notes", "").want(t, 404, "urn:bindery:problem:not_found")
	d.ask(bob, "POST", "/import", request).want(t, 200, `"object":"binding/notes/imported","action":"create"`)
	d.post(alice, "notes").want(t, 200, "[masked:imported]")
	u.last(t)

	document := d.exported()
	if strings.Contains(document, canary) || !strings.Contains(document, "sealed:notes-imported#token") {
		t.Errorf("exported %s", document)
	}
	d.applied(document, "none")

	elsewhere := administered(t)
	document = strings.ReplaceAll(document, u.URL, elsewhere.upstream(echo()).URL)
	elsewhere.ask(bob, "POST", "/apply", document).want(t, 200, `"object":"binding/notes/imported","action":"refused"`)
	elsewhere.ask(bob, "PUT", "/values/notes-imported", object("server", "notes", "value", object("token", elsewhere.canary()))).want(t, 200, "sealed:")
	elsewhere.ask(bob, "POST", "/apply", document).want(t, 200, `"object":"binding/notes/imported","action":"create"`)
	elsewhere.applied(document, "none")
	if again := elsewhere.exported(); again != document {
		t.Errorf("exported %s, and then %s", document, again)
	}
	elsewhere.post(alice, "notes").want(t, 200, "[masked:imported]")
}

func (d *desk) exported() string {
	d.t.Helper()
	a := d.ask(bob, "GET", "/export", "")
	a.want(d.t, 200, "servers")
	return a.body
}

var stepActions = regexp.MustCompile(`"action":"([a-z]+)"`)

// applied wants the same of every object of a document.
func (d *desk) applied(document, action string) {
	d.t.Helper()
	a := d.ask(bob, "POST", "/apply", document)
	a.want(d.t, 200, "objects")
	for _, m := range stepActions.FindAllStringSubmatch(a.body, -1) {
		if m[1] != action {
			d.t.Errorf("applied: %s", a.body)
			return
		}
	}
}
