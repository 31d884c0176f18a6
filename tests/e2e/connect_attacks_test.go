//go:build e2e && !nonode

package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestALinkWorksForItsPersonOnly: Bob opens Alice's link, and answers it with a
// form of his own making; it stays good for her.
func TestALinkWorksForItsPersonOnly(t *testing.T) {
	t.Parallel()
	o := live(t)
	link := o.link(alice, "files")
	b := o.surfer(t, bob)
	b.open(link).shows(t, http.StatusForbidden, "This link was made for somebody else")
	his := b.open(o.link(bob, "files"))
	for _, decision := range []string{"allow", "deny"} {
		form := b.formOf(his, decision)
		b.walk(link, form).shows(t, http.StatusForbidden, "This request did not come from our page")
	}
	o.none(t, alice)
	o.surfer(t, alice).consent(link).shows(t, http.StatusOK, "files is connected")
	o.hold(alice)
	o.none(t, bob)
	o.post(alice, "files").want(t, http.StatusOK, "you are alice-at-acme")
}

// TestAFormCountsOnceAndFromItsPageOnly: forgeries by other sites, replays, and
// tickets that are none.
func TestAFormCountsOnceAndFromItsPageOnly(t *testing.T) {
	t.Parallel()
	o := live(t)
	link := o.link(alice, "files")
	s := o.surfer(t, alice)
	question := s.open(link)
	form := s.formOf(question, "allow")
	without, wrong := maps.Clone(form), maps.Clone(form)
	without.Del("csrf")
	wrong.Set("csrf", strings.Repeat("A", 43))
	const forged = "This request did not come from our page"
	s.request(link, without).shows(t, http.StatusForbidden, forged)
	s.request(link, wrong).shows(t, http.StatusForbidden, forged)
	s.request(link, form, "Sec-Fetch-Site", "cross-site").shows(t, http.StatusForbidden, forged)
	s.request(link, form, "Origin", "https://evil.example.com").shows(t, http.StatusForbidden, forged)
	o.surfer(t, alice).request(link, form).shows(t, http.StatusNotFound, gone) // another browser, without a login
	made := o.url + "/connect/" + strings.Repeat("A", 26)
	s.open(made).shows(t, http.StatusNotFound, gone)
	s.request(made, form).shows(t, http.StatusForbidden, forged)
	o.none(t, alice)
	s.walk(link, form).shows(t, http.StatusOK, "files is connected")
	o.hold(alice)
	s.request(link, form).shows(t, http.StatusNotFound, gone)
	s.open(link).shows(t, http.StatusNotFound, gone)
	if n := o.tokens.count("authorization_code"); n != 1 {
		t.Errorf("%d codes were redeemed", n)
	}
}

const gone = "This link is not good any more"

// TestAProvidersAnswerCountsInItsBrowserOnceAndAtItsAddress.
func TestAProvidersAnswerCountsInItsBrowserOnceAndAtItsAddress(t *testing.T) {
	t.Parallel()
	o := live(t)
	o.row("other")
	s, b := o.surfer(t, alice), o.surfer(t, bob)
	early := s.open(o.link(alice, "files"))
	back := "/connect/callback/acme?code=made-up-code&state=" + strings.Repeat("A", 26)
	s.request(o.url+back, nil).shows(t, http.StatusNotFound, gone) // before any consent
	s.stop = "/connect/callback/"
	answer := s.say(early, "allow").at
	b.open(answer).shows(t, http.StatusNotFound, gone) // not logged in
	b.open(o.link(bob, "files"))
	b.open(answer).shows(t, http.StatusNotFound, gone) // logged in
	s.request(strings.Replace(answer, "/acme?", "/other?", 1), nil).shows(t, http.StatusForbidden, "The answer came from another provider")
	s.request(answer, nil).shows(t, http.StatusNotFound, gone) // the mix-up ended it
	s.open(answer)
	answer = s.say(s.open(o.link(alice, "files")), "allow").at
	u, err := url.Parse(answer)
	must(t, err)
	q := u.Query()
	q.Set("iss", "https://evil.example.com")
	u.RawQuery = q.Encode()
	s.request(u.String(), nil).shows(t, http.StatusForbidden, "The answer came from another provider")
	if n := o.tokens.count("authorization_code"); n != 0 {
		t.Errorf("%d codes were shown to the provider", n)
	}
	o.none(t, alice)
	answer = s.say(s.open(o.link(alice, "files")), "allow").at
	s.request(answer, nil).shows(t, http.StatusOK, "files is connected")
	s.request(answer, nil).shows(t, http.StatusNotFound, gone)
	o.hold(alice)
	o.none(t, bob)
}

