package handler

import (
	"context"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/policy"
)

const (
	notesPath = "/servers/notes"
	notesCard = notesPath + "/bindings/dev-notes"
)

// development makes the fixture one where the change of an origin is its
// approval, and an owner's to make.
func (f *fixture) development(t *testing.T) {
	t.Helper()
	r, err := policy.NewAdministration("prod", false)
	if err != nil {
		t.Fatal(err)
	}
	f.desk.Gate, f.production = gate{r, "prod"}, false
}

// TestAnOwnerDoesNotTakeAReferenceToAnotherOrigin: that a card has a reference
// says nothing about the next receiver of it.
func TestAnOwnerDoesNotTakeAReferenceToAnotherOrigin(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.development(t)
	f.call(t, "owner", "PUT", notesPath, movedBody, "If-Match", `"v1"`).want(t, 200, "")
	for _, body := range []string{bindingBody, suspended(bindingBody)} {
		f.call(t, "owner", "PUT", notesCard, body, "If-Match", `"v1"`).want(t, 403, "forbidden")
	}
	if a := f.call(t, "owner", "POST", "/apply", `{"servers":{"notes":`+strings.TrimSuffix(movedBody, "}")+`,"bindings":{"dev-notes":`+
		strings.Replace(bindingBody, `"allow"`, `"priority":1,"allow"`, 1)+`}}}}`).want(t, 200, ""); !strings.Contains(a.Body.String(), "urn:bindery:problem:forbidden") {
		t.Errorf("%s", a.Body)
	}
	f.call(t, "owner", "POST", notesCard+"/verify", nil).want(t, 422, "invalid")
	f.assigns(t, "one", assignmentBody)
	f.call(t, "owner", "PUT", notesCard, bindingBody, "If-Match", `"v1"`).want(t, 200, "")
}

// TestInProductionARebindingTakesTheRightToBind, whoever approved the origin.
func TestInProductionARebindingTakesTheRightToBind(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "admin", "PUT", notesPath, movedBody, "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "second", "POST", notesPath+"/approve", nil, "If-Match", `"v2"`).want(t, 200, "")
	f.call(t, "owner", "PUT", notesCard, bindingBody, "If-Match", `"v1"`).want(t, 403, "forbidden")
	f.call(t, "admin", "PUT", notesCard, bindingBody, "If-Match", `"v1"`).want(t, 200, "")
}

// before is a reader that still sees a server as it was.
type before struct {
	broker.CatalogueReader
	server broker.Server
}

func (b before) Server(context.Context, broker.Route) (broker.Server, error) { return b.server, nil }

// TestAServerThatMovesMeanwhileGetsNoCard: what was permitted was permitted for
// the origin that was looked at.
func TestAServerThatMovesMeanwhileGetsNoCard(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.development(t)
	was, err := f.tables.Server(t.Context(), f.route("notes"))
	if err != nil {
		t.Fatal(err)
	}
	f.call(t, "owner", "PUT", notesPath, movedBody, "If-Match", `"v1"`).want(t, 200, "")
	f.reader = before{f.tables, was}
	f.call(t, "owner", "PUT", notesCard, bindingBody, "If-Match", `"v1"`).want(t, 412, "version_conflict")
	b, err := f.tables.Binding(t.Context(), f.route("notes"), "dev-notes")
	if err != nil || b.Version != 1 {
		t.Errorf("the card is at version %d, %v", b.Version, err)
	}
}
