//go:build e2e

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser serves alice at her browser: a link that is posted is opened, and
// everything that is asked on the way is agreed to. What the last page says is
// the answer.
func browser(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		link, _ := io.ReadAll(r.Body)
		page, err := consent(string(link))
		if err != nil {
			page = err.Error()
		}
		_, _ = fmt.Fprintln(w, page)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// loopback is a cookie jar that takes loopback for secure, as browsers do.
type loopback struct{ http.CookieJar }

func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

// SetCookies implements http.CookieJar.
func (l loopback) SetCookies(u *url.URL, cookies []*http.Cookie) {
	l.CookieJar.SetCookies(secure(u), cookies)
}

// Cookies implements http.CookieJar.
func (l loopback) Cookies(u *url.URL) []*http.Cookie { return l.CookieJar.Cookies(secure(u)) }

func consent(at string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Jar: loopback{jar}, Timeout: time.Minute}
	csrf := regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	for form := url.Values(nil); ; {
		var response *http.Response
		if form == nil {
			response, err = client.Get(at)
		} else {
			response, err = client.PostForm(at, form)
		}
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			return "", err
		}
		at, form = response.Request.URL.String(), nil
		token := csrf.FindSubmatch(body)
		onward, refreshed := strings.CutPrefix(response.Header.Get("Refresh"), "0; url=")
		switch {
		case refreshed:
			at = onward
		case token != nil:
			form = url.Values{"csrf": {string(token[1])}, "decision": {"allow"}}
		case strings.Contains(string(body), "Your account at drive"):
			form = url.Values{"account": {"alice-at-drive"}}
		case strings.Contains(string(body), `name="account"`):
			form = url.Values{"account": {"alice"}}
		default:
			return string(body), nil
		}
	}
}
