//go:build e2e && !nonode

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
)

const sessionUnknown, sessionElsewhere = `"code":14041`, `"code":14033`

// open begins a session as a client does and gives its id. What the upstream
// itself calls it is looked for, from here on, like a credential.
func (d *deployment) open(u *upstream, account, server string, changes ...func(*http.Request)) string {
	d.t.Helper()
	send := func(body string, more ...func(*http.Request)) answer {
		r := d.request(account, server, legacy, body)
		for _, change := range append(more, changes...) {
			change(r)
		}
		return d.send(r)
	}
	began := send(initialize)
	began.want(d.t, http.StatusOK, `"protocolVersion"`)
	id := began.header.Get("Mcp-Session-Id")
	send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, in(id)).want(d.t, http.StatusAccepted, "")
	own := u.last(d.t).Header.Get("Mcp-Session-Id")
	if id == "" || own == "" || strings.Contains(id, own) {
		d.t.Fatalf("session %q, at the upstream %q", id, own)
	}
	d.canaries = append(d.canaries, own)
	if r := d.ended(began, ""); r.Session != broker.Digest("session", id) {
		d.t.Errorf("initialize is recorded with session %q", r.Session)
	}
	return id
}

// official records what reaches an official server.
func (d *deployment) official(at string) *upstream {
	return d.upstream(through(d.t, at).ServeHTTP)
}

// through passes requests on to an official server.
func through(t *testing.T, at string) http.Handler {
	target, err := url.Parse(at)
	must(t, err)
	target.Path = ""
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1}
}

