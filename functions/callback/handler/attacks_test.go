package handler

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/memory"
)

const (
	memoryBegin  = memory.BeginGrant
	memoryAppend = memory.Append
)

var refused, lost = memory.Refuse(), memory.Lose()

func TestBobOpensAlicesLink(t *testing.T) {
	f := newFixture(t)
	bob := f.browser()
	link := f.link("acme", "alice")
	p := bob.logIn(link, "bob").want(403, "not_yours")
	if strings.Contains(p.Body.String(), "files:read") || strings.Contains(p.Body.String(), "<form") {
		t.Errorf("Bob sees the question:\n%s", p.Body)
	}
	form := url.Values{"csrf": {bob.csrf(link)}, "decision": {"allow"}}
	bob.post(link, form).want(403, "not_yours")
	form.Set("decision", "deny")
	bob.post(link, form).want(403, "not_yours")
	f.nothingStored()
	if f.acme.asked() != 0 || !strings.Contains(f.recorded.String(), `"reason":"not_permitted"`) {
		t.Error("the provider was asked, or nothing was recorded")
	}
	f.browser().logIn(link, "alice").want(200, "") // Bob could not use it up
}

// csrf computes what the page of this browser would carry.
func (b *browser) csrf(link string) string {
	session, ok := connect.ParseBrowser(b.cookies[sessionCookie])
	if !ok {
		b.t.Fatal("nobody is logged in")
	}
	return session.CSRF(link[strings.LastIndex(link, "/")+1:]).Reveal()
}

func TestTicketsThatAreNoneOpenNothing(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	form := b.logIn(link, "alice").yes()
	for name, address := range map[string]string{
		"forged": publicURL + "/connect/" + strings.Repeat("A", 26), "cut": link[:len(link)-1], "longer": link + "A", "in lower case": strings.ToLower(link),
		"encoded": publicURL + "/connect/%41" + link[len(link)-25:], "with a path": link + "/x", "a login's state": publicURL + "/connect/" + strings.Repeat("Z", 26),
	} {
		if p := b.get(address); p.Code != 404 || p.Header().Get("Location") != "" {
			t.Errorf("%s: %d %s", name, p.Code, p.Header().Get("Location"))
		}
	}
	b.post(link, form).onward()
	b.post(link, form).want(404, "gone") // replayed
	b.get(link).want(404, "gone")
	late := f.link("acme", "alice")
	f.clock = func() time.Time { return time.Now().Add(11 * time.Minute) }
	b.get(late).want(404, "gone") // expired
	f.nothingStored()
}

func TestAnswersThatBelongToNobodyHere(t *testing.T) {
	f := newFixture(t)
	alice, mallory := f.browser(), f.browser()
	link := f.link("acme", "alice")
	address := alice.post(link, alice.logIn(link, "alice").yes()).onward()
	back := f.acme.agree(address, "me-at-acme")
	mallory.get(back).want(404, "gone") // without any session
	mallory.logIn(f.link("acme", "mallory"), "mallory").want(200, "")
	mallory.get(back).want(404, "gone") // with her own
	if f.acme.asked() != 0 {
		t.Error("somebody else's browser redeemed the code")
	}
	before := f.browser()
	before.logIn(f.link("acme", "alice"), "alice")
	before.get(publicURL+"/connect/callback/acme?code=canary-code-x&state="+strings.Repeat("A", 26)).want(404, "gone") // callback before consent
	alice.get(back).want(200, "")
	alice.get(back).want(404, "gone") // twice
	if f.acme.asked() != 1 {
		t.Errorf("the code was redeemed %d times", f.acme.asked())
	}
}

func TestACodeOfAnotherPersonIsOfNoUse(t *testing.T) {
	f := newFixture(t)
	alice, mallory := f.browser(), f.browser()
	link := f.link("acme", "alice")
	address := alice.post(link, alice.logIn(link, "alice").yes()).onward()
	hers := f.link("acme", "mallory")
	injected, err := url.Parse(f.acme.agree(mallory.post(hers, mallory.logIn(hers, "mallory").yes()).onward(), "mallory-at-acme"))
	f.must(err)
	mine, err := url.Parse(f.acme.agree(address, "me-at-acme"))
	f.must(err)
	query := mine.Query()
	query.Set("code", injected.Query().Get("code"))
	alice.get(publicURL+"/connect/callback/acme?"+query.Encode()).want(502, "provider_failed") // PKCE: the code was not for this verifier
	f.nothingStored()
}

