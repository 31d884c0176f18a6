package handler

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

// store is a secret store.
type store struct{}

func (store) Fetch(_ context.Context, want broker.Want) (broker.Secret, error) {
	s := broker.Secret{Values: map[string]secret.Value{}, Version: "v1"}
	for _, key := range want.Keys {
		s.Values[key] = secret.New(canary + "-static")
	}
	return s, nil
}

type quiet struct{}

func (quiet) Death(g broker.Grant, at time.Time) (broker.Record, error) {
	return broker.Record{Schema: broker.RecordSchema, Receipt: "death-of-" + g.Server, Phase: broker.Outcome, Nonce: rand.Text(), At: at}, nil
}
func (quiet) GrantDied(broker.Grant)                               {}
func (quiet) OutcomeUnknown(context.Context, broker.Grant) error   { return nil }
func (quiet) RevocationFailed(context.Context, broker.Grant) error { return nil }

// upstream keeps sessions, and forgets them when they are ended.
type upstream struct {
	w      *world
	mu     sync.Mutex
	kept   []string
	asked  []string // sessions, with the credential
	status int
	fault  error
}

func (u *upstream) begun(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.kept = append(u.kept, id)
}

func (u *upstream) For(*broker.Server) (Upstream, error) { return u, nil }

func (u *upstream) Do(r *http.Request) (response *http.Response, err error) {
	err = u.w.step(func() error {
		u.mu.Lock()
		defer u.mu.Unlock()
		id := r.Header.Get("Mcp-Session-Id")
		u.asked = append(u.asked, r.Method+" "+id+" "+r.Header.Get("Authorization"))
		status := u.status
		switch at := slices.Index(u.kept, id); {
		case u.fault != nil:
			return u.fault
		case status == http.StatusNoContent && at < 0:
			status = http.StatusNotFound
		case status == http.StatusNoContent:
			u.kept = slices.Delete(u.kept, at, at+1)
		}
		response = &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(canary))}
		return nil
	})
	return response, err
}

// provider honours tokens until they are revoked, and refreshes.
type provider struct {
	w       *world
	mu      sync.Mutex
	good    []string
	revoked map[string]int
	fault   func(token, hint string) error // of a revocation
	unfound error
	without bool // a revocation endpoint
}

func (p *provider) issued(s credential.TokenSet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.good = append(p.good, s.Access.Reveal(), s.Refresh.Reveal())
}

func (p *provider) Revokes() bool { return !p.without }

func (p *provider) Revoke(_ context.Context, token secret.Value, hint string) error {
	return p.w.step(func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.fault != nil {
			if err := p.fault(token.Reveal(), hint); err != nil {
				return err
			}
		}
		p.revoked[token.Reveal()]++
		p.good = slices.DeleteFunc(p.good, func(t string) bool { return t == token.Reveal() })
		return nil
	})
}

func (p *provider) honours() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.good)
}

func down(string, string) error {
	return &oauth.Fault{Kind: oauth.ErrTransient, Status: http.StatusServiceUnavailable}
}
