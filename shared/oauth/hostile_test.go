package oauth

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/secret"
)

func refreshAt(ctx context.Context, p Provider) (Token, error) {
	return requester().Refresh(ctx, p, basicClient(), secret.New(madeUpRefresh), "", []string{"read"})
}

// TestAnswersThatCannotBeReadLeaveTheOutcomeUnknown: the provider said yes, and
// a rotated refresh token may be in what cannot be read.
func TestAnswersThatCannotBeReadLeaveTheOutcomeUnknown(t *testing.T) {
	const fine = `"access_token":"a","token_type":"Bearer"`
	for name, body := range map[string]string{
		"empty": "", "cut off": `{` + fine, "two objects": `{` + fine + `}{}`, "array": `[{` + fine + `}]`, "null": "null",
		"html":                      "<html>" + planted + "</html>",
		"no token":                  `{"token_type":"Bearer"}`,
		"empty token":               `{"access_token":"","token_type":"Bearer"}`,
		"token is a number":         `{"access_token":7,"token_type":"Bearer"}`,
		"token in another case":     `{"Access_Token":"a","token_type":"Bearer"}`,
		"token twice":               `{` + fine + `,"access_token":"b"}`,
		"twice further down":        `{` + fine + `,"more":{"x":1,"x":2}}`,
		"token with a newline":      `{"access_token":"a\nX-Injected: 1","token_type":"Bearer"}`,
		"token beyond ASCII":        `{"access_token":"á","token_type":"Bearer"}`,
		"lone surrogate":            `{"access_token":"a\ud800","token_type":"Bearer"}`,
		"token too long":            `{"access_token":"` + strings.Repeat("a", maxToken+1) + `","token_type":"Bearer"}`,
		"answer too long":           `{` + fine + `,"more":"` + strings.Repeat("a", maxAnswer) + `"}`,
		"spaces too long":           `{` + fine + `}` + strings.Repeat(" ", maxAnswer),
		"not UTF-8":                 `{` + fine + `,"more":"` + "\xff" + `"}`,
		"ten megabytes":             strings.Repeat(`{"a":`, 2<<20),
		"deep":                      strings.Repeat(`[`, maxAnswer-1),
		"no type":                   `{"access_token":"a"}`,
		"mac":                       `{"access_token":"a","token_type":"mac"}`,
		"dpop":                      `{"access_token":"a","token_type":"DPoP"}`,
		"refresh token is a list":   `{` + fine + `,"refresh_token":["a"]}`,
		"refresh token has control": `{` + fine + `,"refresh_token":"a\u0000"}`,
		"scope is a list":           `{` + fine + `,"scope":["read"]}`,
		"negative life":             `{` + fine + `,"expires_in":-1}`,
		"life is text":              `{` + fine + `,"expires_in":"soon"}`,
		"life is hexadecimal":       `{` + fine + `,"expires_in":"0x10"}`,
		"life is infinite":          `{` + fine + `,"expires_in":"Inf"}`,
		"life is beyond numbers":    `{` + fine + `,"expires_in":1e999}`,
		"life is true":              `{` + fine + `,"expires_in":true}`,
		"error is a number":         `{` + fine + `,"error":7}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, says(200, body))
			got, err := refreshAt(t.Context(), p.configured())
			wantKind(t, err, ErrOutcomeUnknown)
			if !got.Access.IsZero() || len(p.requests()) != 1 {
				t.Errorf("a token, or %d requests", len(p.requests()))
			}
		})
	}
}

func TestLives(t *testing.T) {
	for text, want := range map[string]time.Time{
		`3600`: clock.Add(time.Hour), `"3600"`: clock.Add(time.Hour), `3600.0`: clock.Add(time.Hour), `3.6e3`: clock.Add(time.Hour),
		`0`: clock, `null`: {}, `1e15`: clock.Add(maxLife), `99999999999999999999`: clock.Add(maxLife),
	} {
		p := newProvider(t, says(200, `{"access_token":"a","token_type":"Bearer","expires_in":`+text+`}`))
		if got, err := refreshAt(t.Context(), p.configured()); err != nil || !got.Expires.Equal(want) {
			t.Errorf("%s: %v, %v", text, got.Expires, err)
		}
	}
}

func TestRefusalsHaveKinds(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   error
		code   string
	}{
		{400, `{"error":"invalid_grant","error_description":"` + planted + `"}`, ErrInvalidGrant, "invalid_grant"},
		{401, `{"error":"invalid_grant"}`, ErrInvalidGrant, "invalid_grant"},
		{200, `{"error":"invalid_grant"}`, ErrInvalidGrant, "invalid_grant"},
		{200, `{"error":"bad_refresh_token","error_uri":"http://` + planted + `"}`, ErrInvalidGrant, "bad_refresh_token"},
		{200, `{"error":"` + planted + `","access_token":"a","token_type":"Bearer"}`, ErrRefused, ""},
		{401, `{"error":"invalid_client"}`, ErrInvalidClient, "invalid_client"},
		{400, `{"error":"unauthorized_client"}`, ErrInvalidClient, "unauthorized_client"},
		{401, `<html>`, ErrInvalidClient, ""},
		{400, `{"error":"invalid_scope"}`, ErrInvalidScope, "invalid_scope"},
		{400, `{"error":"invalid_target"}`, ErrRefused, "invalid_target"},
		{400, `{"error":"` + madeUpRefresh + `"}`, ErrRefused, ""},
		{400, `{"error":"invalid_grant","error":"invalid_scope"}`, ErrRefused, ""},
		{403, `<html>`, ErrRefused, ""},
		{404, ``, ErrRefused, ""},
		{302, `{"error":"invalid_grant"}`, ErrInvalidGrant, "invalid_grant"},
		{429, `{"error":"invalid_grant"}`, ErrTransient, "invalid_grant"},
		{500, `{"error":"invalid_grant"}`, ErrTransient, "invalid_grant"},
		{503, `<html>`, ErrTransient, ""},
		{400, `{"error":"temporarily_unavailable"}`, ErrTransient, "temporarily_unavailable"},
		{408, ``, ErrTransient, ""},
	} {
		t.Run(fmt.Sprint(c.status, c.body), func(t *testing.T) {
			p := newProvider(t, says(c.status, c.body))
			with := p.configured()
			with.Quirks.DeadCodes = []string{"bad_refresh_token"}
			_, err := refreshAt(t.Context(), with)
			f := wantKind(t, err, c.kind)
			if f.Code != c.code || f.Status != c.status || len(p.requests()) != 1 {
				t.Errorf("code %q, status %d, %d requests", f.Code, f.Status, len(p.requests()))
			}
		})
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"30": 30 * time.Second, "-1": 0, "soon": 0, "999999999": 24 * time.Hour, "99999999999999999999": 0,
		clock.Add(time.Minute).Format(http.TimeFormat): time.Minute, clock.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := refreshAt(t.Context(), p.configured())
		if f := wantKind(t, err, ErrTransient); f.RetryAfter != want {
			t.Errorf("%q: %s", value, f.RetryAfter)
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	other := newProvider(t, says(200, granted))
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/"+planted, http.StatusTemporaryRedirect)
	})
	_, err := refreshAt(t.Context(), p.configured())
	wantKind(t, err, ErrRefused)
	if len(other.requests()) != 0 {
		t.Error("the refresh token went to another host")
	}
}

func TestACompressedAnswerIsNotOpened(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.CopyN(z, zeros{}, 20<<20)
	_ = z.Close()
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bomb.Bytes())
	})
	_, err := refreshAt(t.Context(), p.configured())
	wantKind(t, err, ErrOutcomeUnknown)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestJSONUnderAnotherNameIsNotRead(t *testing.T) {
	for _, kind := range []string{"", "text/html", "text/plain", "application/x-www-form-urlencoded", "application/json, text/html", planted} {
		p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) { answerWith(w, 200, kind, granted) })
		_, err := refreshAt(t.Context(), p.configured())
		wantKind(t, err, ErrOutcomeUnknown)
	}
}

// TestWhetherTheRequestWasSentDecides: nothing was changed only if no server can
// have had the whole request.
func TestWhetherTheRequestWasSentDecides(t *testing.T) {
	gone := newProvider(t, says(200, granted))
	gone.Close()
	_, err := refreshAt(t.Context(), gone.configured())
	wantKind(t, err, ErrTransient)

	broken := newProvider(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err = refreshAt(t.Context(), broken.configured())
	wantKind(t, err, ErrOutcomeUnknown)
	if len(broken.requests()) != 1 {
		t.Errorf("%d requests", len(broken.requests()))
	}

	half := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		answerWith(w, 200, "application/json", `{"access_token":`)
	})
	_, err = refreshAt(t.Context(), half.configured())
	wantKind(t, err, ErrOutcomeUnknown)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = refreshAt(ended, half.configured())
	wantKind(t, err, ErrTransient)
	if !errors.Is(err, context.Canceled) {
		t.Error("the context's error is lost")
	}
}

// TestSlowProviders: in a bubble, so that patience costs no time.
func TestSlowProviders(t *testing.T) {
	for name, first := range map[string]string{
		"silent": "",
		"drips":  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var dripping sync.WaitGroup
				dripping.Go(func() { drip(server, first) })
				r := New(&http.Client{Transport: &http.Transport{
					DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil },
				}}, time.Now, true)
				p := Provider{TokenURL: "http://127.0.0.1/token", Configured: true}
				_, err := r.Refresh(t.Context(), p, publicClient(), secret.New(madeUpRefresh), "", nil)
				wantKind(t, err, ErrOutcomeUnknown)
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				_ = server.Close()
				dripping.Wait()
			})
		})
	}
}

// drip answers a request, and never comes to an end. What came before the request
// would be nobody's answer.
func drip(c net.Conn, first string) {
	asked, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		_, err = io.Copy(io.Discard, asked.Body)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }()
	if err == nil {
		_, err = io.WriteString(c, first)
	}
	for ; err == nil && first != ""; _, err = io.WriteString(c, " ") {
		time.Sleep(time.Second)
	}
}