// TestHostileTokenAnswersStoreNothing: what stands where the provider's token
// endpoint should be.
func TestHostileTokenAnswersStoreNothing(t *testing.T) {
	t.Parallel()
	o := live(t)
	s := o.surfer(t, alice)
	access := o.canary()[:32]
	token := func(scope string) string {
		return object("access_token", strings.ReplaceAll(access, "/", "-"), "token_type", "Bearer", "scope", scope)
	}
	for name, c := range map[string]struct {
		kind, body string
		title      string
	}{
		"HTML":             {"text/html", "<html><script>alert(1)</script>", "The provider's answer cannot be used"},
		"10 MB":            {"application/json", `{"access_token":"` + strings.Repeat("A", 10<<20) + `","token_type":"Bearer"}`, "The provider's answer cannot be used"},
		"a wider scope":    {"application/json", token("files.read offline_access files.write"), "The provider granted more than you agreed to"},
		"a narrower scope": {"application/json", token("offline_access"), "The provider granted less than is needed"},
		"no token type":    {"application/json", object("access_token", strings.ReplaceAll(access, "/", "-")), "The provider's answer cannot be used"},
		"cut":              {"application/json", token("files.read offline_access")[:60], "The provider's answer cannot be used"},
	} {
		o.tokens.answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			_, _ = w.Write([]byte(c.body))
		})
		p := s.consent(o.link(alice, "files"))
		if p.status < 500 || heading(p) != c.title || strings.Contains(p.body, "alert(1)") {
			t.Errorf("%s: %d %q, want %q", name, p.status, heading(p), c.title)
		}
		o.none(t, alice)
	}
	if n := o.tokens.count("revocation"); n < 2 {
		t.Errorf("%d tokens were taken back, want those of other scopes", n)
	}
	o.tokens.answer(nil)
	s.consent(o.link(alice, "files")).shows(t, http.StatusOK, "files is connected")
	o.hold(alice)
}

// TestAServerThatMovedIsNotTheOneThatWasAgreedTo: with another address neither an
// open question nor a given consent counts, and no token goes there.
func TestAServerThatMovedIsNotTheOneThatWasAgreedTo(t *testing.T) {
	t.Parallel()
	o := live(t)
	o.connected(bob)
	s := o.surfer(t, alice)
	question := s.open(o.link(alice, "files"))
	elsewhere := o.upstream(echo())
	o.server("files", elsewhere.URL, func(s *broker.Server) { s.Version = 1 })
	s.say(question, "allow").shows(t, http.StatusConflict, "What this link was made for has changed")
	o.post(bob, "files").want(t, http.StatusForbidden, forbidden)
	elsewhere.untouched(t)
	if n := o.tokens.count("authorization_code"); n != 1 {
		t.Errorf("%d codes were redeemed", n)
	}
}

// TestPagesCannotBeFramedScriptedOrLeftByARedirect: every page, and what sends
// people on.
func TestPagesCannotBeFramedScriptedOrLeftByARedirect(t *testing.T) {
	t.Parallel()
	o := live(t)
	s := o.surfer(t, alice)
	link := o.link(alice, "files")
	for _, p := range []page{s.request(link, nil), s.open(link + "?next=https://evil.example.com&redirect_uri=https://evil.example.com"),
		s.request(o.url+"/connect/login?code=x&state=y&next=//evil.example.com", nil), s.request(o.url+"/connect//evil.example.com", nil), s.open(link)} {
		policy := p.header.Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("%s: the policy lacks %s: %q", p.at, rule, policy)
			}
		}
		for name, want := range map[string]string{"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", p.at, name, got)
			}
		}
		if strings.Contains(p.body, "<script") || strings.Contains(p.body, "evil.example.com") || strings.Contains(p.header.Get("Location"), "evil") {
			t.Errorf("%s: a script or somebody else's address is in the answer", p.at)
		}
	}
}
