package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// trusting returns a Client that trusts the certificate of srv.
func trusting(t *testing.T, srv *httptest.Server, p Policy) *Client {
	t.Helper()
	c := New(p)
	c.guard.secure.TLSClientConfig.RootCAs = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func request(t *testing.T, ctx context.Context, method, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func get(t *testing.T, c *Client, target string) (*http.Response, error) {
	t.Helper()
	resp, err := c.Do(request(t, t.Context(), http.MethodGet, target))
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

func TestRequestReachesLoopbackOverBothSchemesAndHTTP2(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	plain := httptest.NewServer(echo)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(echo)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	c := trusting(t, secure, Policy{Loopback: true})
	for target, want := range map[string]string{plain.URL: "HTTP/1.1", secure.URL: "HTTP/2.0"} {
		resp, err := get(t, c, target)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != want {
			t.Errorf("%s: %q, want %q", target, b, want)
		}
	}
}

// A literal is refused before the dial, and at the dial where the URL check is
// not asked: both layers are there.
func TestLoopbackServerIsNotReachedUnlessOpened(t *testing.T) {
	reached := false
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	for _, networks := range [][]netip.Prefix{nil, {netip.MustParsePrefix("127.0.0.0/8")}, {netip.MustParsePrefix("0.0.0.0/0")}} {
		c := trusting(t, srv, Policy{Networks: networks})
		if _, err := get(t, c, srv.URL); !errors.Is(err, ErrAddress) {
			t.Errorf("Do: %v, want ErrAddress", err)
		}
		resp, err := c.guard.secure.RoundTrip(request(t, t.Context(), http.MethodGet, srv.URL))
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, ErrAddress) {
			t.Errorf("transport: %v, want ErrAddress", err)
		}
	}
	if reached {
		t.Error("the server was reached")
	}
}

func TestPlainHTTPTransportDialsNothingButLoopback(t *testing.T) {
	c := New(Policy{Loopback: true, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	resp, err := c.guard.plain.RoundTrip(request(t, t.Context(), http.MethodGet, "http://10.0.0.1/"))
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, ErrAddress) {
		t.Errorf("err = %v, want ErrAddress", err)
	}
}

func TestRedirectIsReturnedAndNotFollowed(t *testing.T) {
	followed := false
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stolen" {
			followed = true
		}
		http.Redirect(w, r, srv.URL+"/stolen", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c := New(Policy{Loopback: true})
	for name, do := range map[string]func(*http.Request) (*http.Response, error){"Do": c.Do, "HTTP": c.HTTP().Do} {
		r := request(t, t.Context(), http.MethodPost, srv.URL)
		r.Body, r.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
		resp, err := do(r)
		if err != nil {
			t.Fatal(name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusTemporaryRedirect || followed {
			t.Errorf("%s: status %d, followed %v", name, resp.StatusCode, followed)
		}
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	proxied := false
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied = true }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	t.Setenv("NO_PROXY", "")
	c := build(Policy{Loopback: true}, (&nameserver{addrs: []string{"169.254.0.1"}}).resolver())
	// net/http reads the environment once per process and spares loopback, so
	// the transports themselves are asked as well.
	if c.guard.secure.Proxy != nil || c.guard.plain.Proxy != nil {
		t.Error("a transport has a proxy function")
	}
	if _, err := get(t, c, "https://upstream.test/"); !errors.Is(err, ErrAddress) {
		t.Errorf("err = %v, want ErrAddress", err)
	}
	if proxied {
		t.Error("the proxy was asked")
	}
}

func TestCompressedAnswerIsPassedAsItIs(t *testing.T) {
	packed := []byte("\x1f\x8b not really gzip")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Error("Accept-Encoding was added")
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed)
	}))
	defer srv.Close()
	resp, err := get(t, New(Policy{Loopback: true}), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(b, packed) {
		t.Errorf("body %q, %v", b, err)
	}
}

func TestSelfSignedCertificateIsRefusedBeforeTheRequestIsSent(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("request sent") }))
	srv.Config.ErrorLog = quiet()
	srv.StartTLS()
	defer srv.Close()
	if _, err := get(t, New(Policy{Loopback: true}), srv.URL); !errors.Is(err, ErrUnreachable) {
		t.Errorf("err = %v, want ErrUnreachable", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("request sent") }))
	srv.Config.ErrorLog = quiet()
	srv.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	srv.StartTLS()
	defer srv.Close()
	if _, err := get(t, trusting(t, srv, Policy{Loopback: true}), srv.URL); err == nil {
		t.Error("TLS 1.1 accepted")
	}
}

// A library that builds its own URL is held to the rules of ParseURL, and the
// body it handed over is closed.
func TestHTTPClientRefusesWhatParseURLRefuses(t *testing.T) {
	c := New(Policy{})
	for target, want := range map[string]error{
		"http://example.com/?k=hunter2":        ErrScheme,
		"https://169.254.169.254/?k=hunter2":   ErrAddress,
		"https://u:hunter2@example.com/":       ErrURL,
		"ftp://example.com/?k=hunter2":         ErrScheme,
		"https://2130706433/?k=hunter2":        ErrURL,
		"https://localhost/?k=hunter2":         ErrAddress,
		"https://example.com:0/?k=hunter2":     ErrURL,
		"https://[fe80::1%25eth0]/?k=hunter2":  ErrAddress,
		"https://[::ffff:1.1.1.1]/?k=hunter2":  ErrAddress,
		"https://example.com./?k=hunter2":      ErrURL,
		"https://exa%C3%A4mple.com/?k=hunter2": ErrURL,
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		b := &closing{Reader: strings.NewReader("x")}
		_, err = c.Do(&http.Request{Method: http.MethodPost, URL: u, Body: b, Header: http.Header{}})
		if !errors.Is(err, want) || !b.closed {
			t.Errorf("%s: %v (body closed: %v), want %v", target, err, b.closed, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error tells the query: %v", err)
		}
	}
	if _, err := c.Do(&http.Request{Method: http.MethodGet}); !errors.Is(err, ErrURL) {
		t.Errorf("no URL: %v", err)
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }
