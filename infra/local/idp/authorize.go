package idp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// grant is what somebody agreed to: behind a code, and then behind the refresh
// token, each of which is good once.
type grant struct {
	account, client, redirect, challenge, nonce, resource, scope string
}

// Client lets software log people in and act for them (authorization code with
// PKCE), with answers to exactly this address.
func (i *Issuer) Client(id, redirect string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.redirects[id+" "+redirect] = true
}

// page is login and consent in one.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{{.At}}</title></head>
<body><main>
<h1>{{.At}}</h1>
<p><code>{{.Client}}</code> asks for: <code>{{.Scope}}</code></p>
<form method="post">
<label for="account">Your account here</label>
<input id="account" name="account" list="accounts" autocomplete="off" required>
<datalist id="accounts">{{range $name, $_ := .Accounts}}<option>{{$name}}</option>{{end}}</datalist>
<button>Allow</button>
</form>
</main></body>
</html>
`))

// authorize asks who is there, and sends them back with a code.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	g := grant{client: q.Get("client_id"), redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"),
		nonce: q.Get("nonce"), resource: q.Get("resource"), scope: q.Get("scope")}
	i.mu.Lock()
	known := i.redirects[g.client+" "+g.redirect]
	i.mu.Unlock()
	if !known || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || g.challenge == "" {
		http.Error(w, "no such client, or no PKCE", http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodGet {
		_ = page.Execute(w, map[string]any{"At": i.title, "Client": g.client, "Scope": g.scope, "Accounts": i.accounts})
		return
	}
	if g.account = r.PostFormValue("account"); i.accounts[g.account] == nil {
		http.Error(w, "no such account", http.StatusForbidden)
		return
	}
	back := url.Values{"code": {i.keep(g)}, "state": {q.Get("state")}, "iss": {i.url}}
	w.Header().Set("Location", g.redirect+"?"+back.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

func (i *Issuer) keep(g grant) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	name := rand.Text()
	i.grants[name] = g
	return name
}

func (i *Issuer) take(name string) (grant, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := i.grants[name]
	delete(i.grants, name)
	return g, ok
}

// redeem gives tokens for a code or a refresh token.
func (i *Issuer) redeem(w http.ResponseWriter, r *http.Request) {
	form := func(name string) string { return r.PostFormValue(name) }
	fresh := form("grant_type") == "authorization_code"
	name := form("refresh_token")
	if fresh {
		name = form("code")
	}
	g, ok := i.take(name)
	sum := sha256.Sum256([]byte(form("code_verifier")))
	proven := g.challenge == base64.RawURLEncoding.EncodeToString(sum[:]) && g.redirect == form("redirect_uri")
	if !ok || g.client != form("client_id") || fresh != (g.challenge != "") || fresh && !proven {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	answer, err := i.tokens(g, fresh)
	if err != nil {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, answer)
}

func (i *Issuer) tokens(g grant, fresh bool) (map[string]any, error) {
	claims := maps.Clone(i.accounts[g.account])
	claims["client_id"], claims["scope"] = g.client, g.scope
	if g.resource != "" {
		claims["aud"] = g.resource
	}
	access, err := i.sign(i.signer, claims)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int(i.life.Seconds()), "scope": g.scope}
	if fresh && strings.Contains(" "+g.scope+" ", " openid ") {
		claims["aud"], claims["nonce"] = g.client, g.nonce
		if answer["id_token"], err = i.sign(i.idSigner, claims); err != nil {
			return nil, err
		}
	}
	g.challenge = "" // what comes next is a refresh token
	answer["refresh_token"] = i.keep(g)
	return answer, nil
}

// Account says whose an access token of this issuer is, if it is for this
// resource.
func (i *Issuer) Account(token, resource string) (string, bool) {
	parsed, err := jwt.ParseSigned(token, algorithms())
	if err != nil {
		return "", false
	}
	var claims jwt.Claims
	if parsed.Claims(i.key.Public(), &claims) != nil {
		return "", false
	}
	return claims.Subject, claims.Validate(jwt.Expected{Issuer: i.url, AnyAudience: jwt.Audience{resource}, Time: time.Now()}) == nil
}
