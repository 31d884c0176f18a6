//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"io"
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
	for kind, g := range map[string]struct {
		era    string
		tricks map[string]trick
	}{"echoes": {legacy, echoTricks()}, "broken": {legacy, brokenTricks()}, "heads": {legacy, headTricks()},
		"legacy streams": {legacy, streamTricks()}, "modern streams": {modern, streamTricks()}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			var c trick
			u := d.upstream(func(w http.ResponseWriter, r *http.Request) { bare(c.do)(w, r) })
			_, reference := d.secret("shared")
			for name, patience := range map[string]time.Duration{"patient": 20 * time.Second, "quick": 1500 * time.Millisecond} {
				d.server(name, u.URL, func(s *broker.Server) { s.Timeout = patience })
				d.bind(d.card(name, "card", group("dev"), reference))
			}
			for name := range g.tricks {
				c = g.tricks[name]
				t.Run(name, func(t *testing.T) { d.survives(t, u, g.era, c) })
			}
		})
	}
}

// survives calls a server that plays a trick.
func (d *deployment) survives(t *testing.T, u *upstream, era string, c trick) {
	t.Helper()
	before, server := len(u.arrivals()), "patient"
	if c.quick {
		server = "quick"
	}
	a := d.send(d.request(alice, server, era, toolCall(era)))
	a.want(t, c.status, c.body)
	if c.whole && a.body != c.body {
		t.Errorf("relayed %q, want %q", a.body, c.body)
	}
	if r := d.ended(a, c.reason); r.Masked != c.masked || r.Status != c.status {
		t.Errorf("recorded %d masked and status %d", r.Masked, r.Status)
	}
	for _, name := range []string{"X-Debug", "Set-Cookie", "Link", "WWW-Authenticate", "Location", "Bindery-Mode", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"} {
		if a.header.Get(name) != "" {
			t.Errorf("the upstream's own %s reached the caller", name)
		}
	}
	if kept := a.header.Get("Bindery-Receipt") + a.header.Get("Mcp-Session-Id"); strings.Contains(kept, "forged") {
		t.Errorf("a forged header reached the caller")
	}
	if n := len(u.arrivals()) - before; n != 1 {
		t.Errorf("the upstream got %d requests", n)
	}
}
