package identity

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// The life of a key set. A key that its issuer removed stops working
// 2*refreshAfter later at the latest, as long as the issuer can be reached.
const (
	refreshAfter  = 10 * time.Minute // a set this old is renewed beside the next call
	fetchInterval = 30 * time.Second // between two fetches from one issuer, over all processes
	tryInterval   = 5 * time.Second  // between two attempts of one process, which first ask the shared set
	renewTimeout  = 10 * time.Second // one attempt: the shared set, the claim, the fetch, the save
	maxSkew       = 5 * time.Minute  // a shared set from further ahead than this is not believed
)

// keyring has one issuer's keys. At any time at most one goroutine per issuer
// renews them.
type keyring struct {
	issuer      *Issuer
	environment string
	fetch       *fetcher
	rows        broker.KeySets
	sealer      broker.Sealer
	now         func() time.Time
	report      func(issuer string, err error)

	mu        sync.Mutex
	set       *keySet
	row       time.Time // Fetched of the last shared row that was opened
	flight    *flight   // nil: nobody is renewing
	nextTry   time.Time
	nextFetch time.Time
	failing   bool // the last fetch failed
}

// flight is one attempt to renew, shared by all who wait for it.
type flight struct {
	kid  string // the key that is missed, or ""
	done chan struct{}
}

// find gives the key for a token. A key that is not known is looked for once
// per tryInterval; a flood of unknown ids gets its refusal from memory.
func (k *keyring) find(ctx context.Context, kid, alg string) (*publicKey, error) {
	set, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	key, err := set.pick(kid, alg)
	if ReasonOf(err) != KeyUnknown || kid == "" {
		return key, err
	}
	if !k.wait(ctx, k.renew(ctx, kid)) {
		return nil, errKeysUnavailable
	}
	set, failing := k.state()
	if key, err = set.pick(kid, alg); ReasonOf(err) == KeyUnknown && failing {
		return nil, errKeysUnavailable // the key may be new: 503 lets an honest caller come again
	}
	return key, err
}

var errKeysUnavailable = &fault{ErrIssuerUnavailable, KeysUnavailable}

// current gives a set that may be used, and renews what gets old: beside the
// call while it is young enough, before the call when it is not.
func (k *keyring) current(ctx context.Context) (*keySet, error) {
	set, _ := k.state()
	age := k.age(set)
	if set != nil && age <= refreshAfter {
		return set, nil
	}
	f := k.renew(ctx, "")
	if set != nil && age <= 2*refreshAfter {
		return set, nil
	}
	k.wait(ctx, f)
	if set, _ = k.state(); set == nil || k.age(set) > time.Duration(k.issuer.KeysMaxAge) {
		return nil, errKeysUnavailable
	}
	return set, nil
}

func (k *keyring) state() (*keySet, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.failing
}

func (k *keyring) age(s *keySet) time.Duration {
	if s == nil {
		return 0
	}
	return k.now().Sub(s.fetched)
}

// renew joins the attempt under way or starts one, and gives nil when it is
// too early for another.
func (k *keyring) renew(ctx context.Context, kid string) *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.flight != nil || now.Before(k.nextTry) {
		return k.flight
	}
	k.nextTry = now.Add(tryInterval)
	f := &flight{kid: kid, done: make(chan struct{})}
	k.flight = f
	go k.fly(context.WithoutCancel(ctx), f) // others wait for it too: it outlives the call that began it
	return f
}

// wait reports false when the caller's time ran out first.
func (k *keyring) wait(ctx context.Context, f *flight) bool {
	if f == nil {
		return true
	}
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (k *keyring) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.flight = nil
		close(f.done)
	}()
	k.loadShared(ctx)
	if k.satisfied(f.kid) {
		return
	}
	now := k.now()
	if !k.mayFetch(ctx, now) {
		k.awaitWinner(ctx, f.kid, now)
		return
	}
	set, err := k.fetch.keys(ctx, k.issuer, now)
	if err != nil {
		k.mu.Lock()
		k.failing = true
		k.mu.Unlock()
		k.report(k.issuer.Name, err)
		return
	}
	k.adopt(set)
	k.save(ctx, set)
}

