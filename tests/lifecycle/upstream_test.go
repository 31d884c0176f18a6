//go:build e2e && !nojava

package lifecycle

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// upstream is an MCP server that lets in whoever shows a key that it accepts,
// remembers when, and carelessly answers with the key and the one before it. A
// GET, a subscription and the tool "wait" stay open for as long as the caller
// does.
type upstream struct {
	mu       sync.Mutex
	accepts  map[string]string // keys, each with the one before it
	admitted []admission
	refused  int
}

// admission is one request that was let in.
type admission struct {
	receipt string
	at      time.Time
}

// answered is in the answer of every tool but "wait".
const answered = "made-up-result"

// heard is in the first event of a stream.
const heard = "notifications/progress"

func newUpstream() *upstream { return &upstream{accepts: map[string]string{}} }

// accept replaces the keys that are accepted.
func (u *upstream) accept(keys map[string]string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.accepts = keys
}

// since gives the receipts of what was let in after a moment.
func (u *upstream) since(moment time.Time) (receipts []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, a := range u.admitted {
		if a.at.After(moment) {
			receipts = append(receipts, a.receipt)
		}
	}
	return receipts
}

func (u *upstream) counts() (admitted, refused int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.admitted), u.refused
}

func (u *upstream) admits(r *http.Request) (key, before string, ok bool) {
	key = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	u.mu.Lock()
	defer u.mu.Unlock()
	if before, ok = u.accepts[key]; ok {
		u.admitted = append(u.admitted, admission{r.Header.Get("Bindery-Receipt"), time.Now()})
	} else {
		u.refused++
	}
	return key, before, ok
}

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, before, ok := u.admits(r)
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct{ Name string }
	}
	if r.Method == http.MethodPost && json.NewDecoder(r.Body).Decode(&m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch {
	case r.Method == http.MethodGet, m.Method == "subscriptions/listen", m.Params.Name == "wait":
		stay(w, r)
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", rand.Text())
		answer(w, m.ID, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"made-up","version":"1"}}`)
	case m.Method == "tools/call":
		answer(w, m.ID, fmt.Sprintf(`{"content":[{"type":"text","text":"%s with %s after %s"}]}`, answered, key, before))
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func answer(w http.ResponseWriter, id json.RawMessage, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result)
}

// stay says something once, and then nothing until the caller is gone.
func stay(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":%q,\"params\":{\"progressToken\":1,\"progress\":1}}\n\n", heard)
	if http.NewResponseController(w).Flush() == nil {
		<-r.Context().Done()
	}
}
