package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// raw serves bytes that net/http's server would never send. answer gets the
// connection once the request headers are read.
func raw(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					answer(c)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/?key=hunter2"
}

func TestHugeHeadersAreRefused(t *testing.T) {
	huge := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Huge", strings.Repeat("a", MaxHeaderBytes+4096))
	})
	plain := httptest.NewServer(huge)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(huge)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	for _, target := range []string{plain.URL, secure.URL} {
		if _, err := get(t, trusting(t, secure, Policy{Loopback: true}), target); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v, want ErrBroken", target, err)
		}
	}
}

func TestHeadersThatNeverEndAreRefused(t *testing.T) {
	target := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(c, "X-%d: a\r\n", i); err != nil {
				return
			}
		}
	})
	if _, err := get(t, New(Policy{Loopback: true}), target); !errors.Is(err, ErrBroken) {
		t.Errorf("err = %v, want ErrBroken", err)
	}
}

func TestSlowHeadersEndWithTheHeaderTimeout(t *testing.T) {
	target := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Slow: ")
		_, _ = io.Copy(io.Discard, c) // until the client hangs up
	})
	_, err := get(t, New(Policy{Loopback: true, HeaderTimeout: 30 * time.Millisecond}), target)
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("err = %v, want ErrTimeout", err)
	}
}

func TestCallersDeadlineEndsHeadersAndBody(t *testing.T) {
	silent := raw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	halfBody := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		_, _ = io.Copy(io.Discard, c)
	})
	for name, target := range map[string]string{"headers": silent, "body": halfBody} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		resp, err := New(Policy{Loopback: true}).Do(request(t, ctx, http.MethodGet, target))
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want ErrTimeout and DeadlineExceeded", name, err)
		}
	}
}

func TestCancelledCallIsNotATimeout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	target := raw(t, func(c net.Conn) { cancel(); _, _ = io.Copy(io.Discard, c) })
	resp, err := New(Policy{Loopback: true}).Do(request(t, ctx, http.MethodGet, target))
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("err = %v, want Canceled alone", err)
	}
}

func TestBodyThatNeverEndsIsCutAndTheConnectionDropped(t *testing.T) {
	stopped := make(chan struct{})
	target := raw(t, func(c net.Conn) {
		defer close(stopped)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
		for {
			if _, err := c.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	resp, err := get(t, New(Policy{Loopback: true}), target)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := ReadBounded(resp.Body, 1<<20, resp.ContentLength); !errors.Is(err, ErrTooLarge) || b != nil {
		t.Errorf("ReadBounded = %d bytes, %v", len(b), err)
	}
	_ = resp.Body.Close()
	<-stopped
}

// net/http quotes what it could not parse. An upstream that echoes the
// credential there would write it into our logs.
func TestErrorNeverQuotesTheAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"not HTTP":         "hunter2 hunter2\r\n\r\n",
		"status":           "HTTP/1.1 hunter2 OK\r\n\r\n",
		"header line":      "HTTP/1.1 200 OK\r\nhunter2\r\n\r\n",
		"length":           "HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n",
		"transfer coding":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: hunter2\r\n\r\n",
		"chunk size":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n",
		"trailer":          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nhunter2\r\n\r\n",
		"closed in body":   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhunter2",
		"closed at once":   "",
		"closed in header": "HTTP/1.1 200 OK\r\nX: hunter2",
	} {
		t.Run(name, func(t *testing.T) {
			target := raw(t, func(c net.Conn) { _, _ = io.WriteString(c, answer) })
			for _, do := range []func(*http.Request) (*http.Response, error){New(Policy{Loopback: true}).Do, New(Policy{Loopback: true}).guard.RoundTrip} {
				resp, err := do(request(t, t.Context(), http.MethodGet, target))
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
				if !errors.Is(err, ErrBroken) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("err = %v, want ErrBroken and no quote", err)
				}
			}
		})
	}
}

func TestReadBounded(t *testing.T) {
	for n, want := range map[int]error{0: nil, 9: nil, 10: nil, 11: ErrTooLarge} {
		for _, announced := range []int64{-1, 0, 1, int64(n), 10, 11, math.MaxInt64} { // it may be a lie
			b, err := ReadBounded(strings.NewReader(strings.Repeat("a", n)), 10, announced)
			if !errors.Is(err, want) || (want == nil && len(b) != n) || (want != nil && b != nil) {
				t.Errorf("%d bytes, announced as %d: %d, %v", n, announced, len(b), err)
			}
		}
	}
}

// After a protocol switch no context would end the connection.
func TestSwitchingProtocolsIsNoAnswer(t *testing.T) {
	url := raw(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := New(Policy{Loopback: true}).Do(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, ErrBroken) {
		t.Errorf("got %v", err)
	}
}
