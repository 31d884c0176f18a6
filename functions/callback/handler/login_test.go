package handler

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
)

// TestLoginsThatAreNone: each is an answer of the issuer that somebody twisted, or
// an ID token that is not the answer to this login.
func TestLoginsThatAreNone(t *testing.T) {
	for name, twist := range map[string]func(claims map[string]any){
		"another nonce":    func(c map[string]any) { c["nonce"] = "other" },
		"no nonce":         func(c map[string]any) { delete(c, "nonce") },
		"another client":   func(c map[string]any) { c["aud"] = "somebody-else" },
		"two clients":      func(c map[string]any) { c["aud"] = []string{"bindery", "somebody-else"} },
		"another party":    func(c map[string]any) { c["azp"] = "somebody-else" },
		"another issuer":   func(c map[string]any) { c["iss"] = "https://evil.example.com" },
		"expired":          func(c map[string]any) { c["exp"] = 1000 },
		"long ago":         func(c map[string]any) { c["iat"] = 1000 },
		"nobody":           func(c map[string]any) { delete(c, "sub") },
		"an access token":  func(c map[string]any) { c["token_use"] = "access" },
		"issued tomorrow":  func(c map[string]any) { c["iat"] = 4000000000 },
		"without issuance": func(c map[string]any) { c["iat"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			b := f.browser()
			sent := b.get(f.link("acme", "alice")).want(303, "").Header().Get("Location")
			asked, err := url.Parse(sent)
			f.must(err)
			claims := map[string]any{"aud": "bindery", "sub": "alice", "nonce": asked.Query().Get("nonce")}
			f.corp.answer = func(w http.ResponseWriter, _ *http.Request) {
				twist(claims)
				idp.WriteJSON(w, f.corp.marshal(map[string]any{"access_token": "canary-login-token", "token_type": "Bearer", "id_token": f.corp.sign(claims)}))
			}
			b.get(f.corp.agree(sent, "alice")).want(403, "login")
			if b.cookies[sessionCookie] != "" {
				t.Error("somebody is logged in")
			}
		})
	}
}

func TestAnIDTokenThatIsNoneOrOfAnotherKey(t *testing.T) {
	stranger := idp.New(t)
	for name, token := range map[string]func(f *fixture, nonce string) string{
		"none":     func(*fixture, string) string { return "" },
		"no token": func(*fixture, string) string { return "a.b.c" },
		"another key": func(f *fixture, nonce string) string {
			return stranger.Sign("k1", map[string]any{"typ": "JWT"}, full(f, nonce))
		},
		"access type": func(f *fixture, nonce string) string {
			return f.corp.keys.Sign("k1", map[string]any{"typ": "at+jwt"}, full(f, nonce))
		},
		"alg none": func(f *fixture, nonce string) string {
			return f.corp.keys.SignBytes("k1", []byte(`{"alg":"none","typ":"JWT"}`), f.corp.marshal(full(f, nonce)))
		},
	} {
		f := newFixture(t)
		b := f.browser()
		sent := b.get(f.link("acme", "alice")).Header().Get("Location")
		asked, err := url.Parse(sent)
		f.must(err)
		f.corp.answer = func(w http.ResponseWriter, _ *http.Request) {
			idp.WriteJSON(w, f.corp.marshal(map[string]any{"access_token": "canary-login-token", "token_type": "Bearer", "id_token": token(f, asked.Query().Get("nonce"))}))
		}
		if p := b.get(f.corp.agree(sent, "alice")); p.Code != 403 {
			t.Errorf("%s: %d", name, p.Code)
		}
	}
}

func full(f *fixture, nonce string) map[string]any {
	return map[string]any{"iss": f.corp.URL(), "aud": "bindery", "sub": "alice", "nonce": nonce, "iat": f.now().Unix(), "exp": f.now().Unix() + 60}
}

// TestALoginBelongsToItsBrowser: login CSRF, a login answered twice, one that
// another browser began.
func TestALoginBelongsToItsBrowser(t *testing.T) {
	f := newFixture(t)
	alice, mallory := f.browser(), f.browser()
	link := f.link("acme", "alice")
	hers := f.corp.agree(mallory.get(f.link("acme", "mallory")).Header().Get("Location"), "mallory")
	alice.get(hers).want(404, "gone") // Alice is not logged in as Mallory
	back := f.corp.agree(alice.get(link).Header().Get("Location"), "alice")
	mallory.get(back).want(404, "gone")
	before := alice.cookies[loginCookie]
	alice.get(back).want(303, "")
	alice.cookies[loginCookie] = before
	alice.get(back).want(404, "gone")
	value, _, _ := strings.Cut(before, ".")
	if session := alice.cookies[sessionCookie]; session == "" || session == value {
		t.Error("the session has the value that the browser had before the login")
	}
}

func TestACookieThatCameTwiceIsNone(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	link := f.link("acme", "alice")
	b.logIn(link, "alice").want(200, "")
	p := b.get(link, "Cookie", sessionCookie+"="+strings.Repeat("A", 52))
	if p.Code != http.StatusSeeOther {
		t.Errorf("answered %d", p.Code)
	}
}

func TestAnIssuerWithoutLogin(t *testing.T) {
	f := newFixture(t)
	f.verifier = strangers{f.verifier}
	f.browser().get(f.link("acme", "alice")).want(501, "no_login")
}

// What an issuer refuses, and an issuer that cannot be reached, is a page too.
func TestTheIssuerSaysNo(t *testing.T) {
	f := newFixture(t)
	b := f.browser()
	sent, err := url.Parse(b.get(f.link("acme", "alice")).Header().Get("Location"))
	f.must(err)
	b.get(publicURL+"/connect/login?"+url.Values{"error": {"access_denied"}, "error_description": {"<script>"},
		"state": {sent.Query().Get("state")}, "iss": {f.corp.URL()}}.Encode()).want(403, "login")
	f.corp.server.Close()
	b.get(f.link("acme", "alice")).want(503, "unavailable")
}

func TestTicketsAreForThePersonWhoCalls(t *testing.T) {
	f := newFixture(t)
	card, err := f.tables.Binding(t.Context(), broker.Route{Environment: "prod", Server: "acme"}, "own")
	f.must(err)
	alice := broker.Principal{ID: f.principal("alice"), Kind: broker.User, Issuer: f.corp.URL()}
	for name, who := range map[string]broker.Principal{
		"a workload": {ID: alice.ID, Kind: broker.Workload, Issuer: alice.Issuer}, "an agent for itself": {ID: alice.ID, Kind: broker.User, Issuer: alice.Issuer, AgentOnly: true},
		"somebody else": {ID: f.principal("bob"), Kind: broker.User, Issuer: alice.Issuer}, "nobody": {},
	} {
		needed := &broker.ConsentNeeded{Grant: f.key("acme", "alice"), Provider: "acme"}
		if _, err := f.under.Issue(t.Context(), needed, &broker.Decision{Call: broker.Call{Principal: who}, Binding: card}); err == nil {
			t.Errorf("%s got a link", name)
		}
	}
}
