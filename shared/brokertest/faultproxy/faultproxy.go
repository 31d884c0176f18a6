// Package faultproxy stands between a DynamoDB client and any endpoint that
// speaks its JSON protocol, and lets single requests meet the faults of a real
// network and a real service: throttling, 5xx, resets, delays, an answer that
// is lost after the request was applied, pages that are cut short and keys
// that come back unprocessed. It counts requests, so that a test can hold code
// to its number of trips.
//
// The proxy never changes what is stored beyond what the client asked for, and
// never makes an answer up except the errors and leftovers it documents. It is
// for tests only and listens on loopback only.
package faultproxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Proxy is a running proxy.
type Proxy struct {
	URL string

	upstream *url.URL
	client   *http.Client

	mu    sync.Mutex
	rules []*Rule
	seen  map[string]int
}

// Rule applies an effect to some of the requests.
type Rule struct {
	Operations []string          // "PutItem"; none matches every operation
	Match      func([]byte) bool // judges the request's body; nil matches all
	Skip       int               // so many matching requests pass first
	Times      int               // so many are affected; negative means all that follow
	Effect     Effect
}

// Answer is what the endpoint said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Effect handles one request. forward sends a body on and gives the answer.
type Effect func(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error))

// New starts a proxy in front of an endpoint ("http://127.0.0.1:8000") that
// ends with the test.
func New(t testing.TB, upstream string) *Proxy {
	t.Helper()
	u, err := url.Parse(upstream)
	if err != nil {
		t.Fatalf("parse the endpoint: %v", err)
	}
	p := &Proxy{upstream: u, seen: map[string]int{}, client: &http.Client{Transport: &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: false,
	}}}
	server := httptest.NewServer(p)
	p.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// Inject adds a rule. The first rule in order of injection that matches and is
// not used up affects a request. left tells how many requests it will still
// affect.
func (p *Proxy) Inject(r Rule) (left func() int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, &r)
	return func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return r.Times
	}
}

// Clear removes all rules.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
}

// Idle reports whether there are no rules: everything passes as it is.
func (p *Proxy) Idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.rules) == 0
}

// Count is how many requests of an operation arrived, repetitions included;
// with an empty name, of all operations.
func (p *Proxy) Count(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if operation != "" {
		return p.seen[operation]
	}
	sum := 0
	for _, n := range p.seen {
		sum += n
	}
	return sum
}

// ResetCounts forgets what was counted.
func (p *Proxy) ResetCounts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.seen)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	effect := p.pick(operation, body)
	forward := func(body []byte) (*Answer, error) { return p.forward(r, body) }
	effect(w, body, forward)
}

// pick counts the request and finds its effect.
func (p *Proxy) pick(operation string, body []byte) Effect {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[operation]++
	for _, rule := range p.rules {
		switch {
		case rule.Times == 0 || len(rule.Operations) > 0 && !slices.Contains(rule.Operations, operation):
		case rule.Match != nil && !rule.Match(body):
		case rule.Skip > 0:
			rule.Skip--
		default:
			rule.Times--
			return rule.Effect
		}
	}
	return pass
}

func (p *Proxy) forward(r *http.Request, body []byte) (*Answer, error) {
	// Not the client's context: what was forwarded is applied, even if the
	// client has given up waiting.
	out, err := http.NewRequest(r.Method, p.upstream.JoinPath(r.URL.Path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	response, err := p.client.Do(out)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer := &Answer{Status: response.StatusCode, Header: response.Header.Clone()}
	answer.Body, err = io.ReadAll(response.Body)
	return answer, err
}

func pass(w http.ResponseWriter, body []byte, forward func([]byte) (*Answer, error)) {
	answer, err := forward(body)
	if err != nil {
		BreakOff(w)
		return
	}
	answer.write(w)
}

func (a *Answer) write(w http.ResponseWriter) {
	for name, values := range a.Header {
		if name != "Connection" && name != "Content-Length" && name != "Transfer-Encoding" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// BreakOff ends the connection of a request the hard way: its sender sees a reset.
func BreakOff(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}
