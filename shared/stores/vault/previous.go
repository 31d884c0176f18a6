package vault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// An upstream may still echo the version before the current one, so that one
// is masked too. Versions of KV version 2 do not change, so it is read once for
// each current version and remembered for pairLife.
const (
	pairLife = 5 * time.Minute
	maxPairs = 256
)

// currentAndPrevious reads what q asks for and the version before it: one trip,
// and a second one when this process sees the current version for the first
// time. A version before that was deleted or destroyed, or is kept no more, is
// none. When it cannot be read for any other reason the whole fails: an answer
// that cannot be masked as promised is not asked for.
func (s *Store) currentAndPrevious(ctx context.Context, w *broker.Want, q query) (version, secret.Value, error) {
	current, err := s.read(ctx, w, q)
	if err != nil {
		return version{}, secret.Value{}, err
	}
	if q.version != 0 || current.number < 2 {
		return current, secret.Value{}, nil
	}
	at := spot{place{w.Environment, w.Store.Name}, registrationOf(&w.Store), q.path}
	if known := s.known.get(at); known.number == current.number && known.created == current.created {
		return current, known.previous, nil
	}
	before, err := s.read(ctx, w, query{path: q.path, version: current.number - 1})
	if err != nil && !errors.Is(err, broker.ErrSecretMissing) {
		return version{}, secret.Value{}, fmt.Errorf("the version before: %w", err)
	}
	s.known.put(at, pair{number: current.number, created: current.created, previous: before.material})
	return current, before.material, nil
}

// spot is one secret of one registration.
type spot struct {
	place
	registration
	path string
}

// pair is a current version and the material of the one before.
type pair struct {
	number   int64
	created  string
	previous secret.Value
	at       time.Time
}

// pairs remembers the last pair of each secret.
type pairs struct {
	now func() time.Time

	mu sync.Mutex
	by map[spot]pair
}

func newPairs(now func() time.Time) *pairs { return &pairs{now: now, by: map[spot]pair{}} }

func (p *pairs) get(at spot) pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.by[at]
	if p.now().Sub(known.at) >= pairLife {
		delete(p.by, at)
		return pair{}
	}
	return known
}

// put makes room by forgetting everything: what is forgotten is read again.
func (p *pairs) put(at spot, seen pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.by) >= maxPairs {
		clear(p.by)
	}
	seen.at = p.now()
	p.by[at] = seen
}
