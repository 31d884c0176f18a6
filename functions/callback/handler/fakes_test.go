package handler

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/brokertest/idp"
	"bindery/shared/identity"
)

// op is an authorization server: the company's issuer, or a provider. Its pages
// are the test itself, which says who agrees to what (agree). Its token endpoint
// checks what a real one checks.
type op struct {
	t      testing.TB
	keys   *idp.Server
	server *httptest.Server

	mu      sync.Mutex
	codes   map[string]granted
	answer  http.HandlerFunc // in place of the token endpoint's
	scope   string           // in place of the scopes asked for
	refresh string
	idToken bool
	keeps   bool     // it revokes nothing
	silent  bool     // it does not name itself in its answers
	spoken  []string // forms that reached token and revocation endpoint
	revoked []string
	access  string
}

// granted is what a code is worth.
type granted struct {
	query   url.Values
	subject string
	issuer  string
}

func newOP(t testing.TB) *op {
	t.Helper()
	o := &op{t: t, keys: idp.New(t), codes: map[string]granted{}, refresh: "canary-refresh-" + rand.Text(), access: "canary-access-" + rand.Text()}
	mux := http.NewServeMux()
	discovery := func(w http.ResponseWriter, _ *http.Request) {
		idp.WriteJSON(w, o.marshal(map[string]any{
			"issuer": o.URL(), "authorization_endpoint": o.URL() + "/auth", "token_endpoint": o.URL() + "/token",
			"revocation_endpoint": o.URL() + "/revoke", "jwks_uri": o.URL() + "/keys", "code_challenge_methods_supported": []string{"S256"},
			"authorization_response_iss_parameter_supported": !o.silent, "token_endpoint_auth_methods_supported": []string{"none"},
		}))
	}
	mux.HandleFunc("GET "+idp.DiscoveryPath, discovery)
	mux.HandleFunc("GET "+idp.OAuthPath, discovery)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { idp.WriteJSON(w, o.keys.JWKS()) })
	mux.HandleFunc("POST /token", o.token)
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.keeps {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		o.revoked = append(o.revoked, r.FormValue("token"))
		w.WriteHeader(http.StatusOK)
	})
	o.server = httptest.NewServer(mux)
	t.Cleanup(o.server.Close)
	return o
}

func (o *op) URL() string { return o.server.URL }

func (o *op) marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}

// agree lets a person say yes at the authorization endpoint and gives the
// address to which their browser is sent.
func (o *op) agree(address, subject string) string {
	o.t.Helper()
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, o.URL()+"/auth?") {
		o.t.Fatalf("%s is not the authorization endpoint of %s: %v", address, o.URL(), err)
	}
	query := u.Query()
	code := "canary-code-" + rand.Text()
	o.mu.Lock()
	o.codes[code] = granted{query, subject, o.URL()}
	o.mu.Unlock()
	return query.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {o.URL()}}.Encode()
}

func (o *op) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spoken = append(o.spoken, r.PostForm.Encode())
	if o.answer != nil {
		o.answer(w, r)
		return
	}
	g, known := o.codes[r.PostForm.Get("code")]
	delete(o.codes, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !known || g.query.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || g.query.Get("code_challenge_method") != "S256" ||
		g.query.Get("redirect_uri") != r.PostForm.Get("redirect_uri") || g.query.Get("client_id") != r.PostForm.Get("client_id") ||
		g.query.Get("resource") != r.PostForm.Get("resource") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	answer := map[string]any{"access_token": o.access, "token_type": "Bearer", "expires_in": 300, "refresh_token": o.refresh}
	if o.scope != "" {
		answer["scope"] = o.scope
	}
	if o.idToken {
		answer["id_token"] = o.sign(map[string]any{"aud": g.query.Get("client_id"), "sub": g.subject, "nonce": g.query.Get("nonce")})
	}
	idp.WriteJSON(w, o.marshal(answer))
}

// sign makes an ID token.
func (o *op) sign(claims map[string]any) string {
	now := time.Now().Unix()
	all := map[string]any{"iss": o.URL(), "iat": now, "exp": now + 300, "email": "made-up@corp.example", "email_verified": true}
	for name, value := range claims {
		if value != "" {
			all[name] = value
		}
	}
	return o.keys.Sign("k1", map[string]any{"typ": "JWT"}, all)
}

// asked counts requests to the token endpoint.
func (o *op) asked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.spoken)
}

func (o *op) ended() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.revoked...)
}

// browser is what a person's browser does with cookies, and nothing else.
type browser struct {
	*fixture
	cookies map[string]string
}

func (f *fixture) browser() *browser { return &browser{f, map[string]string{}} }

// page is what came back.
type page struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// want requires a status and, for an error, the title of its fault.
func (p page) want(status int, fault string) page {
	p.t.Helper()
	title := ""
	for _, f := range Faults() {
		if f.Name == fault {
			title = html.EscapeString(f.Title)
		}
	}
	if fault != "" && title == "" {
		p.t.Fatalf("no fault is called %s", fault)
	}
	if p.Code != status || !strings.Contains(p.Body.String(), title) {
		_, main, _ := strings.Cut(p.Body.String(), "<main>")
		p.t.Fatalf("answered %d %s\n%s\nwant %d %s", p.Code, p.Header().Get("Location"), main, status, fault)
	}
	return p
}

func (b *browser) get(address string, header ...string) page {
	b.t.Helper()
	return b.send("GET", address, "", header...)
}

func (b *browser) post(address string, form url.Values, header ...string) page {
	b.t.Helper()
	return b.send("POST", address, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", "null"}, header...)...)
}

func (b *browser) send(method, address, body string, header ...string) page {
	b.t.Helper()
	r := httptest.NewRequest(method, address, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	p := page{httptest.NewRecorder(), b.t}
	b.ServeHTTP(p, r)
	b.look(p)
	for _, c := range p.Result().Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
			b.t.Errorf("cookie %s is not bound to its host", c.Name)
		}
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return p
}

// look keeps what was shown, without the places where the protocol itself puts
// a secret: a redirect, a cookie.
func (f *fixture) look(p page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown.WriteString(p.Body.String())
	for name, values := range p.Header() {
		if name != "Set-Cookie" && name != "Location" && name != "Refresh" {
			f.shown.WriteString(strings.Join(values, " "))
		}
	}
}

// strangers is a verifier none of whose issuers has a login.
type strangers struct{ Verifier }

func (strangers) LoginOf(string) (identity.Issuer, bool) { return identity.Issuer{}, false }
