//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
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

// TestARedirectIsNeverFollowed, wherever it points and whatever its status.
func TestARedirectIsNeverFollowed(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	_, reference := d.secret("notes")
	trap := d.upstream(echo())
	for _, status := range []int{301, 302, 303, 307, 308} {
		name := fmt.Sprintf("status-%d", status)
		u := d.upstream(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", trap.URL+"?key="+r.Header.Get("Authorization"))
			w.WriteHeader(status)
		})
		d.server(name, u.URL)
		d.bind(d.card(name, "card", group("dev"), reference))
		a := d.post(alice, name)
		a.want(t, http.StatusBadGateway, `"code":15022`)
		if a.header.Get("Location") != "" {
			t.Error("the caller was told where to go")
		}
		if r := d.ended(a, broker.UpstreamRedirect); r.Upstream != status {
			t.Errorf("recorded upstream status %d", r.Upstream)
		}
	}
	trap.untouched(t)
}

// listener counts the connections that somebody makes to it.
func listener(t *testing.T) (address string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	connections = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = c.Close()
		}
	}()
	return l.Addr().String(), connections
}

// unconnected calls a server at each URL and requires that its address was
// refused.
func (d *deployment) unconnected(account func(*http.Request), urls ...string) {
	d.t.Helper()
	_, reference := d.secret("unconnected")
	for i, url := range urls {
		name := fmt.Sprintf("address-%d", i)
		d.server(name, url)
		d.bind(d.card(name, "card", group("dev"), reference))
		a := d.post(alice, name, account)
		if a.status != http.StatusBadGateway || !strings.Contains(a.body, unreachable) {
			d.t.Errorf("%s: answered %d %s", url, a.status, a.body)
		}
		if r := d.ended(a, broker.UpstreamAddress); r.Upstream != 0 {
			d.t.Errorf("%s: the upstream answered %d", url, r.Upstream)
		}
	}
}

// TestAddressesThatAreNeverConnectedTo, even where loopback is open.
func TestAddressesThatAreNeverConnectedTo(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	address, connections := listener(t)
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	d.unconnected(func(*http.Request) {}, "https://169.254.169.254/latest/meta-data", "http://169.254.169.254/latest/meta-data",
		"https://10.1.2.3/mcp", "https://192.168.0.1/mcp", "https://172.16.0.1/mcp", "https://100.64.0.1/mcp", "https://0.0.0.0:"+port+"/mcp",
		"http://0.0.0.0:"+port+"/mcp", "https://[fd00:ec2::254]/mcp", "https://[::ffff:127.0.0.1]:"+port+"/mcp", "https://[64:ff9b::7f00:1]:"+port+"/mcp",
		"https://2130706433:"+port+"/mcp", "https://0x7f.1:"+port+"/mcp")
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}
