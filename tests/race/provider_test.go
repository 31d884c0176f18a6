//go:build e2e && !nojava

package race

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// provider is a token endpoint that rotates refresh tokens: each is good once.
// A second use of one is taken for theft, and ends everything that was issued
// since the consent.
type provider struct {
	secret string
	rest   func()
	// before and after a refresh is committed; false: whoever asked is gone.
	before, after func() bool

	mu      sync.Mutex
	current string          // the one refresh token that is good; empty: the family is dead
	access  map[string]bool // access tokens of the living family
	uses    map[string]int  // of every refresh token, by its text
	stale   int             // uses of one that had been used, or of a dead family
	commits int
}

func newProvider(rest func()) *provider {
	living := func() bool { return true }
	return &provider{secret: "made-up-client-secret-" + rand.Text(), rest: rest, before: living, after: living, access: map[string]bool{}, uses: map[string]int{}}
}

// consent begins a family, as a person's consent does.
func (p *provider) consent() (access, refresh string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.access)
	return p.issue()
}

func (p *provider) issue() (access, refresh string) {
	access, p.current = "made-up-access-"+rand.Text(), "made-up-refresh-"+rand.Text()
	p.access[access] = true
	return access, p.current
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	client, secret, _ := r.BasicAuth()
	if client != clientID || secret != p.secret || r.PostFormValue("grant_type") != "refresh_token" {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client"}`)
		return
	}
	p.rest()
	if !p.before() {
		return
	}
	access, refresh := p.rotate(r.PostFormValue("refresh_token"))
	if !p.after() {
		return
	}
	p.rest()
	if access == "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600})
}

// rotate is the provider's commit.
func (p *provider) rotate(used string) (access, refresh string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses[used]++
	if used != p.current {
		p.stale++
		p.current = ""
		clear(p.access)
		return "", ""
	}
	p.commits++
	return p.issue()
}

// seen is what was counted up to now.
type seen struct{ commits, stale, mostUses int }

func (p *provider) seen() seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := seen{commits: p.commits, stale: p.stale}
	for _, n := range p.uses {
		s.mostUses = max(s.mostUses, n)
	}
	return s
}

// good reports whether an upstream would take an access token. A refresh leaves
// the ones before it to their own end.
func (p *provider) good(access string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.access[access]
}

func (p *provider) refreshToken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}
