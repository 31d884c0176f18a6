package session

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// rows are the rolling keys of all processes of one deployment.
type rows struct {
	mu         sync.Mutex
	keys       map[string]broker.RollingKey
	loads      int
	adds       int
	beforeLoad func(ctx context.Context) error
	beforeAdd  func(ctx context.Context) error
	afterAdd   func() error // it is applied, and this is the answer
}

func newRows() *rows { return &rows{keys: map[string]broker.RollingKey{}} }

func row(environment string, day int64) string { return fmt.Sprint(environment, "/", day) }

func (r *rows) LoadRollingKey(ctx context.Context, environment string, day int64) (broker.RollingKey, error) {
	r.mu.Lock()
	r.loads++
	before := r.beforeLoad
	r.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return broker.RollingKey{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, ok := r.keys[row(environment, day)]
	if !ok {
		return broker.RollingKey{}, broker.ErrNotFound
	}
	return key, nil
}

func (r *rows) AddRollingKey(ctx context.Context, k broker.RollingKey) (broker.RollingKey, error) {
	if err := k.Check(); err != nil {
		return broker.RollingKey{}, err
	}
	r.mu.Lock()
	r.adds++
	before, after := r.beforeAdd, r.afterAdd
	r.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return broker.RollingKey{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.keys[row(k.Environment, k.Day)]; !taken {
		r.keys[row(k.Environment, k.Day)] = k
	}
	if after != nil {
		if err := after(); err != nil {
			return broker.RollingKey{}, err
		}
	}
	return r.keys[row(k.Environment, k.Day)], nil
}

func (r *rows) counts() (loads, adds int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loads, r.adds
}

// sealer gives a text back to whoever has the handle and the very same context.
type sealer struct {
	mu        sync.Mutex
	texts     map[string]sealedText
	opens     int
	forgetful bool // looks at no context, to see what else holds
	fault     error
}

type sealedText struct {
	broker.SealContext
	secret.Value
}

func newSealer() *sealer { return &sealer{texts: map[string]sealedText{}} }

func (s *sealer) Seal(ctx context.Context, c broker.SealContext, plain secret.Value) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return nil, s.fault
	}
	handle := fmt.Sprint("handle-", len(s.texts))
	s.texts[handle] = sealedText{c, plain}
	return []byte(handle), ctx.Err()
}

func (s *sealer) Open(ctx context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	text, ok := s.texts[string(sealed)]
	switch {
	case s.fault != nil:
		return secret.Value{}, s.fault
	case ctx.Err() != nil:
		return secret.Value{}, fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	case !ok, text.SealContext != c && !s.forgetful:
		return secret.Value{}, broker.ErrKeyUnavailable
	}
	return text.Value, nil
}

func (s *sealer) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

// deployment is rows and sealer, and a clock that its processes share but for
// the skew of each.
type deployment struct {
	*rows
	*sealer
	mu   sync.Mutex
	time time.Time
}

func newDeployment() *deployment {
	return &deployment{rows: newRows(), sealer: newSealer(), time: time.Date(2026, 11, 20, 15, 4, 5, 0, time.UTC)}
}

func (d *deployment) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.time
}

func (d *deployment) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.time = t
}

func (d *deployment) pass(by time.Duration) { d.set(d.now().Add(by)) }

func (d *deployment) process() *Sessions { return New(d.rows, d.sealer, "prod", d.now) }

func (d *deployment) skewed(by time.Duration) *Sessions {
	return New(d.rows, d.sealer, "prod", func() time.Time { return d.now().Add(by) })
}

// copyOfRows is the rows as another process's table would hold them.
func (d *deployment) copyOfRows() *rows {
	d.rows.mu.Lock()
	defer d.rows.mu.Unlock()
	return &rows{keys: maps.Clone(d.rows.keys)}
}

var (
	alice = Owner{Server: "github", Origin: "digest-of-origin", Principal: "p-alice", Agent: "a-editor"}
	begun = Session{Upstream: "canary-up-5b1f0e7a93", Binding: "github-write", Version: "2025-11-25",
		Capabilities: []string{"roots", "elicitation.form", "elicitation.url"}}
)

func wrap(t testing.TB, s *Sessions, o Owner, v Session) string {
	t.Helper()
	id, err := s.Wrap(t.Context(), o, v)
	if err != nil {
		t.Fatalf("wrap: %v", err)
	}
	return id
}
