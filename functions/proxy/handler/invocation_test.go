package handler

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
)

// TestAStreamThatItsInvocationEndsSaysSo, also where the token would have ended
// it soon after: the caller may open it again with the same one.
func TestAStreamThatItsInvocationEndsSaysSo(t *testing.T) {
	f := newFixture(t, nil, true)
	synctest.Test(t, func(t *testing.T) {
		heldStream(t, f, 40*time.Second)
		invocation, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		w, r := httptest.NewRecorder(), f.request("t", "").WithContext(invocation)
		r.Method = http.MethodGet
		began := time.Now()
		f.ServeHTTP(w, r)
		if open := time.Since(began); open != 30*time.Second-deadlineMargin {
			t.Errorf("it stayed open for %v", open)
		}
		if got := f.lastRecord(t, w); got.Reason != broker.StreamOver {
			t.Errorf("recorded %s", got.Reason)
		}
	})
}
