//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// trick is a way in which an upstream misbehaves, and what has to come of it.
type trick struct {
	do     func(c net.Conn, key string) // all that is written, on the bare connection
	status int
	body   string // must be in the answer
	reason broker.Reason
	masked int
	quick  bool // the server's row allows only a moment
	whole  bool // body is all of the answer
}

const (
	jsonHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	sseHead  = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	chunked  = "Transfer-Encoding: chunked\r\n\r\n"
	toTheEnd = "Connection: close\r\n\r\n"
	progress = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n"
	masked   = "[masked:card]"
)

// writes is a whole answer.
func writes(head, body string) func(net.Conn, string) {
	return func(c net.Conn, _ string) { _, _ = io.WriteString(c, head+body) }
}

// echoes answers with the credential, spelled by a function, as a text of JSON.
func echoes(head string, spell func(string) string) func(net.Conn, string) {
	return func(c net.Conn, key string) {
		_, _ = io.WriteString(c, head+`{"jsonrpc":"2.0","id":1,"result":{"t":"before `+spell(key)+` after"}}`)
	}
}

func quoted(s string) string { return strings.Trim(object("", s)[4:], `"}`) }

// dribbles writes a text in chunks of one byte each.
func dribbles(head string, body func(key string) string) func(net.Conn, string) {
	return func(c net.Conn, key string) {
		_, _ = io.WriteString(c, head+chunked)
		for _, b := range []byte(body(key)) {
			_, _ = fmt.Fprintf(c, "1\r\n%c\r\n", b)
			time.Sleep(50 * time.Microsecond) // so that they travel apart
		}
		_, _ = io.WriteString(c, "0\r\n\r\n")
	}
}

// hangs writes something and then nothing, until the other side hangs up.
func hangs(start string) func(net.Conn, string) {
	return func(c net.Conn, _ string) {
		_, _ = io.WriteString(c, start)
		_, _ = io.Copy(io.Discard, c)
	}
}

// drips writes something and then a byte now and then, for as long as it can.
func drips(start string) func(net.Conn, string) {
	return func(c net.Conn, _ string) {
		_, err := io.WriteString(c, start)
		for err == nil {
			time.Sleep(10 * time.Millisecond)
			_, err = io.WriteString(c, "x")
		}
	}
}

func floods(head, unit string) func(net.Conn, string) {
	return func(c net.Conn, _ string) {
		_, err := io.WriteString(c, head)
		megabyte := strings.Repeat(unit, 1<<20/len(unit))
		for sent := 0; sent < 50 && err == nil; sent++ {
			_, err = io.WriteString(c, megabyte)
		}
	}
}

// bare lets an upstream write what it likes on the connection of its request,
// and closes it.
func bare(do func(c net.Conn, key string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		do(c, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
}

// TestHostileUpstreams, each on a real socket: the right answer, the right
// record, and nothing leaks (which the end of the deployment checks).
func TestHostileUpstreams(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	_, reference := d.secret("shared")
	tricks := echoTricks()
	maps.Copy(tricks, brokenTricks())
	for name, c := range tricks {
		t.Run(name, func(t *testing.T) {
			server := strings.ToLower(strings.NewReplacer(" ", "-", "'", "").Replace(name))
			u := d.upstream(bare(c.do))
			d.server(server, u.URL, func(s *broker.Server) {
				if c.quick {
					s.Timeout = 150 * time.Millisecond
				}
			})
			d.bind(d.card(server, "card", group("dev"), reference))
			a := d.post(alice, server)
			a.want(t, c.status, c.body)
			if c.whole && a.body != c.body {
				t.Errorf("more than the answer was relayed: %q", a.body)
			}
			r := d.ended(a, c.reason)
			if r.Masked != c.masked || r.Status != c.status {
				t.Errorf("recorded %d masked and status %d", r.Masked, r.Status)
			}
			if a.header.Get("X-Debug")+a.header.Get("Set-Cookie")+a.header.Get("Link")+a.header.Get("WWW-Authenticate") != "" {
				t.Errorf("the upstream's own headers reached the caller: %v", a.header)
			}
			if n := len(u.arrivals()); n != 1 {
				t.Errorf("the upstream got %d requests", n)
			}
		})
	}
}
