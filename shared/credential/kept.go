package credential

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"bindery/shared/broker"
)

// keptEntries bounds what a process keeps. Cards decide what is kept, so it
// takes as many cards to fill it.
const keptEntries = 1000

// keptFetch bounds a read that several calls may wait for.
const keptFetch = 10 * time.Second

// kept are secrets of cards with a MaxAge, for at most that long, under
// everything that decides what a store would give. However many calls want the
// same at once, the store is asked by one. A failure is not kept.
type kept struct {
	mu      sync.Mutex
	entries map[string]*keep
}

// keep is a secret, or, until done is closed, none yet.
type keep struct {
	done  chan struct{}
	began time.Time // before the store was asked: the value is at least that old
	age   time.Duration
	found broker.Secret
	err   error
}

// keptKey names what a read would give: another registration, another card's age,
// and another count of changes are other secrets.
func keptKey(w *broker.Want, age time.Duration, changes map[string]int64) string {
	keys := slices.Sorted(slices.Values(w.Keys))
	return fmt.Sprintf("%q %q %q %q %q %q %d %s %d", w.Environment, w.Origin, w.Reference.String(), keys,
		w.Store.Name, w.Store.Kind, w.Store.Version, age, w.Reference.Changes(changes))
}

// use sets how secrets are read: by way of what is kept, as of the changes that
// the decision knows of, or past it.
func (k *kept) use(ctx context.Context, a *broker.Ask, reads []read, anew bool) error {
	changes, err := a.Changes(ctx)
	if err != nil {
		return err
	}
	age := a.Binding.MaxAge
	for i := range reads {
		r := &reads[i]
		key := keptKey(&r.want, age, changes)
		r.ask = func(ctx context.Context) (broker.Secret, error) { return k.get(ctx, key, age, r.fromStore) }
		if anew {
			r.ask = func(ctx context.Context) (broker.Secret, error) { return k.replace(ctx, key, age, r.fromStore) }
		}
	}
	return nil
}

// get gives what is kept, or asks the store and keeps what it gives. A caller that
// goes away takes nothing from the others. What comes from here was not asked of
// the store for this call, and has no request of it.
func (k *kept) get(ctx context.Context, key string, age time.Duration, fetch func(context.Context) (broker.Secret, error)) (broker.Secret, error) {
	e, mine := k.find(key, age)
	if mine {
		go k.fill(context.WithoutCancel(ctx), key, e, fetch)
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		return broker.Secret{}, fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	}
	found := e.found
	if !mine {
		found.RequestID = ""
	}
	return found, e.err
}

// find gives the entry of a key, or a new one that the caller has to fill.
func (k *kept) find(key string, age time.Duration) (e *keep, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.entries[key]; e != nil && e.young() {
		return e, false
	}
	e = &keep{done: make(chan struct{}), began: time.Now(), age: age}
	k.put(key, e)
	return e, true
}

func (k *kept) fill(ctx context.Context, key string, e *keep, fetch func(context.Context) (broker.Secret, error)) {
	ctx, cancel := context.WithTimeout(ctx, keptFetch)
	defer cancel()
	e.found, e.err = fetch(ctx)
	if e.err != nil {
		k.drop(key, e)
	}
	close(e.done)
}

// replace asks the store whatever is kept, and keeps what it gives unless a later
// read is kept by then.
func (k *kept) replace(ctx context.Context, key string, age time.Duration, fetch func(context.Context) (broker.Secret, error)) (broker.Secret, error) {
	e := &keep{done: make(chan struct{}), began: time.Now(), age: age}
	close(e.done)
	if e.found, e.err = fetch(ctx); e.err != nil {
		return broker.Secret{}, e.err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.entries[key]; now == nil || !now.began.After(e.began) {
		k.put(key, e)
	}
	return e.found, nil
}

// put is called with the lock. What has reached its age is dropped by itself, not
// only when somebody asks.
func (k *kept) put(key string, e *keep) {
	if len(k.entries) >= keptEntries {
		for some := range k.entries {
			delete(k.entries, some)
			break
		}
	}
	k.entries[key] = e
	time.AfterFunc(e.age-time.Since(e.began), func() { k.drop(key, e) })
}

func (k *kept) drop(key string, e *keep) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries[key] == e {
		delete(k.entries, key)
	}
}

// young goes by both clocks: the monotonic one may stand still while a process
// is frozen between calls, and the other may be set.
func (e *keep) young() bool {
	now := time.Now()
	wall := now.Round(0).Sub(e.began.Round(0))
	return now.Sub(e.began) < e.age && wall >= 0 && wall < e.age
}
