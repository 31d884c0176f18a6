package handler

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/session"
)

// living are the sessions that are known.
func (f *fixture) living(t *testing.T) []broker.LiveSession {
	t.Helper()
	found, _, err := f.tables.ScanSessions(t.Context(), "prod", "", broker.MaxScan)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestASessionIsKnownBeforeItsOwnerHasIt: with whose it is, and nothing that
// opens it for somebody else.
func TestASessionIsKnownBeforeItsOwnerHasIt(t *testing.T) {
	upstream := &sessionful{id: "up-1"}
	f := newFixture(t, upstream, true)
	puts := f.tables.Calls(memory.AddSession)
	answer := f.with(t, http.MethodPost, f.token(t), initializeBody, "")
	id := answer.Header().Get("Mcp-Session-Id")
	if answer.Code != http.StatusOK || id == "" {
		t.Fatalf("%d, session %q", answer.Code, id)
	}
	origin, err := broker.OriginDigest("https://upstream.example.com/mcp")
	if err != nil {
		t.Fatal(err)
	}
	want := []broker.LiveSession{{Environment: "prod", Digest: broker.Digest("session", id), Server: "github", Origin: origin,
		Principal: broker.PrincipalID(f.issuer.Issuer(), "alice"), Issuer: f.issuer.Issuer(), Groups: []string{"dev"}, Binding: "dev-github", Wrapped: id}}
	got := f.living(t)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(broker.LiveSession{}, "Expires")); diff != "" {
		t.Fatal(diff)
	}
	if left := time.Until(got[0].Expires); left > session.Life || left < session.Life-time.Hour {
		t.Errorf("it expires in %v", left)
	}
	// What follows in the session writes nothing more: one trip, once.
	f.with(t, http.MethodPost, f.token(t), `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, id, inRevision)
	if n := f.tables.Calls(memory.AddSession) - puts; n != 1 {
		t.Errorf("%d writes", n)
	}
}

func inRevision(r *http.Request) { r.Header.Set("Mcp-Protocol-Version", "2025-11-25") }

func TestASessionThatCannotBeKnownIsNotGiven(t *testing.T) {
	f := newFixture(t, &sessionful{id: "up-1"}, true)
	f.tables.Inject(memory.AddSession, memory.Refuse())
	answer := f.with(t, http.MethodPost, f.token(t), initializeBody, "")
	if answer.Code < 500 || answer.Header().Get("Mcp-Session-Id") != "" || strings.Contains(answer.Body.String(), "up-1") {
		t.Errorf("%d, session %q: %s", answer.Code, answer.Header().Get("Mcp-Session-Id"), answer.Body)
	}
	if known := f.living(t); len(known) > 0 {
		t.Errorf("known: %+v", known)
	}
}

func TestAnUpstreamWithoutSessionsHasNoneToEnd(t *testing.T) {
	f := newFixture(t, &sessionful{}, true)
	if answer := f.with(t, http.MethodPost, f.token(t), initializeBody, ""); answer.Header().Get("Mcp-Session-Id") == "" {
		t.Fatal("the client's capabilities have to be remembered all the same")
	}
	if known := f.living(t); len(known) > 0 {
		t.Errorf("known: %+v", known)
	}
}

// TestAnEndedSessionIsForgotten: where the upstream says it is over or unknown,
// and only there.
func TestAnEndedSessionIsForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		left   int
		fault  bool
	}{
		"it is over":             {status: http.StatusNoContent},
		"it is unknown":          {status: http.StatusNotFound},
		"sessions do not end":    {status: http.StatusMethodNotAllowed, left: 1},
		"the upstream fails":     {status: http.StatusServiceUnavailable, left: 1},
		"it cannot be forgotten": {status: http.StatusNoContent, left: 1, fault: true},
	} {
		upstream := &sessionful{id: "up-1"}
		f := newFixture(t, transport(func(r *http.Request) (*http.Response, error) {
			answer, err := upstream.RoundTrip(r)
			if r.Method == http.MethodDelete {
				answer.StatusCode = c.status
				answer.Header.Del("Mcp-Session-Id")
			}
			return answer, err
		}), true)
		id := f.with(t, http.MethodPost, f.token(t), initializeBody, "").Header().Get("Mcp-Session-Id")
		if c.fault {
			f.tables.Inject(memory.EndSession, memory.Refuse())
		}
		answer := f.with(t, http.MethodDelete, f.token(t), "", id, inRevision)
		if known := f.living(t); len(known) != c.left || c.status < 300 && answer.Code != c.status {
			t.Errorf("%s: the caller got %d, known: %+v", name, answer.Code, known)
		}
	}
}
