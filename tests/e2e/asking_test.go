//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/brokertest/idp"
)

// minted is a deployment whose issuer says of a caller what a test wants.
type minted struct {
	*deployment
	issuer *idp.Server
}

func mint(t *testing.T, changes ...func(*plan)) *minted {
	m := &minted{issuer: idp.New(t)}
	own := func(p *plan) {
		p.issuers = []any{issuer(p.env, map[string]any{"issuer": m.issuer.Issuer(), "algorithms": []string{"ES256"}})}
	}
	m.deployment = deploy(t, append(changes, own)...)
	return m
}

// as makes a request that of a person of group dev who uses a client.
func (m *minted) as(who, agent string) func(*http.Request) { return m.asUntil(who, agent, time.Hour) }

func (m *minted) asUntil(who, agent string, life time.Duration) func(*http.Request) {
	now := time.Now()
	signed := m.issuer.Sign("k1", nil, map[string]any{"iss": m.issuer.Issuer(), "sub": who, "client_id": agent, "aud": audience, "groups": []string{"g-dev"},
		"iat": now.Unix(), "exp": now.Add(life).Unix()})
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+signed) }
}

// in puts a request into a session.
func in(session string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Mcp-Session-Id", session) }
}

// by makes a request one without a body.
func by(method string) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.Body, r.GetBody, r.ContentLength = method, http.NoBody, nil, 0
		r.Header.Del("Content-Type")
	}
}

// rpc makes a JSON-RPC request. members are those of its params.
func rpc(era, method, members string) string {
	if era == modern {
		members = strings.TrimSuffix(`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},`+members, ",")
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + members + `}}`
}

// asking is a request of a method that uses a named thing, or of one that names
// nothing. Resources are named by uri, all else by name.
func (d *deployment) asking(account, server, era, method, name string, changes ...func(*http.Request)) *http.Request {
	d.t.Helper()
	members, key := "", "name"
	if strings.HasPrefix(method, "resources/") {
		key = "uri"
	}
	if name != "" {
		members = strings.Trim(object(key, name), "{}")
	}
	r := d.request(account, server, era, rpc(era, method, members))
	if era == modern {
		r.Header.Set("Mcp-Method", method)
		if r.Header.Del("Mcp-Name"); name != "" {
			r.Header.Set("Mcp-Name", name)
		}
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func (d *deployment) ask(account, server, era, method, name string, changes ...func(*http.Request)) answer {
	d.t.Helper()
	return d.send(d.asking(account, server, era, method, name, changes...))
}
