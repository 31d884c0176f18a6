//go:build e2e && !nonode

package e2e

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// isolating serves the endpoint with transactions that nothing else happens in,
// as DynamoDB has them. The endpoint itself shows half of a transaction to whoever
// reads meanwhile, and a busy machine makes clients give up and repeat one that
// still runs, which then finds that half.
func isolating(t *testing.T, endpoint string) string {
	t.Helper()
	var running sync.RWMutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".TransactWriteItems") {
			running.Lock()
			defer running.Unlock()
		} else {
			running.RLock()
			defer running.RUnlock()
		}
		// A client that gives up does not end what the endpoint does.
		next, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, endpoint+r.URL.RequestURI(), bytes.NewReader(body))
		if err != nil {
			return
		}
		next.Header = r.Header.Clone()
		response, err := client.Do(next)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		defer response.Body.Close()
		maps.Copy(w.Header(), response.Header)
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
