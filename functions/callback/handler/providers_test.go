package handler

import (
	"net/url"
	"strings"
	"testing"
)

// TestAProviderThatTheUpstreamNames: with neither issuer nor endpoints, the
// upstream's own metadata say where to ask (RFC 9728), and the client is the
// document that Bindery serves. What the upstream names another time, while a
// consent is under way, gets no code.
func TestAProviderThatTheUpstreamNames(t *testing.T) {
	for name, moves := range map[string]bool{"the same": false, "another meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			issuer := f.acme.URL()
			f.acme.silent, f.other.silent = moves, moves
			s := f.upstreamNames(&issuer)
			b := f.browser()
			link := f.link("acme", "alice")
			address := b.post(link, b.logIn(link, "alice").yes()).onward()
			asked, err := url.Parse(address)
			f.must(err)
			if q := asked.Query(); q.Get("client_id") != publicURL+"/connect/client/acme.json" || q.Get("resource")+"/mcp" != s.URL {
				t.Errorf("asked as %s for %s", q.Get("client_id"), q.Get("resource"))
			}
			back := f.acme.agree(address, "me-at-acme")
			if !moves {
				b.get(back).want(200, "")
				return
			}
			issuer = f.other.URL()
			back = strings.Replace(back, "iss="+url.QueryEscape(f.acme.URL())+"&", "", 1) // all that is left to tell them apart is what was asked
			b.get(back).want(403, "mixed_up")
			if f.other.asked()+f.acme.asked() != 0 {
				t.Error("somebody got the code")
			}
			f.nothingStored()
		})
	}
}

// TestAProviderThatCannotBeAskedCostsNobodyTheirLink: the person may try again.
func TestAProviderThatCannotBeAskedCostsNobodyTheirLink(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	form := b.logIn(link, "alice").yes()
	f.acme.server.Close()
	if p := b.post(link, form); p.Code < 500 || strings.Contains(p.Body.String(), f.acme.URL()) {
		t.Errorf("%d %s", p.Code, p.Body)
	}
	b.get(link).want(200, "")
	f.nothingStored()
}
