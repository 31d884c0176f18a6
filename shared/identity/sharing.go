package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// mayFetch holds the rate: the process's own bound always, and the claim over
// all processes. Where the claim cannot be made, every process would win, so
// only one without keys young enough to serve may fetch; for the others that
// is an error.
func (k *keyring) mayFetch(ctx context.Context, now time.Time) (bool, error) {
	k.mu.Lock()
	early := recent(k.asked, now, fetchInterval)
	k.mu.Unlock()
	if early {
		return false, nil
	}
	won, err := k.rows.ClaimFetch(ctx, k.environment, k.issuer.Issuer, now, now.Add(-fetchInterval))
	if err != nil {
		if set, _ := k.state(); k.age(set) <= 2*refreshAfter {
			return false, err
		}
		k.report(k.issuer.Name, fmt.Errorf("claim the fetch: %w", err))
		won = true
	}
	if won {
		k.mu.Lock()
		k.asked = now
		k.mu.Unlock()
	}
	return won, nil
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
	if err != nil || set.fetched.After(k.now().Add(broker.ClockSkew)) {
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
