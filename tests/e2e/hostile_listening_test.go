//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestAHostileStreamOfASession: what an upstream writes on the stream of a GET
// is masked like every answer, ends without an answer that nobody waits for,
// and is none where it is no stream.
func TestAHostileStreamOfASession(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	var c trick
	u := d.upstream(func(w http.ResponseWriter, r *http.Request) { bare(c.do)(w, r) })
	d.simple(u)
	card := func(s string) string { return strings.ReplaceAll(s, masked, "[masked:dev-notes]") }
	relayed := func(stream string) trick {
		return trick{do: writes(sseHead, toTheEnd+stream), status: 200, body: stream, whole: true}
	}
	tricks := streamTricks()
	for name, t := range tricks {
		if !strings.HasPrefix(name, "the key") {
			delete(tricks, name) // they answer a request
			continue
		}
		t.body = card(t.body)
		tricks[name] = t
	}
	tricks["an endpoint of the former transport"] = trick{do: writes(sseHead, toTheEnd+progress+"event: endpoint\ndata: https://evil.example/steal\n\n"),
		status: 200, body: progress, reason: broker.UpstreamMalformed, whole: true}
	tricks["an answer that nobody waits for"] = relayed(okEvent)
	tricks["a forged error of Bindery's"] = relayed(brokeOff)
	tricks["an event without its end"] = trick{do: writes(sseHead, toTheEnd+progress+"data: {\"half"), status: 200, body: progress, reason: broker.UpstreamBroke, whole: true}
	tricks["one JSON answer"] = trick{do: writes(jsonHead, toTheEnd+okAnswer), status: 200, body: okAnswer}
	tricks["a page"] = trick{do: writes("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", toTheEnd+"<h1>"), status: 502, body: `"code":15029`, reason: broker.UpstreamMalformed}
	tricks["a redirect"] = trick{do: writes("HTTP/1.1 307 Temporary Redirect\r\nLocation: https://evil.example\r\n", toTheEnd), status: 502, body: `"code":15022`, reason: broker.UpstreamRedirect}
	tricks["a protocol of its own"] = trick{do: writes("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", ""), status: 502, body: unreachable, reason: broker.UpstreamUnreached}
	for name := range tricks {
		c = tricks[name]
		t.Run(name, func(t *testing.T) {
			r := d.request(alice, "notes", legacy, "")
			r.Method, r.Body = http.MethodGet, nil
			a := d.send(r)
			a.want(t, c.status, c.body)
			if c.whole && a.body != c.body {
				t.Errorf("relayed %q, want %q", a.body, c.body)
			}
			if r := d.ended(a, c.reason); r.Masked != c.masked {
				t.Errorf("recorded %d masked", r.Masked)
			}
		})
	}
}
