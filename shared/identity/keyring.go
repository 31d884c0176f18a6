package identity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"bindery/shared/broker"
)

// The life of a key set. A key that its issuer removed stops working
// 2*refreshAfter later at the latest, as long as the issuer can be reached.
// Clocks that are apart add up to broker.ClockSkew to that, and a process that
// dies between its claim and its fetch adds fetchInterval.
const (
	refreshAfter  = 10 * time.Minute // a set this old is renewed beside the next call
	fetchInterval = 30 * time.Second // between two fetches from one issuer, over all processes
	tryInterval   = 5 * time.Second  // between two attempts of one process, which first ask the shared set
	renewTimeout  = 10 * time.Second // one attempt: the shared set, the claim, the fetch, the save
)

// keyring has one issuer's keys. At any time at most one goroutine per issuer
// renews them, besides those that stood still.
type keyring struct {
	issuer      *Issuer
	environment string
	fetch       *fetcher
	rows        broker.KeySets
	sealer      broker.Sealer
	now         func() time.Time
	report      func(issuer string, err error)

	mu      sync.Mutex
	set     *keySet
	row     time.Time // Fetched of the last shared row that was opened
	flight  *flight   // nil: nobody is renewing
	tried   time.Time // the last attempt to renew
	asked   time.Time // the last fetch from the issuer
	failing bool      // the last attempt failed: what the issuer publishes now is not known
}

// flight is one attempt to renew, shared by all who wait for it. It can stand
// still for hours, with a sandbox that was frozen after its call: then nobody
// waits for it, and nothing it brings counts.
type flight struct {
	kid   string // the key that is missed, or ""
	begun time.Time
	done  chan struct{}
}

// recent reports that at lies less than d ago. The future is not recent, so
// that a clock that was set back holds nothing up.
func recent(at, now time.Time, d time.Duration) bool {
	since := now.Sub(at)
	return since >= 0 && since < d
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

var (
	errKeysUnavailable = &fault{ErrIssuerUnavailable, KeysUnavailable}
	errStoodStill      = errors.New("the process stood still while it fetched the keys")
)

// current gives a set that may be used, and renews what gets old: beside the
// call while it is young enough, before the call when it is not.
func (k *keyring) current(ctx context.Context) (*keySet, error) {
	set, _ := k.state()
	age := k.age(set)
	if age <= refreshAfter {
		return set, nil
	}
	f := k.renew(ctx, "")
	if age <= 2*refreshAfter {
		return set, nil
	}
	if !k.wait(ctx, f) {
		return nil, errKeysUnavailable
	}
	if set, _ = k.state(); k.age(set) > time.Duration(k.issuer.KeysMaxAge) {
		return nil, errKeysUnavailable
	}
	return set, nil
}

func (k *keyring) state() (*keySet, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.failing
}

// age of a set. No set, and one from further ahead than clocks may be apart
// (this process's own was set back), are too old for anything.
func (k *keyring) age(s *keySet) time.Duration {
	if s != nil {
		if age := k.now().Sub(s.fetched); age >= -broker.ClockSkew {
			return age
		}
	}
	return math.MaxInt64
}

// renew joins the attempt under way or starts one, and gives nil when it is
// too early for another.
func (k *keyring) renew(ctx context.Context, kid string) *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.flight != nil && recent(k.flight.begun, now, renewTimeout) {
		return k.flight
	}
	if recent(k.tried, now, tryInterval) {
		return nil
	}
	f := &flight{kid: kid, begun: now, done: make(chan struct{})}
	k.flight, k.tried = f, now
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
	defer k.land(f)
	k.loadShared(ctx)
	if k.satisfied(f.kid) {
		return
	}
	now := k.now()
	may, err := k.mayFetch(ctx, now)
	switch {
	case err != nil:
		k.failed(f, fmt.Errorf("claim the fetch: %w", err))
		return
	case !may:
		k.awaitWinner(ctx, f.kid, now)
		return
	}
	set, err := k.fetch.keys(ctx, k.issuer, now)
	if err == nil && !recent(now, k.now(), renewTimeout) {
		err = errStoodStill
	}
	if err != nil {
		k.failed(f, err)
		return
	}
	k.adopt(set)
	k.save(ctx, set)
}

func (k *keyring) land(f *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight == f {
		k.flight = nil
	}
	close(f.done)
}

// failed says that a flight brought nothing. One that was replaced meanwhile
// does not speak for its successor.
func (k *keyring) failed(f *flight, err error) {
	k.mu.Lock()
	k.failing = k.failing || k.flight == f
	k.mu.Unlock()
	k.report(k.issuer.Name, err)
}

// satisfied: the set is young and has the key that was missed.
func (k *keyring) satisfied(kid string) bool {
	set, _ := k.state()
	if k.age(set) > refreshAfter {
		return false
	}
	_, err := set.pick(kid, "")
	return kid == "" || ReasonOf(err) != KeyUnknown
}

// adopt takes a set unless the one in use is newer. One in use from further
// ahead than clocks may be apart is not.
func (k *keyring) adopt(set *keySet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set == nil || set.fetched.After(k.set.fetched) || k.set.fetched.After(k.now().Add(broker.ClockSkew)) {
		k.set, k.failing = set, false
	}
}
