package handler

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
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
		put(request[1]).want(t, 409, "attempt_under_way")
		time.Sleep(broker.AttemptTime)
		put(request[1]).want(t, 200, "")
		if again := put(request[1]).want(t, 200, ""); again.Header().Get("Idempotent-Replay") != "true" || again.Header().Get("ETag") != `"v2"` {
			t.Errorf("the request was made once more: %v %s", again.Header(), again.Body)
		}
		put(strings.Replace(request[1], "active", "suspended", 1)).want(t, 412, "version_conflict")
		f.call(t, "root", "PUT", request[0], request[1], "If-Match", `"v1"`).want(t, 412, "version_conflict")
	}
}
