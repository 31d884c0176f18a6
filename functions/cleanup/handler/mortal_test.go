package handler

import (
	"context"
	"time"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

// mortal is the tables as a process that may die sees them: at a step, applied or
// not, and nothing after it.
type mortal struct {
	*memory.DB
	w *world
}

// step does what is one step of the process.
func (w *world) step(apply func() error) error {
	w.mu.Lock()
	w.life.steps++
	n, dies, applied := w.life.steps, w.life.dies, w.life.applied
	w.mu.Unlock()
	switch {
	case dies > 0 && n > dies, n == dies && !applied:
		return broker.ErrUnavailable
	case n == dies:
		if err := apply(); err != nil {
			return err
		}
		return broker.ErrUnavailable
	}
	return apply()
}

func (m mortal) PutRevocation(ctx context.Context, r broker.Revocation) error {
	return m.w.step(func() error { return m.DB.PutRevocation(ctx, r) })
}

func (m mortal) AddRevocation(ctx context.Context, r broker.Revocation) error {
	return m.w.step(func() error { return m.DB.AddRevocation(ctx, r) })
}

func (m mortal) Markers(ctx context.Context, environment string, keys []broker.MarkerKey) (found []broker.Marker, err error) {
	err = m.w.step(func() error { found, err = m.DB.Markers(ctx, environment, keys); return err })
	return found, err
}

func (m mortal) EndSession(ctx context.Context, environment, principal, digest string) error {
	return m.w.step(func() error { return m.DB.EndSession(ctx, environment, principal, digest) })
}

func (m mortal) ScanSessions(ctx context.Context, environment, after string, limit int) (found []broker.LiveSession, next string, err error) {
	err = m.w.step(func() error { found, next, err = m.DB.ScanSessions(ctx, environment, after, limit); return err })
	return found, next, err
}

func (m mortal) ScanGrants(ctx context.Context, environment, after string, limit int) (found []broker.Grant, next string, err error) {
	err = m.w.step(func() error { found, next, err = m.DB.ScanGrants(ctx, environment, after, limit); return err })
	return found, next, err
}

func (m mortal) Grant(ctx context.Context, k broker.GrantKey) (view broker.GrantView, err error) {
	err = m.w.step(func() error { view, err = m.DB.Grant(ctx, k); return err })
	return view, err
}

func (m mortal) LeaseGrant(ctx context.Context, seen broker.Grant, holder string, now, until time.Time) (view broker.GrantView, err error) {
	err = m.w.step(func() error { view, err = m.DB.LeaseGrant(ctx, seen, holder, now, until); return err })
	return view, err
}

func (m mortal) CoolGrant(ctx context.Context, leased broker.Grant, until time.Time, fault string) error {
	return m.w.step(func() error { return m.DB.CoolGrant(ctx, leased, until, fault) })
}

func (m mortal) EndGrant(ctx context.Context, k broker.GrantKey, to broker.State, at time.Time) (was broker.Grant, err error) {
	err = m.w.step(func() error { was, err = m.DB.EndGrant(ctx, k, to, at); return err })
	return was, err
}

func (m mortal) Append(ctx context.Context, r broker.Record) error {
	return m.w.step(func() error { return m.DB.Append(ctx, r) })
}

// refresher is a provider that refreshes nothing at present.
type refresher struct{}

func (refresher) Refresh(context.Context, credential.TokenAsk, secret.Value) (credential.TokenSet, error) {
	return credential.TokenSet{}, &credential.TokenFault{Kind: credential.Transient}
}

func (refresher) Revoke(context.Context, credential.TokenAsk, credential.TokenSet) error { return nil }
