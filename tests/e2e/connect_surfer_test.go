//go:build e2e && !nonode

package e2e

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// surfer is a person at their browser. They log in wherever they are asked to,
// and agree to what a provider asks; what Bindery's own page asks is left to the
// test.
type surfer struct {
	t    *testing.T
	who  string
	acme string // host of the provider, where they have another name
	http *http.Client
	stop string // a path that is not followed any more, so that a test gets its address

	mu     sync.Mutex
	jars   map[string]http.CookieJar // one for each host and port
	hidden []string                  // what only this browser, and the protocol, may hold
}

// page is where a walk came to an end.
type page struct {
	at     string
	status int
	header http.Header
	body   string
}

func (o *society) surfer(t *testing.T, who string) *surfer {
	t.Helper()
	at, err := url.Parse(o.provider.URL)
	must(t, err)
	s := &surfer{t: t, who: who, acme: at.Host, jars: map[string]http.CookieJar{}}
	s.http = &http.Client{Jar: s, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.surfers = append(o.surfers, s)
	return s
}

// jar keeps cookies as a browser does that takes loopback for secure.
func (s *surfer) jar(u *url.URL) (http.CookieJar, *url.URL) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jars[u.Host] == nil {
		s.jars[u.Host], _ = cookiejar.New(nil) // which never fails
	}
	secure := *u
	secure.Scheme = "https"
	return s.jars[u.Host], &secure
}

// SetCookies implements http.CookieJar.
func (s *surfer) SetCookies(u *url.URL, cookies []*http.Cookie) {
	jar, at := s.jar(u)
	jar.SetCookies(at, cookies)
	for _, c := range cookies {
		if strings.HasPrefix(c.Name, "__Host-") && c.Value != "" {
			value, _, _ := strings.Cut(c.Value, ".") // a ticket may follow
			s.hide(value)
		}
	}
}

// Cookies implements http.CookieJar.
func (s *surfer) Cookies(u *url.URL) []*http.Cookie {
	jar, at := s.jar(u)
	return jar.Cookies(at)
}

func (s *surfer) hide(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = append(s.hidden, text)
}

// open opens an address and goes on until there is a page of Bindery's, or an
// address where the walk shall stop.
func (s *surfer) open(address string) page { return s.walk(address, nil) }

func (s *surfer) walk(address string, form url.Values) page {
	s.t.Helper()
	for range 24 {
		u, err := url.Parse(address)
		must(s.t, err)
		if code := u.Query().Get("code"); code != "" {
			s.hide(code)
		}
		if s.stop != "" && strings.HasPrefix(u.Path, s.stop) {
			return page{at: address}
		}
		p := s.request(address, form)
		form = nil
		refresh, onward := strings.CutPrefix(p.header.Get("Refresh"), "0; url=")
		next, err := u.Parse(p.header.Get("Location"))
		switch {
		case p.header.Get("Location") != "" && err == nil:
			address = next.String()
		case onward:
			address = refresh
		case strings.Contains(p.body, `name="prompt" value="login"`):
			form = url.Values{"prompt": {"login"}, "login": {s.nameAt(u.Host)}, "password": {"any"}}
		case strings.Contains(p.body, `name="prompt" value="consent"`):
			form = url.Values{"prompt": {"consent"}}
		default:
			return p
		}
	}
	s.t.Fatalf("%s never came to a page", s.who)
	return page{}
}

func (s *surfer) nameAt(host string) string {
	if host == s.acme {
		return s.who + "-at-acme"
	}
	return s.who
}

func (s *surfer) request(address string, form url.Values, header ...string) page {
	s.t.Helper()
	method, kind := http.MethodGet, ""
	if form != nil {
		method, kind = http.MethodPost, "application/x-www-form-urlencoded"
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(form.Encode()))
	must(s.t, err)
	r.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := s.http.Do(r)
	must(s.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	must(s.t, err)
	return page{address, response.StatusCode, response.Header, string(body)}
}

// formOf is the form of a question with an answer, as the page would send it.
func (s *surfer) formOf(p page, decision string, fields ...string) url.Values {
	s.t.Helper()
	found := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(p.body)
	if found == nil {
		s.t.Fatalf("%s was asked nothing: %d %q", s.who, p.status, heading(p))
	}
	token := html.UnescapeString(found[1])
	s.hide(token)
	form := url.Values{"csrf": {token}, "decision": {decision}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set("field-"+fields[i], fields[i+1])
	}
	return form
}

// say answers a question and goes on.
func (s *surfer) say(p page, decision string, fields ...string) page {
	s.t.Helper()
	return s.walk(p.at, s.formOf(p, decision, fields...))
}

// consent opens a link and agrees to everything.
func (s *surfer) consent(link string) page {
	s.t.Helper()
	return s.say(s.open(link), "allow")
}

// heading is what a page says first.
func heading(p page) string {
	_, rest, _ := strings.Cut(p.body, "<h1>")
	text, _, _ := strings.Cut(rest, "</h1>")
	return html.UnescapeString(text)
}

// shows holds a page to its status and heading.
func (p page) shows(t *testing.T, status int, want string) {
	t.Helper()
	if p.status != status || heading(p) != want {
		t.Errorf("the page is %d %q, want %d %q", p.status, heading(p), status, want)
	}
}
