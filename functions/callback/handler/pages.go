package handler

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the pages
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"

	"bindery/shared/broker"
	"bindery/shared/connect"
)

//go:embed pages.html
var pagesText string

//go:embed pages.css
var styleText string

// pages are the pages that people see: HTML without a script, whose one style is
// allowed by its digest.
type pages struct {
	templates *template.Template
	policy    string
}

func newPages() pages {
	sum := sha256.Sum256([]byte(styleText))
	style := template.HTML("<style>" + styleText + "</style>") // our own text, and the policy's digest is of it
	return pages{
		templates: template.Must(template.New("pages").Funcs(template.FuncMap{"style": func() template.HTML { return style }}).Parse(pagesText)),
		// A form can be sent to this host and nowhere else, redirects included: the way
		// to a provider is a page of its own.
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
}

// protect sets what every answer to a browser carries.
func (p *pages) protect(w http.ResponseWriter) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      p.policy,
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"X-Robots-Tag":                 "noindex",
	} {
		w.Header().Set(name, value)
	}
}

// show writes a page, or nothing of it.
func (p *pages) show(w http.ResponseWriter, status int, name string, data any) error {
	var page bytes.Buffer
	if err := p.templates.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(page.Bytes())
	return err
}

// asked is what the page of a question shows.
type asked struct {
	Title    string
	Server   string
	About    string
	Host     string
	Agent    string
	Team     string
	Provider string // host of the provider; empty: values are typed in
	Scopes   []string
	Until    string
	Person   string
	Fields   []string
	CSRF     string
	Agreed   bool
}

// viewOf is what anybody would be shown.
func viewOf(q *connect.Question) asked {
	a := asked{Title: "Connect " + q.Server.Name, Server: q.Server.Name, About: q.Server.Description,
		Scopes: q.Scopes, Fields: q.Fields, Agreed: q.Agreed}
	if u, err := url.Parse(q.Server.URL); err == nil {
		a.Host = u.Host
	}
	if q.Agent != nil {
		a.Agent, a.Team = q.Agent.ID, q.Agent.Team
	}
	if len(q.Fields) == 0 {
		a.Provider = providerName(q)
	}
	if q.Agreed {
		a.Fields = nil
	}
	if !q.Until.IsZero() {
		a.Until = q.Until.UTC().Format("2 January 2006, 15:04") + " UTC"
	}
	return a
}

// digest names what is shown, so that a yes can be held to it.
func (a asked) digest() string { return broker.Digest("shown", fmt.Sprintf("%#v", a)) }

func (p *pages) question(w http.ResponseWriter, q *connect.Question, person connect.Person, csrf string) error {
	a := viewOf(q)
	a.Person, a.CSRF = person.Name, csrf+"."+a.digest()
	return p.show(w, http.StatusOK, "question", a)
}

// onward is the page between a yes and the provider. Browsers hold a redirect in
// answer to a form to the form's policy, and every redirect after that one,
// which no policy of ours can list; what a page refreshes to is a fresh start.
func (p *pages) onward(w http.ResponseWriter, address, provider string) error {
	w.Header().Set("Refresh", "0; url="+address)
	return p.show(w, http.StatusOK, "onward", map[string]string{"Title": "Going to " + provider, "Address": address, "Provider": provider})
}

func (p *pages) connected(w http.ResponseWriter, server string) error {
	return p.over(w, http.StatusOK, server+" is connected", "You can close this page and go back to where you came from.")
}

func (p *pages) over(w http.ResponseWriter, status int, title, text string) error {
	return p.show(w, status, "over", map[string]string{"Title": title, "Text": text})
}

func (p *pages) fault(w http.ResponseWriter, f Fault, receipt string) {
	if p.show(w, f.Status, "over", map[string]string{"Title": f.Title, "Text": f.Text, "Receipt": receipt}) != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}
