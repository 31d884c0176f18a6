package handler

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// everyPage shows each kind of page once.
func everyPage(t *testing.T) map[string]page {
	f := newFixture(t)
	alice, bob := f.browser(), f.browser()
	link, keyed := f.link("acme", "alice"), f.link("keyed", "alice")
	pages := map[string]page{}
	pages["question"] = alice.logIn(link, "alice").want(200, "")
	pages["keys"] = alice.get(keyed).want(200, "")
	pages["onward"] = alice.post(link, pages["question"].yes())
	pages["connected"] = alice.get(f.acme.agree(pages["onward"].onward(), "me")).want(200, "")
	form := pages["keys"].yes()
	form.Set("decision", "deny")
	pages["denied"] = alice.post(keyed, form).want(200, "")
	pages["gone"] = alice.get(link).want(404, "gone")
	pages["not yours"] = bob.logIn(f.link("acme", "alice"), "bob").want(403, "not_yours")
	pages["no page"] = alice.get(publicURL+"/connect").want(404, "no_page")
	return pages
}

// TestClickjackingAndTheRestOfTheHeaders: no page can be framed, cached, scripted,
// or tell anybody where it was.
func TestClickjackingAndTheRestOfTheHeaders(t *testing.T) {
	for name, p := range everyPage(t) {
		for header, want := range map[string]string{
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Opener-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := p.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(p.Body.String())
		if style == nil {
			t.Fatalf("%s has no style", name)
		}
		sum := sha256.Sum256([]byte(style[1]))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
		if got := p.Header().Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: the policy is %q, want %q", name, got, want)
		}
	}
}

// TestPagesCanBeReadWithoutEyes: language, title, one heading, one main landmark,
// a label for every field, a name on every button, no script and nothing inline.
func TestPagesCanBeReadWithoutEyes(t *testing.T) {
	for name, p := range everyPage(t) {
		document, err := html.Parse(strings.NewReader(p.Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		count, labels, fields := map[string]int{}, map[string]bool{}, map[string]bool{}
		for n := range document.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			count[n.Data]++
			at := attributes(n)
			for attribute := range at {
				if attribute == "style" || strings.HasPrefix(attribute, "on") {
					t.Errorf("%s: %s has %s", name, n.Data, attribute)
				}
			}
			switch {
			case n.Data == "html" && at["lang"] != "en", n.Data == "button" && textIn(n) == "", n.Data == "form" && at["method"] != "post":
				t.Errorf("%s: %s lacks something", name, n.Data)
			case n.Data == "label":
				labels[at["for"]] = true
			case n.Data == "input" && at["type"] != "hidden":
				if fields[at["id"]] = true; at["type"] != "password" || at["autocomplete"] != "off" || at["value"] != "" {
					t.Errorf("%s: the field %s shows or keeps what is typed in", name, at["id"])
				}
			}
		}
		for _, once := range []string{"h1", "main", "title"} {
			if count[once] != 1 {
				t.Errorf("%s has %d %s", name, count[once], once)
			}
		}
		for _, never := range []string{"script", "iframe", "img", "link", "object", "base"} {
			if count[never] != 0 {
				t.Errorf("%s has a %s", name, never)
			}
		}
		for id := range fields {
			if !labels[id] {
				t.Errorf("%s: %s has no label", name, id)
			}
		}
	}
}

func attributes(n *html.Node) map[string]string {
	all := map[string]string{}
	for _, a := range n.Attr {
		all[a.Key] = a.Val
	}
	return all
}

func textIn(n *html.Node) (text string) {
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			text += strings.TrimSpace(d.Data)
		}
	}
	return text
}

func TestCSRFOnConsent(t *testing.T) {
	f := newFixture(t)
	alice, mallory := f.browser(), f.browser()
	link, second := f.link("acme", "alice"), f.link("acme", "alice")
	good := alice.logIn(link, "alice").yes()
	mallory.logIn(f.link("acme", "mallory"), "mallory")
	with := func(csrf string) url.Values { return url.Values{"csrf": {csrf}, "decision": {"allow"}} }
	for name, p := range map[string]page{
		"no token":               alice.post(link, url.Values{"decision": {"allow"}}),
		"a made-up one":          alice.post(link, with(strings.Repeat("A", 43))),
		"another browser's":      alice.post(link, with(mallory.csrf(link))),
		"another ticket's":       alice.post(link, with(alice.csrf(second))),
		"from another site":      alice.post(link, good, "Sec-Fetch-Site", "cross-site"),
		"from a sibling host":    alice.post(link, good, "Sec-Fetch-Site", "same-site"),
		"with a foreign origin":  alice.post(link, good, "Origin", "https://evil.example.com"),
		"with a similar origin":  alice.post(link, good, "Origin", publicURL+".evil.example.com"),
		"with a plain http page": alice.post(link, good, "Origin", "http://mcp.example.com"),
	} {
		if p.want(403, "forged").Header().Get("Refresh") != "" {
			t.Errorf("%s leads on", name)
		}
	}
	for name, p := range map[string]page{
		"JSON":     alice.post(link, good, "Content-Type", "application/json"),
		"twice":    alice.post(link, url.Values{"csrf": good["csrf"], "decision": {"allow", "deny"}}),
		"too long": alice.post(link, url.Values{"csrf": good["csrf"], "decision": {"allow"}, "x": {strings.Repeat("x", maxForm)}}),
		"neither":  alice.post(link, url.Values{"csrf": good["csrf"], "decision": {"maybe"}}),
	} {
		if p.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, p.Code)
		}
	}
	logged := alice.cookies
	alice.cookies = map[string]string{}
	alice.post(link, good).want(404, "gone") // without a session
	alice.cookies = logged
	f.nothingStored()
	alice.post(link, good, "Sec-Fetch-Site", "same-origin", "Origin", publicURL).onward()
}

