package handler

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/memory"
)

// TestAnAttemptThatBrokeOffCanBeMadeAgain, and finds its own work where the
// change had been made.
func TestAnAttemptThatBrokeOffCanBeMadeAgain(t *testing.T) {
	for name, fault := range map[string]memory.Fault{"before the change": memory.Refuse(), "after it": memory.Lose()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { brokenOff(t, fault) })
		})
	}
}

func brokenOff(t *testing.T, fault memory.Fault) {
	f := newFixture(t)
	f.seed(t)
	for op, request := range map[memory.Op][2]string{memory.PutServer: {"/servers/notes", serverBody}, memory.PutBinding: {"/servers/notes/bindings/dev-notes", bindingBody}} {
		put := func(body string) answer {
			return f.call(t, "root", "PUT", request[0], body, "If-Match", `"v1"`, "Idempotency-Key", request[0]+body)
		}
		f.tables.Inject(op, fault)
		put(request[1]).want(t, 503, "unavailable")
		put(request[1]).want(t, 200, "") // at once
		if again := put(request[1]).want(t, 200, ""); again.Header().Get("Idempotent-Replay") != "true" || again.Header().Get("ETag") != `"v2"` {
			t.Errorf("the request was made once more: %v %s", again.Header(), again.Body)
		}
		put(strings.Replace(request[1], "active", "suspended", 1)).want(t, 412, "version_conflict")
		f.call(t, "root", "PUT", request[0], request[1], "If-Match", `"v1"`).want(t, 412, "version_conflict")
	}
}

// TestWhoComesTooSoonIsToldWhenToComeAgain: a request whose process died is
// waited for ever longer, and never past the time at which it may be made anew.
func TestWhoComesTooSoonIsToldWhenToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.seed(t)
		f.tables.Inject(memory.EndAttempt, memory.Refuse()) // as if the process had died
		put := func() answer {
			return f.call(t, "root", "PUT", "/servers/notes", serverBody, "If-Match", `"v1"`, "Idempotency-Key", "k")
		}
		put().want(t, 200, "")
		var waited []string
		for range 10 {
			a := put()
			if a.Code == 200 {
				break
			}
			a.want(t, 409, "attempt_under_way")
			waited = append(waited, a.Header().Get("Retry-After"))
			seconds, err := time.ParseDuration(a.Header().Get("Retry-After") + "s")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(seconds)
		}
		if d := cmp.Diff([]string{"1", "1", "2", "4", "8", "16", "28"}, waited); d != "" {
			t.Error(d)
		}
		put().want(t, 200, "")
	})
}

// TestACallerWhoLeftComesAgain: that its first request failed is kept all the same.
func TestACallerWhoLeftComesAgain(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	put := func(ctx context.Context) int {
		r := httptest.NewRequestWithContext(ctx, "PUT", "https://mcp.example.com"+base+"/servers/notes", strings.NewReader(serverBody))
		r.Header = http.Header{"Authorization": {"Bearer root"}, "Content-Type": {"application/json"}, "If-Match": {`"v1"`}, "Idempotency-Key": {"k"}}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Code
	}
	ctx, leave := context.WithCancel(t.Context())
	f.tables.Inject(memory.PutServer, memory.Fault{Wait: func(context.Context) { leave() }, Before: context.Canceled})
	if code := put(ctx); code != 503 {
		t.Fatalf("answered %d", code)
	}
	if code := put(t.Context()); code != 200 {
		t.Errorf("sent again it was answered %d", code)
	}
}
