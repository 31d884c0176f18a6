package handler

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/memory"
)

const initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",` +
	`"capabilities":{"elicitation":{"form":{},"url":{}}},"clientInfo":{"name":"c","version":"1"}}}`

const initialized = `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`

// sessionful is an upstream that issues one session id and remembers the
// requests that came.
type sessionful struct {
	id  string
	got []*http.Request
}

func (s *sessionful) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	s.got = append(s.got, r)
	var m struct{ ID json.RawMessage }
	_ = json.Unmarshal(body, &m)
	answer, err := respond(http.StatusOK, "application/json", strings.Replace(initialized, `"id":1`, `"id":`+string(m.ID), 1))(r)
	switch {
	case r.Method == http.MethodDelete:
		answer.StatusCode, answer.Body = http.StatusNoContent, http.NoBody
		answer.Header.Del("Content-Type")
	case r.Method == http.MethodGet:
		answer, err = respond(http.StatusOK, "text/event-stream", "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")(r)
	}
	if s.id != "" {
		answer.Header.Set("Mcp-Session-Id", s.id)
	}
	return answer, err
}

func (s *sessionful) last() *http.Request { return s.got[len(s.got)-1] }

// with sends one request of a caller, in a session if one is named.
func (f *fixture) with(t *testing.T, method, token, body, session string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := f.request(token, body)
	r.Method = method
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// begin opens a session for alice.
func (f *fixture) begin(t *testing.T) string {
	t.Helper()
	w := f.with(t, http.MethodPost, f.token(t), initializeBody, "")
	id := w.Header().Get("Mcp-Session-Id")
	if w.Code != http.StatusOK || id == "" {
		t.Fatalf("no session: %d %s", w.Code, w.Body)
	}
	return id
}

func (f *fixture) lastRecord(t *testing.T, w *httptest.ResponseRecorder) broker.Record {
	t.Helper()
	records := f.tables.Records(w.Header().Get("Bindery-Receipt"))
	if len(records) == 0 {
		t.Fatal("no record")
	}
	return records[len(records)-1]
}

func TestTheUpstreamsSessionIDNeverReachesTheCallerNorTheCallersTheUpstream(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	w := f.with(t, http.MethodPost, f.token(t), initializeBody, "")
	id := w.Header().Get("Mcp-Session-Id")
	if id == "" || strings.Contains(id, u.id) {
		t.Fatalf("session %q", id)
	}
	begun := f.lastRecord(t, w)
	if begun.Session != broker.Digest("session", id) {
		t.Errorf("the outcome of initialize names session %q", begun.Session)
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		body := ""
		if method == http.MethodPost {
			body = callBody
		}
		w := f.with(t, method, f.token(t), body, id)
		if got := u.last().Header["Mcp-Session-Id"]; len(got) != 1 || got[0] != u.id || u.last().Method != method {
			t.Errorf("%s: the upstream got session %q by %s", method, got, u.last().Method)
		}
		if got := w.Header().Get("Mcp-Session-Id"); got != id {
			t.Errorf("%s: the caller got session %q", method, got)
		}
		if r := f.lastRecord(t, w); r.Session != begun.Session || r.Phase != broker.Outcome {
			t.Errorf("%s: recorded %s, session %q", method, r.Phase, r.Session)
		}
	}
}

func TestBobWithAlicesSessionGetsNothing(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	id := f.begin(t)
	now := time.Now()
	bob := f.issuer.Sign("rsa", nil, map[string]any{"iss": f.issuer.Issuer(), "sub": "bob", "aud": publicURL + route, "email": "bob@example.com",
		"groups": []string{"g1"}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	before := len(u.got)
	for name, c := range map[string]struct{ method, token, session string }{
		"bob calls": {http.MethodPost, bob, id}, "bob listens": {http.MethodGet, bob, id}, "bob ends it": {http.MethodDelete, bob, id},
		"the upstream's own id": {http.MethodPost, f.token(t), u.id}, "an altered id": {http.MethodPost, f.token(t), id[:len(id)-2] + "AA"},
		"nonsense": {http.MethodPost, f.token(t), "b1."},
	} {
		body := ""
		if c.method == http.MethodPost {
			body = callBody
		}
		w := f.with(t, c.method, c.token, body, c.session)
		if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"code":14041`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if r := f.lastRecord(t, w); r.Phase != broker.Refused || r.Reason != broker.SessionUnknown || r.Status != 404 {
			t.Errorf("%s: recorded %+v", name, r)
		}
	}
	if len(u.got) != before {
		t.Error("something reached the upstream")
	}
}

// A second initialize within a session is no second session: a marker on the
// first id would not reach it.
func TestOneSessionHasOneID(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	id := f.begin(t)
	if w := f.with(t, http.MethodPost, f.token(t), initializeBody, id); w.Header().Get("Mcp-Session-Id") != id {
		t.Errorf("a second id for one session: %q", w.Header().Get("Mcp-Session-Id"))
	}
	u.id = "upstream-session-2"
	if w := f.with(t, http.MethodPost, f.token(t), initializeBody, id); w.Header().Get("Mcp-Session-Id") == id {
		t.Error("another session of the upstream has the first one's id")
	}
}

func TestAnUpstreamWithoutSessionsStillWorks(t *testing.T) {
	u := &sessionful{}
	f := newFixture(t, u, true)
	id := f.begin(t)
	w := f.with(t, http.MethodPost, f.token(t), callBody, id)
	if _, sent := u.last().Header["Mcp-Session-Id"]; sent || w.Code != http.StatusOK {
		t.Errorf("%d; the upstream got a session id: %v", w.Code, sent)
	}
	if w := f.with(t, http.MethodPost, f.token(t), callBody, ""); w.Code != http.StatusOK || w.Header().Get("Mcp-Session-Id") != "" {
		t.Errorf("without a session: %d, session %q", w.Code, w.Header().Get("Mcp-Session-Id"))
	}
}

func TestTheModernEraHasNoSessions(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	w := f.with(t, http.MethodPost, f.token(t), modernBody, "made-up", asModern)
	if w.Code != http.StatusOK || w.Header().Get("Mcp-Session-Id") != "" || u.last().Header.Get("Mcp-Session-Id") != "" {
		t.Errorf("%d, session %q, upstream's %q", w.Code, w.Header().Get("Mcp-Session-Id"), u.last().Header.Get("Mcp-Session-Id"))
	}
}

func TestOneSessionOneBinding(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	id := f.begin(t)
	r := &broker.Registry{Writer: f.tables, Reader: f.tables, Markers: f.tables, CheckServer: credential.CheckServer, TryAttach: credential.Try, Sources: f.sources}
	reference, _ := broker.ParseReference("aws-sm:prod/github#token")
	if err := r.Bind(t.Context(), broker.Binding{Environment: "prod", Server: "github", Name: "everybody", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Prompts: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static, Owner: "platform",
		Fields: []broker.Field{{Name: "token", Reference: reference}}}); err != nil {
		t.Fatal(err)
	}
	before := len(u.got)
	prompt := `{"jsonrpc":"2.0","id":9,"method":"prompts/get","params":{"name":"review"}}`
	w := f.with(t, http.MethodPost, f.token(t), prompt, id)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"id":9,"error":{"code":14033`) || len(u.got) != before {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if r := f.lastRecord(t, w); r.Reason != broker.SessionElsewhere {
		t.Errorf("recorded %s", r.Reason)
	}
	if w := f.with(t, http.MethodPost, f.token(t), prompt, ""); w.Code != http.StatusOK {
		t.Errorf("outside the session: %d %s", w.Code, w.Body)
	}
}

func TestARevokedSessionIsGone(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	id := f.begin(t)
	if err := f.tables.PutMarker(t.Context(), broker.Marker{Environment: "prod", Kind: broker.SessionMarker, ID: broker.Digest("session", id),
		Epoch: 1, Revoked: true, At: time.Now(), By: "test", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	before := len(u.got)
	w := f.with(t, http.MethodPost, f.token(t), callBody, id)
	if w.Code != http.StatusNotFound || len(u.got) != before {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestResumingNeedsTheSession(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	id := f.begin(t)
	resume := func(r *http.Request) { r.Header.Set("Last-Event-ID", "e-7") }
	if w := f.with(t, http.MethodGet, f.token(t), "", id, resume); w.Code != http.StatusOK || u.last().Header.Get("Last-Event-Id") != "e-7" {
		t.Errorf("%d, the upstream got %q", w.Code, u.last().Header.Get("Last-Event-Id"))
	}
	before := len(u.got)
	w := f.with(t, http.MethodGet, f.token(t), "", "", resume)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":14002`) || len(u.got) != before {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestASessionIDThatCannotBeKeptIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		id   string
		code string
	}{
		"the credential in it": {"s-" + canary, `"code":15028`}, "not visible ASCII": {"sess ion", `"code":15029`},
		"too long": {strings.Repeat("x", 2000), `"code":15029`},
	} {
		u := &sessionful{id: c.id}
		f := newFixture(t, u, true)
		w := f.with(t, http.MethodPost, f.token(t), initializeBody, "")
		if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), c.code) || w.Header().Get("Mcp-Session-Id") != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		f.clean(t, w)
	}
}

// A session that could not be given out is not begun at the upstream.
func TestWithoutTheDaysKeyNoSessionBegins(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	f.tables.Inject(memory.LoadRollingKey, memory.Refuse(), memory.Refuse())
	w := f.with(t, http.MethodPost, f.token(t), initializeBody, "")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"code":15032`) || len(u.got) != 0 {
		t.Errorf("%d %s, %d requests upstream", w.Code, w.Body, len(u.got))
	}
	if r := f.lastRecord(t, w); r.Reason != broker.SessionUnread {
		t.Errorf("recorded %s", r.Reason)
	}
}

func TestGetAndDeleteHaveNoBody(t *testing.T) {
	u := &sessionful{id: "upstream-session-1"}
	f := newFixture(t, u, true)
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if w := f.with(t, method, f.token(t), "x", ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"code":14001`) {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	if len(u.got) != 0 {
		t.Error("something reached the upstream")
	}
}

func TestADeploymentWithoutStreamsSaysSo(t *testing.T) {
	f := newFixture(t, &sessionful{}, true)
	f.streamTimeout = 0
	w := f.with(t, http.MethodGet, f.token(t), "", "")
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST, DELETE" {
		t.Errorf("%d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	subscribe := strings.Replace(strings.Replace(modernBody, "tools/call", "subscriptions/listen", 1), `"name":"create_issue","arguments"`, `"notifications"`, 1)
	w = f.with(t, http.MethodPost, f.token(t), subscribe, "", func(r *http.Request) {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", "subscriptions/listen")
	})
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"id":7,"error":{"code":-32601`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
