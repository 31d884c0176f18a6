package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"bindery/shared/broker"
)

// DocumentID names a policy set by what it holds: hex SHA-256 over text and
// tests, each after its length in eight bytes.
func DocumentID(text, tests string) string {
	h := sha256.New()
	for _, part := range []string{text, tests} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// PolicySets reads the sets that are stored.
type PolicySets interface {
	PolicySet(ctx context.Context, environment, id string) (broker.PolicySet, error)
}

// MaxCached is how many compiled sets are kept: what is in force, what is in
// shadow, and what was before.
const MaxCached = 8

// Calls keeps compiled sets by their id, for the life of the process: what an
// id names never changes. A failure is not kept. It is safe for concurrent use.
type Calls struct {
	sets PolicySets

	mu      sync.Mutex
	kept    map[setKey]*CallSet
	order   []setKey // of kept, last used last
	loading map[setKey]*loading
}

type setKey struct{ environment, id string }

// loading is one reading of a set, for all who wait for it.
type loading struct {
	done chan struct{} // closed when set and err are final
	set  *CallSet
	err  error
}

// NewCalls reads sets from there.
func NewCalls(sets PolicySets) *Calls {
	return &Calls{sets: sets, kept: map[setKey]*CallSet{}, loading: map[setKey]*loading{}}
}

// RuleSet is what broker.Rules asks for. A set is read once, however many ask;
// they wait no longer than their own context lets them.
func (c *Calls) RuleSet(ctx context.Context, environment, id string) (broker.RuleSet, error) {
	key := setKey{environment, id}
	for {
		set, l, mine := c.look(key)
		if set != nil {
			return set, nil
		}
		if mine {
			c.load(ctx, key, l)
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("policy set: %w", broker.ErrUnavailable)
		}
		switch {
		case l.err == nil:
			return l.set, nil
		case mine, !errors.Is(l.err, errGaveUp):
			return nil, l.err
		}
	}
}

// errGaveUp: whoever read the set ran out of time, which says nothing to those
// who waited.
var errGaveUp = fmt.Errorf("policy set: %w: the reading was given up", broker.ErrUnavailable)

// look finds the set, or else its loading, which may be the asker's to do.
func (c *Calls) look(key setKey) (set *CallSet, l *loading, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if set := c.kept[key]; set != nil {
		c.touch(key)
		return set, nil, false
	}
	if l := c.loading[key]; l != nil {
		return nil, l, false
	}
	l = &loading{done: make(chan struct{})}
	c.loading[key] = l
	return nil, l, true
}

// load ends the loading, whatever happens.
func (c *Calls) load(ctx context.Context, key setKey, l *loading) {
	l.err = errGaveUp
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.loading, key)
		if l.err == nil {
			c.keep(key, l.set)
		}
		close(l.done)
	}()
	set, err := c.fetch(ctx, key)
	if err == nil || ctx.Err() == nil {
		l.set, l.err = set, err
	}
}

func (c *Calls) fetch(ctx context.Context, key setKey) (*CallSet, error) {
	stored, err := c.sets.PolicySet(ctx, key.environment, key.id)
	switch {
	case errors.Is(err, broker.ErrNotFound), errors.Is(err, broker.ErrInvalid):
		return nil, fmt.Errorf("policy set: %w", err)
	case err != nil:
		return nil, fmt.Errorf("policy set: %w: %w", broker.ErrUnavailable, err)
	case DocumentID(stored.Text, stored.Tests) != key.id:
		return nil, fmt.Errorf("%w policy set: it is not what its id says", broker.ErrInvalid)
	}
	return CompileCalls([]byte(stored.Text))
}

func (c *Calls) keep(key setKey, set *CallSet) {
	if c.kept[key] = set; len(c.order) == MaxCached {
		delete(c.kept, c.order[0])
		c.order = c.order[1:]
	}
	c.order = append(c.order, key)
}

// touch makes the key the last used one.
func (c *Calls) touch(key setKey) {
	for i, k := range c.order {
		if k == key {
			copy(c.order[i:], c.order[i+1:])
			c.order[len(c.order)-1] = key
			return
		}
	}
}
