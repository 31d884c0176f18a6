//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// hostileDoors come through a name that is not this deployment's, or from a
// page that may not call.
func hostileDoors() map[string]attack {
	all := map[string]attack{}
	host := func(name string, change func(host string) string) {
		all["host "+name] = attack{status: 403, code: foreignHostCode, spoil: func(w *wire) { w.set("Host", change(w.host())) }}
	}
	host("of another", func(string) string { return "evil.example" })
	host("empty", func(string) string { return "" })
	host("without its port", func(h string) string { return strings.Split(h, ":")[0] })
	host("with another port", func(h string) string { return strings.Split(h, ":")[0] + ":1" })
	host("with a dot behind", func(h string) string { return strings.Replace(h, ":", ".:", 1) })
	host("as the front of another", func(h string) string { return h + ".evil.example" })
	host("as the end of another", func(h string) string { return "evil." + h })
	host("in decimal", func(h string) string { return strings.Replace(h, "127.0.0.1", "2130706433", 1) })
	host("in IPv6", func(h string) string { return strings.Replace(h, "127.0.0.1", "[::ffff:127.0.0.1]", 1) })
	all["a target of another host"] = attack{status: 403, code: foreignHostCode, spoil: func(w *wire) { w.line = "POST http://evil.example" + w.path + " HTTP/1.1" }}

	for _, origin := range []string{"https://evil.example", "null", "", "*", "file://", "http://localhost.evil.example", "http://evil.example/localhost", "http://localhost@evil.example",
		"http://localhost:1@evil.example", "http://evil.example#localhost", "http://127.0.0.2", "http://0.0.0.0", "http://2130706433", "http://localhost/", "http://localhost, http://evil.example",
		"http://localhost\\@evil.example", "//localhost", "localhost", "http://localhost.", "moz-extension://localhost@x"} {
		all[fmt.Sprintf("origin %q", origin)] = attack{status: 403, code: foreignOriginCode, spoil: with("Origin", origin)}
	}
	all["two origins"] = attack{status: 403, code: foreignOriginCode, spoil: also("Origin: http://localhost", "Origin: https://evil.example")}
	return all
}

// hostileMethods are GET and DELETE where there is nothing to get or to end.
func hostileMethods() map[string]attack {
	all := map[string]attack{}
	for _, method := range []string{"GET", "DELETE"} {
		get := bodiless(method)
		row := func(name string, status, code int, only string, change func(*wire)) {
			all[method+" "+name] = attack{spoil: change, status: status, code: code, only: only}
		}
		body := func(w *wire) { w.line = method + " " + w.path + " HTTP/1.1" }
		row("with a body", 400, 14001, "", body)
		row("with a body in chunks", 400, 14001, "", together(body, inChunks))
		row("with a body that never comes", 400, 14001, "", together(get, sized("Content-Length: 9"), func(w *wire) { w.cut = true }))
		row("in the modern era", 405, -32601, modern, get)
		row("without a token", 401, noTokenCode, "", together(get, without("Authorization")))
		row("with a token in the query", 401, badTokenCode, "", func(w *wire) { get(w); w.line = method + " " + w.path + "?access_token=" + w.token + " HTTP/1.1" })
		row("from a foreign page", 403, foreignOriginCode, "", together(get, with("Origin", "null")))
		row("of a version that is not served", 400, -32022, "", together(get, with("MCP-Protocol-Version", "2024-11-05")))
		row("of two sessions", 400, -32020, "", together(get, also("Mcp-Session-Id: one", "Mcp-Session-Id: smuggled")))
		all[method+" of a session that never was"] = attack{together(get, with("Mcp-Session-Id", "smuggled")), 404, 14041, 0, legacy, broker.SessionUnknown}
	}
	get := bodiless("GET")
	all["an event to resume after without its session"] = attack{spoil: together(get, with("Last-Event-ID", "7")), status: 400, code: 14002, only: legacy}
	all["two events to resume after"] = attack{spoil: together(get, also("Last-Event-ID: 7", "Last-Event-ID: smuggled")), status: 400, code: -32600, only: legacy}
	all["an event of 2000 bytes to resume after"] = attack{spoil: together(get, with("Last-Event-ID", strings.Repeat("x", 2000))), status: 400, code: -32600, only: legacy}
	all["a stream in another format"] = attack{spoil: together(get, with("Accept", "application/json")), status: 406, code: -32600, only: legacy}
	return all
}

// host is what the valid call says in Host.
func (w *wire) host() string { return strings.TrimPrefix(w.header[0], "Host: ") }

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`

// begin opens a session, as somebody, at a server.
func (s *siege) begin(t *testing.T, who, server string) string {
	t.Helper()
	w := s.valid(who)
	w.body = initialize
	w.line = strings.Replace(w.line, "/notes ", "/"+server+" ", 1)
	a := s.deliver(t, w)
	a.want(t, http.StatusOK, "[masked:")
	id := a.header.Get("Mcp-Session-Id")
	if id == "" {
		t.Fatal("there is no session")
	}
	return id
}

// TestAForgedSessionReachesNobody, by whatever method and whosever it is: it
// looks like one that never was, and the upstream hears nothing.
func TestAForgedSessionReachesNobody(t *testing.T) {
	t.Parallel()
	s, elsewhere := besiege(t, legacy), besiege(t, legacy)
	s.server("other", s.u.URL)
	_, reference := s.secret("other")
	s.bind(s.card("other", "dev-other", group("dev"), reference))
	for _, method := range []string{"POST", "GET", "DELETE"} {
		owner, thief := "owner by "+method, "thief by "+method
		own := s.begin(t, owner, "notes")
		flipped := func(at int) string { return own[:at] + string(own[at]^1) + own[at+1:] }
		send := func(who, name, id string) {
			change := with("Mcp-Session-Id", id)
			if method != "POST" {
				change = together(bodiless(method), change)
			}
			t.Run(method+" "+name, func(t *testing.T) {
				s.repelled(t, who, attack{spoil: change, status: 404, code: 14041, reason: broker.SessionUnknown})
			})
		}
		send(thief, "somebody else's", own)
		for name, id := range map[string]string{"of another server": s.begin(t, owner, "other"), "of another deployment": elsewhere.begin(t, owner, "notes"),
			"that never was": "smuggled", "the front alone": own[:4], "cut short": own[:len(own)-4], "longer": own + "AAAA", "with padding": own + "=", "twice": own + own,
			"in quotes": `"` + own + `"`, "in upper case": strings.ToUpper(own), "in a list": own + ", " + own, "with a flipped first bit": flipped(0),
			"with a flipped bit": flipped(len(own) / 2), "with flipped last bits": flipped(len(own) - 1)} {
			send(owner, name, id)
		}
		w := s.valid(owner)
		w.set("Mcp-Session-Id", own)
		s.deliver(t, w).want(t, http.StatusOK, "[masked:dev-notes]") // the session itself has survived
	}
	s.settled(t)
}