// A request cannot choose where anybody is sent, and cannot put anything into a
// header.
func TestOpenRedirectAndHeaderInjection(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	for name, address := range map[string]string{
		"a query":        link + "?return_to=https://evil.example.com&redirect_uri=https://evil.example.com",
		"no state":       publicURL + "/connect/login?code=x&redirect=https://evil.example.com",
		"line breaks":    publicURL + "/connect/login?state=%0d%0aSet-Cookie:%20a=b&code=%0d%0aLocation:%20https://evil.example.com",
		"a broken query": publicURL + "/connect/login?state=%zz",
		"two slashes":    publicURL + "//evil.example.com/connect",
		"dots":           publicURL + "/connect/..%2f..%2fevil.example.com",
	} {
		p := b.get(address)
		if where := p.Header().Get("Location"); where != "" && !strings.HasPrefix(where, f.corp.URL()+"/auth?") || strings.Contains(where, "evil") {
			t.Errorf("%s sends to %s", name, where)
		}
		for header, values := range p.Header() {
			if strings.ContainsAny(strings.Join(values, ""), "\r\n") {
				t.Errorf("%s: a line break in %s", name, header)
			}
		}
	}
	r := httptest.NewRequest("GET", link, nil)
	r.Host = "evil.example.com"
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != 404 || w.Header().Get("Location") != "" {
		t.Errorf("under a foreign host: %d %s", w.Code, w.Header().Get("Location"))
	}
}

// TestNothingSecretIsShownLoggedOrRecorded takes every way through the pages and
// looks at all that was said.
func TestNothingSecretIsShownLoggedOrRecorded(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	b.consent("acme", "alice")
	link := f.link("keyed", "alice")
	form := b.get(link).yes()
	form.Set("field-key", typedKey)
	form.Set("field-signing", typedSign)
	b.post(link, form).want(200, "")
	bad := f.linkFor("acme", "alice", "corp:desk", "dead")
	back := f.acme.agree(b.post(bad, b.get(bad).yes()).onward(), "me")
	f.acme.scope = "everything"
	b.get(back).want(502, "too_wide")
	f.mu.Lock()
	defer f.mu.Unlock()
	said := f.shown.String() + f.log.String() + f.recorded.String()
	verifier := regexp.MustCompile(`code_verifier=([^&]+)`).FindStringSubmatch(strings.Join(append(f.acme.spoken, f.corp.spoken...), "&"))
	if verifier == nil || !strings.Contains(f.recorded.String(), `finish-consent`) {
		t.Fatal("nothing was said: the test would prove nothing")
	}
	for name, secret := range map[string]string{"canaries": "canary-", "the verifier": verifier[1], "the cookie": b.cookies[sessionCookie], "an e-mail in the records": ""} {
		if secret != "" && strings.Contains(said, secret) {
			t.Errorf("%s can be read", name)
		}
	}
	if strings.Contains(f.recorded.String()+f.log.String(), "made-up@corp.example") {
		t.Error("an e-mail is in log or records")
	}
}

func TestClientMetadataDocument(t *testing.T) {
	f := newFixture(t)
	p := f.browser().get(publicURL+"/connect/client/acme.json").want(200, "")
	want := `{"client_id":"https://mcp.example.com/connect/client/acme.json","client_name":"Bindery",` +
		`"redirect_uris":["https://mcp.example.com/connect/callback/acme"],"grant_types":["authorization_code","refresh_token"],` +
		`"response_types":["code"],"token_endpoint_auth_method":"none","application_type":"web"}` + "\n"
	if p.Body.String() != want || p.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s %s", p.Header().Get("Content-Type"), p.Body)
	}
	for _, bad := range []string{"acme", "ACME.json", "x%2fy.json", ".json"} {
		if got := f.browser().get(publicURL + "/connect/client/" + bad); got.Code != 404 {
			t.Errorf("%s: %d", bad, got.Code)
		}
	}
}