// sessionful answers like a server that keeps sessions: what belongs to none of
// them is not found. ends answers DELETE.
func sessionful(ends http.HandlerFunc) http.HandlerFunc {
	begun := 0
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.Unmarshal(body, &m)
		switch {
		case m.Method == "initialize":
			begun++
			w.Header().Set("Mcp-Session-Id", fmt.Sprintf("upstream-session-%d-%p", begun, r))
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`)
		case !strings.HasPrefix(r.Header.Get("Mcp-Session-Id"), "upstream-session-"):
			http.Error(w, "no session", http.StatusNotFound)
		case r.Method == http.MethodDelete:
			ends(w, r)
		case m.ID == nil:
			w.WriteHeader(http.StatusAccepted)
		default:
			w.Header().Set("Mcp-Session-Id", r.Header.Get("Mcp-Session-Id"))
			r.Header.Del("Mcp-Session-Id")
			echo()(w, r)
		}
	}
}

// TestASessionIsServedByEveryProcess: the second one shares nothing with the
// first but the tables. The upstream is the official server, which keeps its
// sessions in memory and ends one when it is told to.
func TestASessionIsServedByEveryProcess(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.official(shared.everything.URL)
	d.simple(u)
	id := d.open(u, alice, "notes")
	own := u.last(t).Header.Get("Mcp-Session-Id")
	d.another()
	a := d.ask(alice, "notes", legacy, "tools/call", "test_simple_text", in(id))
	a.want(t, http.StatusOK, "simple text")
	if r := d.ended(a, ""); r.Session != broker.Digest("session", id) {
		t.Errorf("recorded session %q", r.Session)
	}
	ended := d.post(alice, "notes", by(http.MethodDelete), in(id))
	ended.want(t, http.StatusNoContent, "")
	if got := u.last(t); got.Method != http.MethodDelete || got.Header.Get("Mcp-Session-Id") != own {
		t.Errorf("the upstream got %s of session %q", got.Method, got.Header.Get("Mcp-Session-Id"))
	}
	d.ended(ended, "")
	over := d.ask(alice, "notes", legacy, "tools/call", "test_simple_text", in(id))
	over.want(t, http.StatusNotFound, "")
	if strings.Contains(over.body, sessionUnknown) {
		t.Error("Bindery says what only the upstream can know")
	}
	d.ended(over, "")
}

// TestASessionServesItsOwnerAlone: to everybody else, and at every other place,
// it looks like one that never was.
func TestASessionServesItsOwnerAlone(t *testing.T) {
	t.Parallel()
	d := mint(t)
	u, elsewhere := d.upstream(sessionful(nil)), d.upstream(sessionful(nil))
	_, reference := d.secret("notes")
	s := d.server("notes", u.URL)
	d.server("other", u.URL)
	card := d.bind(d.card("notes", "dev-notes", group("dev"), reference))
	d.bind(d.card("other", "dev-other", group("dev"), reference))
	must(t, d.DB.PutTool(t.Context(), broker.Tool{Environment: d.env, Server: "notes", Name: "whoami", State: broker.Active, Owner: "platform", Risk: broker.Low}))
	owner := d.as(alice, shell)
	id := d.open(u, alice, "notes", owner)
	before := len(u.arrivals())
	forEach := func(what, server string, who func(*http.Request), session, code string, reason broker.Reason) {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			changes := []func(*http.Request){in(session), who}
			if method != "POST" {
				changes = append(changes, by(method))
			}
			a := d.post(alice, server, changes...)
			if !strings.Contains(a.body, code) || a.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("%s, %s: answered %d %s", method, what, a.status, a.body)
			}
			if r := d.refused(a, reason); r.Session != broker.Digest("session", session) || r.Status != a.status {
				t.Errorf("%s, %s: recorded session %q, status %d", method, what, r.Session, r.Status)
			}
		}
	}
	forEach("somebody else", "notes", d.as(bob, shell), id, sessionUnknown, broker.SessionUnknown)
	forEach("another agent", "notes", d.as(alice, reporter), id, sessionUnknown, broker.SessionUnknown)
	forEach("another server", "other", owner, id, sessionUnknown, broker.SessionUnknown)
	forEach("the upstream's own id", "notes", owner, u.last(t).Header.Get("Mcp-Session-Id"), sessionUnknown, broker.SessionUnknown)
	if n := len(u.arrivals()) - before; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	a := d.ask(alice, "notes", legacy, "tools/call", "whoami", in(id), owner)
	if a.want(t, http.StatusOK, "[masked:dev-notes]"); a.header.Get("Mcp-Session-Id") != id {
		t.Errorf("the owner's answer is of session %q", a.header.Get("Mcp-Session-Id"))
	}

	own := d.bind(d.card("notes", "alice-notes", broker.Actor{Principal: broker.PrincipalID(d.issuer.Issuer(), alice)}, reference))
	before = len(u.arrivals())
	forEach("another binding", "notes", owner, id, sessionElsewhere, broker.SessionElsewhere)

	s.URL = elsewhere.URL
	must(t, d.Registry.PutServer(t.Context(), s))
	d.bind(card)
	d.bind(own, func(b *broker.Binding) { b.State = broker.Deleted })
	forEach("another origin", "notes", owner, id, sessionUnknown, broker.SessionUnknown)
	if n := len(u.arrivals()) - before; n != 0 {
		t.Errorf("%d requests reached the upstream that the session was at", n)
	}
	elsewhere.untouched(t)
	d.ask(alice, "notes", legacy, "tools/call", "whoami", owner).want(t, http.StatusNotFound, "no session") // from the new upstream
	d.open(elsewhere, alice, "notes", owner)
}

// TestASessionIsRevokedByTheDigestInItsRecord, at every process, and no other
// session with it.
func TestASessionIsRevokedByTheDigestInItsRecord(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(sessionful(nil))
	d.simple(u)
	id, spared := d.open(u, alice, "notes"), d.open(u, alice, "notes")
	a := d.ask(alice, "notes", legacy, "tools/call", "whoami", in(id))
	a.want(t, http.StatusOK, "[masked:dev-notes]")
	d.revoke(broker.SessionMarker, d.ended(a, "").Session)
	before := len(u.arrivals())
	refused := func() {
		t.Helper()
		for _, change := range []func(*http.Request){func(*http.Request) {}, by(http.MethodGet), by(http.MethodDelete)} {
			a := d.post(alice, "notes", in(id), change)
			a.want(t, http.StatusNotFound, sessionUnknown)
			d.refused(a, broker.SessionRevoked)
		}
	}
	refused()
	d.another()
	refused()
	if n := len(u.arrivals()) - before; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	d.ask(alice, "notes", legacy, "tools/call", "whoami", in(spared)).want(t, http.StatusOK, "[masked:dev-notes]")
}

// TestTheEndOfASessionIsTheUpstreams: its answer comes back as it is, also when
// it does not end sessions on request.
func TestTheEndOfASessionIsTheUpstreams(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	status := 0
	u := d.upstream(sessionful(func(w http.ResponseWriter, _ *http.Request) {
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "POST")
		}
		w.WriteHeader(status)
	}))
	key := d.simple(u)
	id := d.open(u, alice, "notes")
	own := u.last(t).Header.Get("Mcp-Session-Id")
	for _, status = range []int{http.StatusMethodNotAllowed, http.StatusNoContent, http.StatusOK, http.StatusAccepted, http.StatusNotFound} {
		a := d.post(alice, "notes", by(http.MethodDelete), in(id))
		a.want(t, status, "")
		if a.body != "" || status == http.StatusMethodNotAllowed && a.header.Get("Allow") != "POST" {
			t.Errorf("%d came with %q and Allow %q", status, a.body, a.header.Get("Allow"))
		}
		if got := u.last(t); got.Method != http.MethodDelete || got.Header.Get("Mcp-Session-Id") != own || got.body != "" || got.Header.Get("Authorization") != "Bearer "+key {
			t.Errorf("the upstream got %s of session %q", got.Method, got.Header.Get("Mcp-Session-Id"))
		}
		if r := d.ended(a, ""); r.Upstream != status || r.Method != http.MethodDelete || r.Session != broker.Digest("session", id) {
			t.Errorf("recorded %s, upstream %d, session %q", r.Method, r.Upstream, r.Session)
		}
	}
}

// TestASessionWhoseKeyCannotBeHadReachesNobody. A process that has the key
// goes on.
func TestASessionWhoseKeyCannotBeHadReachesNobody(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	u := d.upstream(sessionful(nil))
	d.simple(u)
	id := d.open(u, alice, "notes")
	warm := d.url
	for name, c := range map[string]struct {
		operation string
		reason    broker.Reason
	}{"KMS denies": {"Decrypt", broker.KeyUnavailable}, "the table denies": {"GetItem", broker.SessionUnread}} {
		d.another()
		d.ask(alice, "notes", legacy, "tools/call", "whoami").want(t, http.StatusNotFound, "no session") // has the issuer's keys from here on
		before := len(u.arrivals())
		d.faults.Inject(always(c.operation, "", faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException")))
		for _, change := range []func(*http.Request){func(*http.Request) {}, by(http.MethodGet), by(http.MethodDelete)} {
			a := d.post(alice, "notes", in(id), change)
			if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, undecided) || a.header.Get("Retry-After") == "" {
				t.Errorf("%s: answered %d %s", name, a.status, a.body)
			}
			d.refused(a, c.reason)
		}
		if n := len(u.arrivals()) - before; n != 0 {
			t.Errorf("%s: %d requests reached the upstream", name, n)
		}
		cold := d.url
		d.url = warm
		d.ask(alice, "notes", legacy, "tools/call", "whoami", in(id)).want(t, http.StatusOK, "[masked:dev-notes]")
		d.url = cold
		d.faults.Clear()
	}
	a := answer{}
	for began := time.Now(); a.status != http.StatusOK && time.Since(began) < pending; time.Sleep(200 * time.Millisecond) {
		a = d.ask(alice, "notes", legacy, "tools/call", "whoami", in(id)) // the fault is remembered for a moment
	}
	a.want(t, http.StatusOK, "[masked:dev-notes]")
}
