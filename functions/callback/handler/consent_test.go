package handler

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
)

func TestConsentGivesAGrantThatOnlyThisAgentUses(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	question := b.logIn(link, "alice").want(200, "")
	for _, said := range []string{"corp:desk", "tools", "acme.example.com", "files:read", "files:write", "you disconnect it", "made-up@corp.example",
		"files &lt;b&gt;&amp; folders&lt;/b&gt;"} {
		if !strings.Contains(question.Body.String(), said) {
			t.Errorf("the question does not say %q", said)
		}
	}
	address := b.post(link, question.yes()).onward()
	asked, err := url.Parse(address)
	f.must(err)
	for name, want := range map[string]string{"client_id": "bindery-acme", "redirect_uri": publicURL + "/connect/callback/acme",
		"scope": "files:read files:write", "resource": upstream, "code_challenge_method": "S256", "response_type": "code"} {
		if asked.Query().Get(name) != want {
			t.Errorf("%s is %q, want %q", name, asked.Query().Get(name), want)
		}
	}
	if _, there := f.grant("acme", "alice"); there {
		t.Error("a grant was stored before the provider answered")
	}
	done := b.get(f.acme.agree(address, "me-at-acme")).want(200, "")
	if !strings.Contains(done.Body.String(), "go back") {
		t.Errorf("the last page does not say where to go:\n%s", done.Body)
	}
	view, _ := f.grant("acme", "alice")
	set, err := credential.OpenTokens(t.Context(), bound{}, f.key("acme", "alice"), view.Grant.Sealed)
	f.must(err)
	if set.Access.Reveal() != f.acme.access || set.Refresh.Reveal() != f.acme.refresh || view.Grant.Provider != "acme" || !view.Grant.Refreshes ||
		!slices.Equal(view.Grant.Scopes, []string{"files:read", "files:write"}) || len(view.Consents) != 1 || view.Consents[0].Agent != "corp:desk" {
		t.Errorf("the grant is %+v with %+v", view.Grant, view.Consents)
	}
}

func TestAnotherAgentNeedsAYesAndNoTripToTheProvider(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	f.must(f.tables.PutAgent(t.Context(), broker.Agent{Environment: "prod", ID: "corp:second", State: broker.Active, Team: "tools"}))
	before := f.acme.asked()
	link := f.linkFor("acme", "alice", "corp:second", broker.ConsentAgent)
	b.post(link, b.get(link).want(200, "").yes()).want(200, "")
	view, _ := f.grant("acme", "alice")
	if len(view.Consents) != 2 || view.Grant.Generation != 1 || f.acme.asked() != before {
		t.Errorf("consents %+v, generation %d, %d requests to the provider", view.Consents, view.Grant.Generation, f.acme.asked()-before)
	}
}

func TestMoreScopesKeepThoseThatWereGranted(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	card, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "acme"}, "own")
	f.must(err)
	card.Scopes = []string{"files:share"}
	f.must(f.tables.PutBinding(t.Context(), card))
	link := f.linkFor("acme", "alice", "corp:desk", broker.ConsentScopes)
	b.get(f.acme.agree(b.post(link, b.get(link).yes()).onward(), "me-at-acme")).want(200, "")
	view, _ := f.grant("acme", "alice")
	if view.Grant.Generation != 2 || !slices.Equal(view.Grant.Scopes, []string{"files:share", "files:read", "files:write"}) {
		t.Errorf("generation %d with %v", view.Grant.Generation, view.Grant.Scopes)
	}
}

func TestConsentEndsWithTheCard(t *testing.T) {
	f := newFixture(t)
	card, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "acme"}, "own")
	f.must(err)
	card.Expires = time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)
	f.must(f.tables.PutBinding(t.Context(), card))
	b := f.browser()
	link := f.link("acme", "alice")
	question := b.logIn(link, "alice").want(200, "")
	if !strings.Contains(question.Body.String(), card.Expires.Format("2 January 2006, 15:04")) {
		t.Error("the question does not say until when")
	}
	b.get(f.acme.agree(b.post(link, question.yes()).onward(), "me-at-acme")).want(200, "")
	if view, _ := f.grant("acme", "alice"); !view.Grant.Until.Equal(card.Expires) {
		t.Errorf("the grant ends %v, the card %v", view.Grant.Until, card.Expires)
	}
}

func TestNoStoresNothing(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	form := b.logIn(link, "alice").yes()
	form.Set("decision", "deny")
	b.post(link, form).want(200, "")
	b.get(link).want(404, "gone")
	f.nothingStored()
	if f.acme.asked() != 0 {
		t.Error("the provider was asked")
	}
}

const typedKey, typedSign = "canary-typed-key-0001", "canary-typed-signing-0002" // #nosec G101 -- made up

func TestKeysThatPeopleTypeInAreSealedAndNeverShown(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("keyed", "alice")
	question := b.logIn(link, "alice").want(200, "")
	if n := strings.Count(question.Body.String(), `type="password"`); n != 2 {
		t.Fatalf("the form has %d fields", n)
	}
	form := question.yes()
	for name, bad := range map[string]string{"too short": "short", "empty": "", "a line break": typedKey + "\r\nX-Evil: 1", "uniform": strings.Repeat("a", 40), "too long": strings.Repeat("ab12", 2000)} {
		form.Set("field-key", bad)
		form.Set("field-signing", typedSign)
		if p := b.post(link, form).want(422, "value"); bad != "" && strings.Contains(p.Body.String(), bad) {
			t.Errorf("%s: the value is shown again", name)
		}
	}
	f.nothingStored()
	form.Set("field-key", typedKey)
	b.post(link, form).want(200, "")
	view, _ := f.grant("keyed", "alice")
	want, err := credential.SealFields(t.Context(), bound{}, f.key("keyed", "alice"), nil)
	f.must(err)
	text := strings.TrimPrefix(string(view.Grant.Sealed), strings.TrimSuffix(string(want), "{}"))
	if text != `{"key":"`+typedKey+`","signing":"`+typedSign+`"}` || view.Grant.Provider != "" || view.Grant.Refreshes {
		t.Errorf("sealed is %s of %+v", text, view.Grant)
	}
}

func TestAStoreWhoseAnswerIsLostKeepsTheGrantOnce(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	f.tables.Inject(memoryBegin, lost, lost)
	b.consent("acme", "alice")
	if view, there := f.grant("acme", "alice"); !there || view.Grant.Generation != 1 {
		t.Errorf("the grant is %+v", view.Grant)
	}
}

func TestTokensThatCannotBeStoredAreTakenBack(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	address := b.post(link, b.logIn(link, "alice").yes()).onward()
	f.tables.Inject(memoryBegin, refused, refused, refused)
	b.get(f.acme.agree(address, "me-at-acme")).want(503, "unavailable")
	if got := f.acme.ended(); !slices.Equal(got, []string{f.acme.refresh}) {
		t.Errorf("revoked %v", got)
	}
	f.nothingStored()
}

func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	form := b.logIn(link, "alice").yes()
	f.tables.Inject(memoryAppend, refused, refused, refused, refused)
	b.post(link, form).want(503, "audit_unavailable")
	f.tables.Clear()
	address := b.post(link, form).onward() // the link is still good
	back := f.acme.agree(address, "me-at-acme")
	f.tables.Inject(memoryAppend, refused, refused, refused, refused)
	b.get(back).want(503, "audit_unavailable")
	if f.acme.asked() != 0 {
		t.Error("the code was redeemed without a record")
	}
	f.nothingStored()
}
