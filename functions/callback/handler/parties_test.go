package handler

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
)

// upstreamNames makes acme a provider that only the upstream's own metadata
// name: at any time the issuer that the test says.
func (f *fixture) upstreamNames(issuer *string) broker.Server {
	f.t.Helper()
	var upstream *httptest.Server
	upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		idp.WriteJSON(w, f.acme.marshal(map[string]any{"resource": upstream.URL, "authorization_servers": []string{*issuer}}))
	}))
	f.t.Cleanup(upstream.Close)
	s, err := f.tables.Server(f.t.Context(), broker.Route{Environment: "prod", Server: "acme"})
	f.must(err)
	s.URL = upstream.URL + "/mcp"
	f.must(f.tables.PutServer(f.t.Context(), s))
	row, err := f.tables.Provider(f.t.Context(), "prod", "acme")
	f.must(err)
	row.Issuer, row.Registration, row.ClientID = "", broker.MetadataDocument, ""
	f.must(f.tables.PutProvider(f.t.Context(), row))
	card, err := f.tables.Binding(f.t.Context(), broker.Route{Environment: "prod", Server: "acme"}, "own")
	f.must(err)
	card.Origin, err = broker.OriginDigest(s.URL)
	f.must(err)
	f.must(f.tables.PutBinding(f.t.Context(), card))
	return s
}

