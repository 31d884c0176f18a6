//go:build e2e && !nonode

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bindery/shared/mcp"
)

// harmless are requests that HTTP allows although they look like attacks. What
// is smuggled in them must go nowhere.
func harmless() map[string]func(*wire) {
	smuggled := func(names ...string) func(*wire) {
		return func(w *wire) {
			for _, name := range names {
				w.add(name + ": smuggled")
			}
		}
	}
	return map[string]func(*wire){
		"the method in a header":       smuggled("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"),
		"another address in a header":  smuggled("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded"),
		"another caller in a header":   smuggled("X-User-Email", "X-Agent", "X-Amzn-Oidc-Identity", "X-Real-Ip", "True-Client-Ip", "X-Remote-User"),
		"Bindery's own headers":        smuggled("Bindery-Receipt", "Bindery-Mode"),
		"underscores in names":         smuggled("Mcp_Method", "Mcp_Name", "Bindery_Mode", "Content_Length"),
		"a token in a cookie as well":  smuggled("Cookie", "Proxy-Authorization", "X-Api-Key"),
		"an upgrade to websockets":     also("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: c211Z2dsZWQ=", "Sec-WebSocket-Protocol: smuggled"),
		"an upgrade to HTTP 2":         also("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: c211Z2dsZWQ="),
		"Expect: 100-continue":         also("Expect: 100-continue"),
		"hop-by-hop headers":           also("Connection: keep-alive, X-Smuggled", "X-Smuggled: 1", "TE: trailers", "Keep-Alive: timeout=smuggled"),
		"an encoding that is not used": also("Content-Encoding: gzip"),
		"two trace parents":            also("Traceparent: smuggled", "Traceparent: smuggled"),
		"a trace state not ASCII":      also("Tracestate: smuggled=\u00fc"),
		"another session":              also("Last-Event-ID-2: smuggled"),
		"the bearer in lower case":     func(w *wire) { w.set("Authorization", "bearer "+w.token) },
		"a query":                      func(w *wire) { w.line = "POST " + w.path + "?server=smuggled&environment=smuggled HTTP/1.1" },
		"a target that names the host": func(w *wire) {
			w.line = "POST http://" + w.host() + w.path + " HTTP/1.1"
			w.set("Host", "smuggled.example")
		},
		"UTF-8 in capitals": with("Content-Type", `Application/JSON; charset="UTF-8"`),
		"chunks":            inChunks,
		"chunk extensions": func(w *wire) {
			asChunks(fmt.Sprintf("%x;smuggled=\"1\"\r\n%s\r\n0;smuggled\r\n\r\n", len(w.body), w.body))(w)
		},
		"chunk sizes with zeros": func(w *wire) { asChunks(fmt.Sprintf("0000%X\r\n%s\r\n000\r\n\r\n", len(w.body), w.body))(w) },
		"trailers": func(w *wire) {
			w.add("Trailer: Mcp-Method")
			asChunks(fmt.Sprintf("%x\r\n%s\r\n0\r\nMcp-Method: smuggled\r\nAuthorization: smuggled\r\n\r\n", len(w.body), w.body))(w)
		},
		"chunks and a length": func(w *wire) { w.add("Content-Length: 4"); inChunks(w) },
		"the name in base64":  func(w *wire) { w.set("Mcp-Name", "=?base64?d2hvYW1p?=") },
		"4 MiB to the byte":   func(w *wire) { w.body += strings.Repeat(" ", mcp.MaxRequest-len(w.body)) },
		"one byte at a time":  func(w *wire) { w.slow = true },
	}
}

// TestWhatHTTPAllowsIsReadOnceAndNothingIsSmuggled: the upstream gets the
// message as it was judged, with the length it has, and none of the rest.
func TestWhatHTTPAllowsIsReadOnceAndNothingIsSmuggled(t *testing.T) {
	t.Parallel()
	for _, era := range []string{legacy, modern} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, era)
			table := harmless()
			for _, name := range slices.Sorted(maps.Keys(table)) {
				t.Run(name, func(t *testing.T) {
					w, before := s.valid(name), len(s.u.arrivals())
					table[name](w)
					a := s.deliver(t, w)
					a.want(t, http.StatusOK, "[masked:dev-notes]")
					if n := len(s.u.arrivals()); n != before+1 {
						t.Fatalf("the upstream got %d requests, want one", n-before)
					}
					got := s.u.last(t)
					var header strings.Builder
					must(t, got.Header.Write(&header))
					if text := strings.ToLower(header.String() + got.URL.String()); strings.Contains(text, "smuggled") || strings.Contains(text, "c211z2dszwq") {
						t.Errorf("the upstream got %s", text)
					}
					if strings.TrimRight(got.body, " ") != toolCall(era) || got.ContentLength != int64(len(got.body)) || got.TransferEncoding != nil || got.Method != http.MethodPost {
						t.Errorf("the upstream got %s, %d bytes announced, coding %v: %.300s", got.Method, got.ContentLength, got.TransferEncoding, got.body)
					}
					if r := s.ended(a, ""); r.Method != "tools/call" || r.Target != "whoami" || r.Server != "notes" {
						t.Errorf("recorded %s %s at %s", r.Method, r.Target, r.Server)
					}
				})
			}
		})
	}
}
