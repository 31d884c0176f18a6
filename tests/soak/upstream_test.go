//go:build e2e && !nojava

package soak

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bindery/shared/brokertest/faultproxy"
)

// How the upstream behaves: each is a tool, and for a stream the event id that a
// client resumes from.
const (
	plainly  = "plainly"   // one JSON answer
	asEvents = "as-events" // as Server-Sent Events
	slowly   = "slowly"    // after a while
	breaking = "breaking"  // a connection that is reset in the middle of the answer
	hangup   = "hangup"    // or before it
	refusing = "refusing"  // 401
	failing  = "failing"   // 500
	killing  = "killing"   // the process that asks is killed first
	waiting  = "waiting"   // events until the caller is gone
)

// answered is in every answer of a tool.
const answered = "made-up-result"

// upstream is an MCP server that lets in whoever shows a key that it accepts,
// counts what reaches it, and carelessly repeats the key in its answers.
type upstream struct {
	stored func(receipt string) bool // whether the intent stands; nil: nobody asks
	kill   func(receipt string)
	tokens http.Handler // of the provider, at the same address; nil: none

	mu         sync.Mutex
	accepts    map[string]bool
	arrived    map[string]int // by receipt
	calls      map[string]int // tools' calls, by message id
	over       map[string]int // sessions that were ended
	unrecorded []string       // receipts that came without a stored intent
}

func newUpstream() *upstream {
	return &upstream{accepts: map[string]bool{}, arrived: map[string]int{}, calls: map[string]int{}, over: map[string]int{}}
}

func (u *upstream) accept(keys ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, key := range keys {
		u.accepts[key] = true
	}
}

// request is what reaches the upstream.
type request struct {
	ID     json.RawMessage
	Method string
	Params struct{ Name string }
}

// take counts a request, and says whether its key is good.
func (u *upstream) take(receipt, key, ended string, m request) bool {
	stored := u.stored == nil || u.stored(receipt)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arrived[receipt]++
	if ended != "" {
		u.over[ended]++
	}
	if m.Method == "tools/call" {
		u.calls[string(m.ID)]++
	}
	if !stored {
		u.unrecorded = append(u.unrecorded, receipt)
	}
	return u.accepts[key]
}

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" && u.tokens != nil {
		u.tokens.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	var m request
	if err != nil || r.Method == http.MethodPost && json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	receipt, key := r.Header.Get("Bindery-Receipt"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	ended := ""
	if r.Method == http.MethodDelete {
		ended = r.Header.Get("Mcp-Session-Id")
	}
	if !u.take(receipt, key, ended, m) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	how := m.Params.Name
	if r.Method == http.MethodGet {
		how = r.Header.Get("Last-Event-ID")
	}
	switch {
	case u.fails(w, how, receipt):
	case r.Method == http.MethodGet, m.Method == "subscriptions/listen":
		stream(w, r, how)
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", rand.Text())
		answer(w, m.ID, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"made-up","version":"1"}}`)
	case m.Method == "tools/list":
		answer(w, m.ID, `{"tools":[{"name":"`+answered+`","description":"`+key+`","inputSchema":{"type":"object"}}]}`)
	case m.Method == "tools/call":
		u.call(w, m, how, key)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// fails behaves badly, if it was asked to.
func (u *upstream) fails(w http.ResponseWriter, how, receipt string) bool {
	switch how {
	case hangup:
		faultproxy.BreakOff(w)
	case refusing:
		w.WriteHeader(http.StatusUnauthorized)
	case failing:
		w.WriteHeader(http.StatusInternalServerError)
	case killing:
		u.kill(receipt)
		faultproxy.BreakOff(w)
	default:
		return false
	}
	return true
}

// slowness is how long the upstream thinks.
const slowness = 300 * time.Millisecond

func (u *upstream) call(w http.ResponseWriter, m request, how, key string) {
	result := fmt.Sprintf(`{"content":[{"type":"text","text":"%s with %s"}]}`, answered, key)
	switch how {
	case slowly:
		time.Sleep(slowness)
	case breaking:
		w.Header().Set("Content-Length", "1000")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":`, m.ID)
		_ = http.NewResponseController(w).Flush()
		faultproxy.BreakOff(w)
		return
	case asEvents:
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":%q}}\n\n", key)
		_ = http.NewResponseController(w).Flush()
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n\n", m.ID, result)
		return
	}
	answer(w, m.ID, result)
}

func answer(w http.ResponseWriter, id json.RawMessage, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result)
}

// heard is in the events of a stream.
const heard = "notifications/progress"

// stream says something once, and again and again if it is to last.
func stream(w http.ResponseWriter, r *http.Request, how string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":%q,\"params\":{\"progressToken\":1,\"progress\":1}}\n\n", heard)
		if http.NewResponseController(w).Flush() != nil || how != waiting && r.Method == http.MethodGet {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(time.Second):
		}
	}
}
