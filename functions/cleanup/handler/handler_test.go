package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/memory"
	"bindery/shared/session"
	"bindery/shared/start"
)

func TestEventsThatAreNone(t *testing.T) {
	w := newWorld(t)
	for _, event := range []string{"", "null", "{}", "[]", `{"task":"continue","Records":[]}`, `{"task":"continue","more":1}`, `{"task":1}`, `{"Records":{}}`, `{"Records":null}`} {
		if answer, err := w.handler().Handle(t.Context(), json.RawMessage(event)); !errors.Is(err, errEvent) || answer != nil {
			t.Errorf("%s: %v, %v", event, answer, err)
		}
	}
}

type broken struct{ broker.Revocations }

func (broken) OpenRevocations(context.Context, string, int) ([]broker.Revocation, error) {
	panic("made-up-secret")
}

func TestAPanicSaysNothing(t *testing.T) {
	w := newWorld(t)
	h := w.handler()
	h.Cases = broken{}
	if _, err := h.Handle(t.Context(), json.RawMessage(`{"task":"continue"}`)); !errors.Is(err, start.ErrPanic) || strings.Contains(w.log.String(), "made-up-secret") {
		t.Errorf("%v, %s", err, w.log)
	}
}

// explosive is an upstream whose client panics.
type explosive struct{}

func (explosive) For(*broker.Server) (Upstream, error) { panic("made-up-secret") }

// TestAPanicEndsNothing: what panicked on the way has not been ended.
func TestAPanicEndsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.session(1, "github")
	id := w.revoke(broker.SessionMarker, s.Digest)
	h := w.handler()
	h.Upstreams = explosive{}
	w.must(h.work(t.Context(), w.found(id)))
	if c := w.found(id); c.Work != broker.WorkOpen || c.Sessions != (broker.Tally{Found: 1}) || strings.Contains(w.log.String(), "made-up-secret") {
		t.Errorf("%+v, %s", c, w.log)
	}
	w.pass(time.Minute)
	if c := w.finish(id); c.Sessions != (broker.Tally{Found: 1, Ended: 1}) {
		t.Errorf("%+v", c.Sessions)
	}
}

func TestTablesThatCannotBeReadFailTheRun(t *testing.T) {
	w := newWorld(t)
	id := w.revoke(broker.EverythingMarker, "prod")
	h := w.handler()
	w.tables.Inject(memory.ListRevocations, memory.Refuse())
	if _, err := h.Handle(t.Context(), json.RawMessage(`{"task":"continue"}`)); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	for _, op := range []memory.Op{memory.ReadMarkers, memory.ScanSessions, memory.ScanGrants} {
		w.tables.Inject(op, memory.Refuse())
		if report := w.goOn(); report != (Report{Worked: 1, Failed: 1}) {
			t.Errorf("%v: %+v", op, report)
		}
	}
	w.finish(id)
}

// TestARunEndsBeforeTheInvocation, counts what it did, and the next one goes on
// at once.
func TestARunEndsBeforeTheInvocation(t *testing.T) {
	w := newWorld(t)
	for n := range 3 * batch {
		w.session(n, "github")
	}
	id := w.revoke(broker.EnvironmentMarker, "prod")
	ctx, cancel := context.WithCancel(t.Context())
	h := w.handler()
	h.Cases = after{h.Cases, cancel} // the time is over after the first batch
	w.must(h.work(ctx, w.found(id)))
	c := w.found(id)
	if c.Work != broker.WorkOpen || c.Sessions.Ended != batch || !h.due(c) || c.Tries != 0 || len(w.facts(id)) > 0 {
		t.Errorf("%+v", c)
	}
	if c := w.finish(id); c.Sessions != (broker.Tally{Found: 3 * batch, Ended: 3 * batch}) {
		t.Errorf("%+v", c.Sessions)
	}
}