// satisfied: the set is young and has the key that was missed.
func (k *keyring) satisfied(kid string) bool {
	set, _ := k.state()
	if set == nil || k.age(set) > refreshAfter {
		return false
	}
	_, err := set.pick(kid, "")
	return kid == "" || ReasonOf(err) != KeyUnknown
}

// adopt takes a set unless the one in use is newer.
func (k *keyring) adopt(set *keySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set == nil || set.fetched.After(k.set.fetched) {
		k.set, k.failing = set, false
	}
}

// mayFetch holds the rate: the process's own bound always, and the claim over
// all processes. Where the claim cannot be made, the process's own bound is
// what remains.
func (k *keyring) mayFetch(ctx context.Context, now time.Time) bool {
	k.mu.Lock()
	early := now.Before(k.nextFetch)
	k.mu.Unlock()
	if early {
		return false
	}
	won, err := k.rows.ClaimFetch(ctx, k.environment, k.issuer.Issuer, now, now.Add(-fetchInterval))
	if err != nil {
		k.report(k.issuer.Name, fmt.Errorf("claim the fetch: %w", err))
		won = true
	}
	if won {
		k.mu.Lock()
		k.nextFetch = now.Add(fetchInterval)
		k.mu.Unlock()
	}
	return won
}

// awaitWinner polls for the set that another process is fetching: four reads
// in one and a half seconds, and none if that process is already done.
func (k *keyring) awaitWinner(ctx context.Context, kid string, now time.Time) {
	for _, pause := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
		if set, _ := k.state(); set != nil && set.fetched.After(now.Add(-fetchInterval)) {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		k.loadShared(ctx)
		if k.satisfied(kid) {
			return
		}
	}
}

// sealContext binds the shared set to the deployment's environment and issuer.
func (k *keyring) sealContext() broker.SealContext {
	return broker.SealContext{Environment: k.environment, Purpose: "issuer-keys", ID: k.issuer.Issuer}
}

// loadShared adopts the shared set if there is a newer one. A fault leaves the
// process with what it has.
func (k *keyring) loadShared(ctx context.Context) {
	row, err := k.rows.LoadKeys(ctx, k.environment, k.issuer.Issuer)
	k.mu.Lock()
	seen := row.Fetched.Equal(k.row)
	k.mu.Unlock()
	switch {
	case errors.Is(err, broker.ErrNotFound), err == nil && seen:
		return
	case err != nil:
		k.report(k.issuer.Name, fmt.Errorf("load the shared keys: %w", err))
		return
	}
	opened, err := k.sealer.Open(ctx, k.sealContext(), row.Sealed)
	if err != nil {
		k.report(k.issuer.Name, fmt.Errorf("open the shared keys: %w", err))
		return
	}
	set, err := parseShared([]byte(opened.Reveal()))
	if err != nil || set.fetched.After(k.now().Add(maxSkew)) {
		k.report(k.issuer.Name, fmt.Errorf("read the shared keys: %w", errKeySet))
		return
	}
	k.mu.Lock()
	k.row = row.Fetched
	k.mu.Unlock()
	k.adopt(set)
}

func (k *keyring) save(ctx context.Context, set *keySet) {
	plain, err := set.marshal()
	if err == nil {
		var sealed []byte
		if sealed, err = k.sealer.Seal(ctx, k.sealContext(), secret.New(string(plain))); err == nil {
			err = k.rows.SaveKeys(ctx, broker.KeySet{Environment: k.environment, Issuer: k.issuer.Issuer, Sealed: sealed, Fetched: set.fetched})
		}
	}
	if err != nil {
		k.report(k.issuer.Name, fmt.Errorf("share the keys: %w", err))
	}
}