// An upstream that is taken over after the consent names its own authorization
// server: a disconnection tells the tokens to the one that issued them.
func TestAnUpstreamTakenOverAfterTheConsentGetsNoToken(t *testing.T) {
	f := newFixture(t)
	issuer := f.acme.URL()
	s := f.upstreamNames(&issuer)
	f.browser().consent("acme", "alice")
	if view, _ := f.grant("acme", "alice"); view.Grant.Authority != f.acme.URL() || view.Grant.Resource+"/mcp" != s.URL {
		t.Errorf("the grant is of %q for %q", view.Grant.Authority, view.Grant.Resource)
	}
	issuer = f.other.URL()
	w := f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"revoked"`) || len(f.other.ended()) != 0 || !slices.Equal(f.acme.ended(), []string{f.acme.refresh}) {
		t.Errorf("%d %s, it got %v, the provider %v", w.Code, w.Body, f.other.ended(), f.acme.ended())
	}
}

// A provider that became another authorization server gets none of the tokens of
// the one before, and an agent is not let into a grant that cannot be renewed:
// the person is asked as if there were none.
func TestAProviderThatBecameAnother(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	row, err := f.tables.Provider(t.Context(), "prod", "acme")
	f.must(err)
	row.Issuer = f.other.URL()
	f.must(f.tables.PutProvider(t.Context(), row))
	link := f.linkFor("acme", "alice", "", broker.ConsentAgent)
	if q := b.get(link).want(200, "").Body.String(); strings.Contains(q, "connected already") {
		t.Errorf("the page is of the former grant:\n%s", q)
	}
	w := f.asks("DELETE", "/connections/acme", f.token("alice", ownAudience))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "not_revoked") || len(f.other.ended()) != 0 {
		t.Errorf("%d %s, the other provider got %v", w.Code, w.Body, f.other.ended())
	}
}

func TestAGrantThatIsStoredAlthoughNoAnswerCameIsNotTakenBack(t *testing.T) {
	f := newFixture(t)
	f.tables.Inject(memoryBegin, lost, lost, lost)
	f.browser().consent("acme", "alice")
	if view, _ := f.grant("acme", "alice"); view.Grant.State != broker.Active || len(f.acme.ended()) != 0 {
		t.Errorf("the grant is %q, revoked are %v", view.Grant.State, f.acme.ended())
	}
}

// While the provider is asked, after every look at the grant, somebody ends it.
func TestAGrantThatEndsAtTheLastMomentIsNotRevived(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	link := f.linkFor("acme", "alice", "corp:desk", broker.ConsentDead)
	back := f.acme.agree(b.post(link, b.get(link).yes()).onward(), "me-at-acme")
	f.acme.answer = func(w http.ResponseWriter, _ *http.Request) {
		_, err := f.tables.EndGrant(t.Context(), f.key("acme", "alice"), broker.Revoked, time.Now().UTC())
		f.must(err)
		text, err := json.Marshal(map[string]any{"access_token": "canary-access-late-0001", "token_type": "Bearer", "refresh_token": "canary-refresh-late-0001"})
		f.must(err)
		idp.WriteJSON(w, text)
	}
	b.get(back).want(409, "conflict")
	view, _ := f.grant("acme", "alice")
	if view.Grant.State != broker.Revoked || !slices.Equal(f.acme.ended(), []string{"canary-refresh-late-0001"}) {
		t.Errorf("the grant is %q, revoked are %v", view.Grant.State, f.acme.ended())
	}
}

// A yes is to what the page said. What another card's consent added meanwhile,
// or an administrator changed, is asked anew, and the link is still good for it.
func TestAYesIsToWhatThePageSaid(t *testing.T) {
	for name, change := range map[string]func(f *fixture){
		"the grant got more scopes": func(f *fixture) {
			view, _ := f.grant("acme", "alice")
			g := view.Grant
			g.Scopes, g.Consented = append(g.Scopes, "files:delete"), time.Now().UTC()
			f.must(f.tables.BeginGrant(t.Context(), g, broker.Consent{Agent: "corp:desk", At: g.Consented}))
		},
		"the provider is another": func(f *fixture) {
			row, err := f.tables.Provider(t.Context(), "prod", "acme")
			f.must(err)
			row.Issuer = f.other.URL()
			f.must(f.tables.PutProvider(t.Context(), row))
		},
		"what the server is": func(f *fixture) {
			s, err := f.tables.Server(t.Context(), broker.Route{Environment: "prod", Server: "acme"})
			f.must(err)
			s.Description = "something else altogether"
			f.must(f.tables.PutServer(t.Context(), s))
		},
	} {
		f := newFixture(t)
		b := f.browser()
		b.consent("acme", "alice")
		link := f.linkFor("acme", "alice", "corp:desk", broker.ConsentDead)
		form := b.get(link).yes()
		change(f)
		asked := f.acme.asked() + f.other.asked()
		if p := b.post(link, form); p.Code != 409 || p.Header().Get("Refresh") != "" || f.acme.asked()+f.other.asked() != asked {
			t.Errorf("%s: %d", name, p.Code)
		}
		again := b.get(link).want(200, "")
		if name == "the grant got more scopes" && !strings.Contains(again.Body.String(), "<code>files:delete</code>") {
			t.Errorf("the page does not say all that is asked for:\n%s", again.Body)
		}
		b.post(link, again.yes()).onward()
	}
}

// An issuer in trouble is nobody's failed login.
func TestAnIssuerInTroubleIsNotAFailedLogin(t *testing.T) {
	for name, trouble := range map[string]func(f *fixture, sent *url.URL) string{
		"it says so": func(f *fixture, sent *url.URL) string {
			return publicURL + "/connect/login?" + url.Values{"error": {"temporarily_unavailable"}, "state": {sent.Query().Get("state")}, "iss": {f.corp.URL()}}.Encode()
		},
		"its token endpoint fails": func(f *fixture, sent *url.URL) string {
			f.corp.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
			return f.corp.agree(sent.String(), "alice")
		},
		"it cannot be reached": func(f *fixture, sent *url.URL) string {
			back := f.corp.agree(sent.String(), "alice")
			f.corp.server.Close()
			return back
		},
	} {
		f := newFixture(t)
		b := f.browser()
		sent, err := url.Parse(b.get(f.link("acme", "alice")).Header().Get("Location"))
		f.must(err)
		if p := b.get(trouble(f, sent)); p.Code != 503 || b.cookies[sessionCookie] != "" {
			t.Errorf("%s: %d", name, p.Code)
		}
	}
}

// Somebody who is logged in opens what is not theirs in a loop: the records of it
// stay few.
func TestRefusalsOfOnePersonAreRecordedWithinABudget(t *testing.T) {
	f := newFixture(t)
	bob := f.browser()
	link := f.link("acme", "alice")
	bob.logIn(link, "bob").want(403, "not_yours")
	for range 200 {
		bob.get(link).want(403, "not_yours")
	}
	if n := strings.Count(f.recorded.String(), `"reason":"not_permitted"`); n < 2 || n > 25 {
		t.Errorf("%d records", n)
	}
}

// spied keeps what is stored of logins and authorizations.
type spied struct {
	broker.Handles
	bodies *strings.Builder
}

func (s spied) AddHandle(ctx context.Context, h broker.Handle) error {
	s.bodies.Write(h.Body)
	return s.Handles.AddHandle(ctx, h)
}

// Who reads the tables learns of nobody's name or address that they were here.
func TestRowsOfSessionsNameNobody(t *testing.T) {
	f := newFixture(t)
	var bodies strings.Builder
	f.under.Handles = spied{f.tables, &bodies}
	b := f.browser()
	link := f.link("acme", "alice")
	question := b.logIn(link, "alice").want(200, "")
	b.get(f.acme.agree(b.post(link, question.yes()).onward(), "me-at-acme")).want(200, "")
	if !strings.Contains(question.Body.String(), "made-up@corp.example") || !strings.Contains(bodies.String(), f.principal("alice")) || strings.Contains(bodies.String(), "made-up") || strings.Contains(bodies.String(), "alice") {
		t.Errorf("stored are %s", bodies.String())
	}
}

// hurried fails the test if it is asked without a bound.
type hurried struct {
	broker.Grants
	t *testing.T
}

func (g hurried) GrantsOf(ctx context.Context, environment, principal, after string, limit int) ([]broker.Grant, string, error) {
	if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > requestTime {
		g.t.Error("the request has more time than the function")
	}
	return g.Grants.GrantsOf(ctx, environment, principal, after, limit)
}

func TestEveryRequestEndsBeforeTheFunctionDoes(t *testing.T) {
	f := newFixture(t)
	f.grants = hurried{f.tables, t}
	if w := f.asks("GET", "/connections", f.token("alice", ownAudience)); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