// TestAPlaceThatFails holds up nobody: after a few faults in a row the rest of it
// waits for the next pass, and others are ended meanwhile.
func TestAPlaceThatFails(t *testing.T) {
	w := newWorld(t)
	w.server("dead", broker.Static, "aws-sm:prod/dead#token")
	for n := range 2 * batch {
		w.session(n, "dead")
	}
	for n := range batch {
		w.session(n, "github")
	}
	up := w.upstream
	h := w.handler()
	h.Upstreams = selective{up, "dead"}
	id := w.revoke(broker.EnvironmentMarker, "prod")
	w.must(h.work(t.Context(), w.found(id)))
	c := w.found(id)
	if c.Sessions != (broker.Tally{Found: 3 * batch, Ended: batch}) || len(up.asked) > batch+patienceWith+atOnce {
		t.Errorf("%+v, asked %d times", c.Sessions, len(up.asked))
	}
	if n := len(c.Unreached); n < patienceWith || n > patienceWith+atOnce {
		t.Errorf("%d unreached", n)
	}
	w.pass(time.Minute)
	if c := w.finish(id); c.Sessions.Ended != 3*batch {
		t.Errorf("%+v", c.Sessions)
	}
}

// selective is an upstream of which one server is down.
type selective struct {
	*upstream
	down string
}

func (s selective) For(server *broker.Server) (Upstream, error) {
	if server.Name == s.down {
		return unreachable{}, nil
	}
	return s.upstream, nil
}

type unreachable struct{}

func (unreachable) Do(*http.Request) (*http.Response, error) { return nil, errors.New("made up") }

// opens is what opens any session, for tests that have many.
type opens struct{}

func (opens) Unwrap(_ context.Context, _ session.Owner, id string) (session.Session, error) {
	return session.Session{Upstream: id}, nil
}

// TestManyPagesOfSessions: each is found once, wherever it is.
func TestManyPagesOfSessions(t *testing.T) {
	const many = 4*broker.MaxScan + 7
	w := newWorld(t)
	for n := range many {
		name := fmt.Sprint("many-", n)
		w.must(w.tables.AddSession(t.Context(), broker.LiveSession{Environment: "prod", Digest: broker.Digest("session", name), Server: "github", Origin: w.origin(),
			Principal: person(n % 97), Agent: []string{"", "okta:bot"}[n%2], Binding: "dev", Wrapped: name, Expires: w.time().Add(time.Hour)}))
	}
	id := w.revoke(broker.AgentMarker, "okta:bot")
	h := w.handler()
	h.Wrapped = opens{}
	w.must(h.work(t.Context(), w.found(id)))
	if c := w.found(id); c.Sessions != (broker.Tally{Found: many / 2, Ended: many / 2}) || len(w.upstream.asked) != many/2 {
		t.Errorf("%+v, asked %d times", c.Sessions, len(w.upstream.asked))
	}
	slices.Sort(w.upstream.asked)
	if once := slices.Compact(w.upstream.asked); len(once) != many/2 {
		t.Errorf("%d of them", len(once))
	}
}

// TestAMarkerWithoutACase gets one, and the record of it; whoever died may come
// back, and nothing is told twice.
func TestAMarkerWithoutACase(t *testing.T) {
	w := newWorld(t)
	m := broker.Marker{Environment: "prod", Kind: broker.ServerMarker, ID: "github", Epoch: 1, Revoked: true, At: w.time(), By: leader, Reason: "taken over", Revocation: w.receipt()}
	w.must(w.tables.PutMarker(t.Context(), m))
	told := broker.ReceiptOf(m.At, "fact", "prod", m.Revocation)
	for _, fault := range []memory.Op{memory.Append, memory.ReadRevocation, memory.AddRevocation} {
		w.tables.Inject(fault, slices.Repeat([]memory.Fault{memory.Refuse()}, 5)...)
		if err := w.handler().follow(t.Context(), changeOf(m)); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%v: %v", fault, err)
		}
		w.tables.Clear()
	}
	for range 2 {
		w.must(w.handler().follow(t.Context(), changeOf(m)))
	}
	if c := w.found(m.Revocation); c.Work != broker.WorkOpen || c.By != leader || c.Reason != "taken over" || len(w.tables.Records(told)) != 1 {
		t.Errorf("%+v, told %d times", c, len(w.tables.Records(told)))
	}
	w.finish(m.Revocation)
}

func changeOf(m broker.Marker) dynamo.RevocationChange { return dynamo.RevocationChange{Marker: &m} }
