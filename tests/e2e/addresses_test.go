//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
	"bindery/shared/config"
	"bindery/shared/identity"
)

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
func listener(t *testing.T) (port string, connections *atomic.Int64) {
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
	_, port, err = net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port, connections
}

// careless registers any server from here on: registration would refuse most
// of these addresses, and a row may come from elsewhere.
func (d *deployment) careless() { d.Registry.CheckServer = func(broker.Server) error { return nil } }

// unconnected calls a server at each URL and requires that its address was
// refused.
func (d *deployment) unconnected(change func(*http.Request), urls ...string) {
	d.t.Helper()
	d.careless()
	_, reference := d.secret("unconnected")
	for i, url := range urls {
		name := fmt.Sprintf("address-%d", i)
		d.server(name, url)
		d.bind(d.card(name, "card", group("dev"), reference))
		a := d.post(alice, name, change)
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
	port, connections := listener(t)
	d.unconnected(func(*http.Request) {}, "https://169.254.169.254/latest/meta-data", "http://169.254.169.254/latest/meta-data",
		"https://10.1.2.3/mcp", "https://192.168.0.1/mcp", "https://172.16.0.1/mcp", "https://100.64.0.1/mcp", "https://0.0.0.0:"+port+"/mcp",
		"http://0.0.0.0:"+port+"/mcp", "https://[fd00:ec2::254]/mcp", "https://[::ffff:127.0.0.1]:"+port+"/mcp", "https://[64:ff9b::7f00:1]:"+port+"/mcp",
		"https://2130706433:"+port+"/mcp", "https://0x7f.1:"+port+"/mcp")
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// TestADeploymentConnectsToNoLoopback: with the settings of a real deployment,
// which knows its issuer's keys from another process.
func TestADeploymentConnectsToNoLoopback(t *testing.T) {
	t.Parallel()
	const login = "https://login.example.com"
	own := idp.New(t)
	own.OnDiscovery(func(w http.ResponseWriter, _ *http.Request) {
		idp.WriteJSON(w, []byte(object("issuer", login, "jwks_uri", login+idp.JWKSPath)))
	})
	d := deploy(t, func(p *plan) {
		p.issuers = []any{issuer(p.env, map[string]any{"issuer": login, "algorithms": []string{"ES256"}, "agents": "ignored"})}
		p.config = func(c *config.Config) { c.Local = false }
	})
	claims := map[string]any{"iss": login, "sub": "dana", "aud": audience, "groups": []string{"g-dev"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	authorized := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+own.Sign("k1", nil, claims)) }
	port, connections := listener(t)
	u := d.upstream(echo())
	d.careless()
	d.server("notes", u.URL)

	d.keysFromAnotherProcess(own, authorized)
	d.refused(d.post(alice, "notes", authorized), broker.NoBinding)
	d.unconnected(authorized, u.URL, "https://127.0.0.1:"+port+"/mcp", "http://127.0.0.1:"+port+"/mcp", "https://localhost:"+port+"/mcp",
		"https://[::1]:"+port+"/mcp", "https://169.254.169.254/latest/meta-data", "https://10.1.2.3/mcp")
	u.untouched(t)
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// keysFromAnotherProcess has a verifier that reaches the issuer fetch its keys
// and share them.
func (d *deployment) keysFromAnotherProcess(own *idp.Server, authorized func(*http.Request)) {
	d.t.Helper()
	document, err := identity.Parse(d.Config.Issuers, false)
	must(d.t, err)
	there, err := url.Parse(own.Issuer())
	must(d.t, err)
	verifier, err := identity.New(identity.Config{Document: document, Environment: d.env, PublicURL: d.Config.PublicURL,
		KeySets: d.DB, Sealer: d.Sealer, Now: time.Now, HTTP: &http.Client{Transport: reroute{there}}})
	must(d.t, err)
	r := d.request(alice, "notes", legacy, toolCall(legacy))
	authorized(r)
	_, err = verifier.Verify(d.t.Context(), r, broker.Route{Environment: d.env, Server: "notes"})
	must(d.t, err)
}

// reroute sends every request to one server.
type reroute struct{ to *url.URL }

func (r reroute) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Scheme, request.URL.Host = r.to.Scheme, r.to.Host
	return http.DefaultTransport.RoundTrip(request)
}
