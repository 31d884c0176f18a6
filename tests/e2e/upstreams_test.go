//go:build e2e && !nonode

package e2e

import (
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

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
