package credential

import (
	"context"
	"fmt"
	"sync"
	"time"

	"bindery/shared/broker"
)

// Bounds of the cache. A provider that failed is left alone for a moment, so
// that callers in a loop do not become its problem.
const (
	cacheEntries  = 1000
	cacheLife     = time.Hour       // at most
	cacheUnknown  = 5 * time.Minute // of a token that nobody said the life of
	cacheNegative = 5 * time.Second
	cacheRefused  = time.Minute // at most, where the provider named a time
)

// tokenRequest asks a provider for a token of at most these scopes, which is not
// used after end (zero: while it lives).
type tokenRequest struct {
	scopes []string
	end    time.Time
	send   func(context.Context) (TokenSet, error)
}

// tokenCache keeps tokens of this process by key. However many ask for one at
// once, the provider is asked by one.
type tokenCache struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[string]*cached
}

// cached is a token, a failure, or, until done is closed, neither.
type cached struct {
	done  chan struct{}
	set   TokenSet
	err   error
	at    time.Time
	until time.Time
}

func newTokenCache(now func() time.Time) *tokenCache {
	return &tokenCache{now: now, entries: map[string]*cached{}}
}

// get gives the token of a key. Only who finds none waits for its intent to be
// stored and asks. A caller that goes away takes nothing from the others.
func (c *tokenCache) get(ctx context.Context, key string, recorded func(context.Context) error, r tokenRequest) (*cached, error) {
	e := c.find(key, nil)
	if e == nil {
		if recorded == nil {
			return nil, broker.ErrUnrecorded
		}
		if err := recorded(ctx); err != nil {
			return nil, err
		}
		mine := &cached{done: make(chan struct{})}
		if e = c.find(key, mine); e == mine {
			go c.fill(context.WithoutCancel(ctx), e, r)
		}
	}
	select {
	case <-e.done:
		return e, e.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", broker.ErrProviderUnavailable, ctx.Err())
	}
}

// find gives what is known or under way, or puts add there.
func (c *tokenCache) find(key string, add *cached) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil && e.good(c.now()) {
		return e
	}
	if add != nil {
		delete(c.entries, key)
		c.makeRoom()
		c.entries[key] = add
	}
	return add
}

func (e *cached) good(now time.Time) bool {
	select {
	case <-e.done:
		return now.Before(e.until)
	default:
		return true
	}
}

// makeRoom drops what is over, and if that is not enough, what ends first.
func (c *tokenCache) makeRoom() {
	if len(c.entries) < cacheEntries {
		return
	}
	first, now := "", c.now()
	for key, e := range c.entries {
		select {
		case <-e.done:
			if !e.good(now) {
				delete(c.entries, key)
			} else if first == "" || e.until.Before(c.entries[first].until) {
				first = key
			}
		default: // under way
		}
	}
	if len(c.entries) >= cacheEntries {
		delete(c.entries, first)
	}
}

// fill asks the provider.
func (c *tokenCache) fill(ctx context.Context, e *cached, r tokenRequest) {
	defer close(e.done)
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	set, err := r.send(ctx)
	switch {
	case err == nil && set.Access.IsZero():
		err = &TokenFault{Kind: OutcomeUnknown}
	case err == nil && !within(set.Scopes, r.scopes):
		err = &TokenFault{Kind: WiderScope}
	}
	e.at = c.now()
	if err != nil {
		fault := faultOf(err)
		e.until = e.at.Add(max(cacheNegative, min(fault.RetryAfter, cacheRefused)))
		e.err = fmt.Errorf("%w: %w", wordOf(fault.Kind), fault)
		return
	}
	e.set, e.until = set, lifeOf(set.Expires, e.at)
	if !r.end.IsZero() {
		e.until = earlier(e.until, r.end)
	}
}

// lifeOf is until when a token is given out: with a margin before its end, so
// that the call it is for can end.
func lifeOf(expires, now time.Time) time.Time {
	if expires.IsZero() {
		return now.Add(cacheUnknown)
	}
	left := expires.Sub(now)
	return now.Add(min(left-min(refreshMargin, left/2), cacheLife))
}

// wordOf is what a failure means to the call.
func wordOf(k FaultKind) error {
	switch k {
	case Transient:
		return broker.ErrProviderUnavailable
	case InvalidGrant, Refused, WiderScope:
		return broker.ErrProviderRefused
	default:
		return broker.ErrOutcomeUnknown
	}
}
