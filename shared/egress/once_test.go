package egress

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// TestARequestThatWasReceivedIsNotSentAgain although the connection broke before
// its answer, as long as it is meant to be sent once.
func TestARequestThatWasReceivedIsNotSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*http.Request) *http.Request
		want    int64
	}{
		"once":           {Once, 1},
		"as it may come": {func(r *http.Request) *http.Request { return r }, 2}, // so that the first shows something
	} {
		var received atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || len(body) > 0 || len(r.TransferEncoding) > 0 || r.Header.Get("Content-Length") != "" {
				t.Errorf("%s: a request without a body came with one: %q %v", name, body, r.TransferEncoding)
			}
			if r.URL.Path == "/breaks" && received.Add(1) == 1 {
				reset(t, w)
			}
		}))
		client := New(Policy{Loopback: true})
		warm, err := get(t, client, srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, warm.Body) // so that its connection is used again
		response, err := client.Do(c.prepare(request(t, t.Context(), http.MethodGet, srv.URL+"/breaks")))
		if err == nil {
			_ = response.Body.Close()
		}
		if n := received.Load(); n != c.want || (err == nil) != (c.want == 2) {
			t.Errorf("%s: received %d times, want %d: %v", name, n, c.want, err)
		}
		srv.Close()
		client.CloseIdleConnections()
	}
}

func reset(t *testing.T, w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	tcp, ok := connection.(*net.TCPConn)
	if !ok {
		t.Error(errors.New("no TCP connection"))
		return
	}
	_ = tcp.SetLinger(0)
	_ = tcp.Close()
}

// TestARequestThatIsSentOnceIsAnOrdinaryOne over HTTP/2 as well, and leaves no
// connection open.
func TestARequestThatIsSentOnceIsAnOrdinaryOne(t *testing.T) {
	open := make(chan http.ConnState, 10)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) > 0 || r.ContentLength != 0 || r.ProtoMajor != 2 {
			t.Errorf("%s with a body of %d: %q, %v", r.Proto, r.ContentLength, body, err)
		}
	}))
	srv.EnableHTTP2 = true
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) { open <- s }
	srv.StartTLS()
	defer srv.Close()
	c := trusting(t, srv, Policy{Loopback: true})
	response, err := c.Do(Once(request(t, t.Context(), http.MethodGet, srv.URL)))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	for s := range open {
		if s == http.StateClosed {
			return
		}
	}
}