func TestMixUpBetweenProviders(t *testing.T) {
	for name, twist := range map[string]func(back *url.URL, q url.Values, o string){
		"the other's issuer":  func(_ *url.URL, q url.Values, o string) { q.Set("iss", o) },
		"no issuer":           func(_ *url.URL, q url.Values, _ string) { q.Del("iss") },
		"the other's address": func(back *url.URL, _ url.Values, _ string) { back.Path = "/connect/callback/other" },
		"both issuers":        func(_ *url.URL, q url.Values, o string) { q.Add("iss", o) },
		"an error of the other": func(_ *url.URL, q url.Values, o string) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("iss", o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			link := f.link("acme", "alice")
			address := b.post(link, b.logIn(link, "alice").yes()).onward()
			back, err := url.Parse(f.acme.agree(address, "me-at-acme"))
			f.must(err)
			query := back.Query()
			twist(back, query, f.other.URL())
			back.RawQuery = query.Encode()
			b.get(back.String()).want(403, "mixed_up")
			if f.acme.asked()+f.other.asked() != 0 {
				t.Error("the code was shown to somebody")
			}
			f.nothingStored()
		})
	}
}

func TestAProviderThatBecameAnotherMeanwhile(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	back := f.acme.agree(b.post(link, b.logIn(link, "alice").yes()).onward(), "me-at-acme")
	row, err := f.tables.Provider(t.Context(), "prod", "acme")
	f.must(err)
	row.Issuer = f.other.URL()
	f.must(f.tables.PutProvider(t.Context(), row))
	b.get(back).want(403, "mixed_up")
	if f.other.asked() != 0 {
		t.Error("the code went to the other provider")
	}
}

func TestHostileProviderAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		fault  string
	}{
		"HTML":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html><script>alert(1)</script>") }, "provider_failed"},
		"10 MB": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10<<20)) }, "provider_failed"},
		"a refusal with text": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_request","error_description":"canary-description <script>"}`)
		}, "provider_failed"},
		"down": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "provider_unavailable"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:9/", http.StatusTemporaryRedirect)
		}, "provider_failed"},
		"short text": {func(w http.ResponseWriter, _ *http.Request) { short(w) }, "provider_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			link := f.link("acme", "alice")
			back := f.acme.agree(b.post(link, b.logIn(link, "alice").yes()).onward(), "me-at-acme")
			f.acme.answer = c.answer
			p := b.get(back)
			p.want(p.Code, c.fault)
			if strings.Contains(p.Body.String(), "script") || strings.Contains(p.Body.String(), "canary") {
				t.Errorf("the page repeats the provider:\n%s", p.Body)
			}
			f.nothingStored()
		})
	}
}

// short is a token that could not be masked.
func short(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"access_token":"short","token_type":"Bearer"}`)
}

func TestScopesThatAreNotWhatWasAgreed(t *testing.T) {
	for scope, fault := range map[string]string{"files:read files:write admin": "too_wide", "files:read": "too_narrow"} {
		f := newFixture(t)
		b := f.browser()
		link := f.link("acme", "alice")
		back := f.acme.agree(b.post(link, b.logIn(link, "alice").yes()).onward(), "me-at-acme")
		f.acme.scope = scope
		b.get(back).want(502, fault)
		if got := f.acme.ended(); !slices.Equal(got, []string{f.acme.refresh}) {
			t.Errorf("%s: revoked %v", fault, got)
		}
		f.nothingStored()
	}
}

// TestTokensThatAreNotTakenBackAreToldOf: they are of no use here, and the provider
// goes on to take them.
func TestTokensThatAreNotTakenBackAreToldOf(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	back := f.acme.agree(b.post(link, b.logIn(link, "alice").yes()).onward(), "me-at-acme")
	f.acme.scope, f.acme.keeps = "files:read", true
	b.get(back).want(502, "too_narrow")
	told := f.facts(broker.GrantNotRevoked)
	if len(told) != 1 || told[0].Object != "grant/"+f.principal("alice")+"/acme" || len(f.acme.ended()) != 0 {
		t.Errorf("told %+v", told)
	}
}

// Where the company's own issuer is the provider, whose tokens they are can be
// told, and somebody else's are not stored.
func TestATokenForSomebodyElse(t *testing.T) {
	for subject, fault := range map[string]string{"bob": "somebody_else", "alice": ""} {
		f := newFixture(t)
		row, err := f.tables.Provider(t.Context(), "prod", "acme")
		f.must(err)
		row.Issuer = f.corp.URL()
		f.must(f.tables.PutProvider(t.Context(), row))
		b := f.browser()
		link := f.link("acme", "alice")
		back := f.corp.agree(b.post(link, b.logIn(link, "alice").yes()).onward(), subject)
		if fault == "" {
			b.get(back).want(200, "")
			continue
		}
		b.get(back).want(403, fault)
		if got := f.corp.ended(); !slices.Equal(got, []string{f.corp.refresh}) {
			t.Errorf("revoked %v", got)
		}
		f.nothingStored()
	}
}
