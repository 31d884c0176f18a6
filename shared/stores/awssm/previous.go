package awssm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
)

// An upstream may still echo the version before the current one, so that one
// is masked too. Reading it each time would double cost and requests. While
// AWSCURRENT names the same version, AWSPREVIOUS normally does as well, so a
// pair is remembered per secret and used as long as AWSCURRENT is unchanged.
//
// Somebody who moves labels by hand can break this: AWSPREVIOUS alone moved,
// or AWSCURRENT moved away and back between two calls of one process. Then
// the remembered version is masked instead of the true one for at most
// pairLife.
const (
	pairLife = 5 * time.Minute
	maxPairs = 256
)

// pairTries is how often two versions are read that turn out to be one, because
// the secret was rotated between the two reads.
const pairTries = 3

// pair is what was last seen of one secret. It is settled when previous was
// asked for after current had been seen, so that a rotation between the two
// reads cannot have mixed two generations.
type pair struct {
	current  string // version id
	previous version
	settled  bool
	at       time.Time
}

// currentAndPrevious reads AWSCURRENT and finds the version before it: in one
// trip, or in two for the first call of this process after a rotation. A
// secret that has no version before gives the zero version. When the version
// before cannot be read for any other reason the whole fails: an answer that
// cannot be masked as promised is not asked for.
func (s *Store) currentAndPrevious(ctx context.Context, id string) (current, previous version, err error) {
	for range pairTries {
		if current, previous, err = s.pairOf(ctx, id); err != nil || previous.id != current.id {
			return current, previous, err
		}
	}
	return version{}, version{}, fmt.Errorf("%w: the secret changes faster than it is read", broker.ErrUnavailable)
}

// pairOf reads once. Where both are the same version the one before it is unknown,
// and nothing is remembered.
func (s *Store) pairOf(ctx context.Context, id string) (current, previous version, err error) {
	known := s.known.get(id)
	if known.settled {
		current, err = s.read(ctx, labelled(id, stageCurrent))
	} else {
		current, previous, err = s.sideBySide(ctx, id)
	}
	switch {
	case err != nil:
		return version{}, version{}, err
	case current.id == previous.id:
		return current, previous, nil
	case known.current == "":
		s.known.put(id, pair{current: current.id, previous: previous})
		return current, previous, nil
	case known.current == current.id && known.settled:
		return current, known.previous, nil
	case known.current != current.id:
		if previous, err = s.previous(ctx, id); err != nil {
			return version{}, version{}, err
		}
	}
	s.known.put(id, pair{current: current.id, previous: previous, settled: previous.id != current.id})
	return current, previous, nil
}

func (s *Store) sideBySide(ctx context.Context, id string) (current, previous version, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a failed read of the one ends the other
	type answer struct {
		version
		err error
	}
	before := make(chan answer, 1)
	go func() {
		v, err := s.previous(ctx, id)
		before <- answer{v, err}
	}()
	if current, err = s.read(ctx, labelled(id, stageCurrent)); err != nil {
		return version{}, version{}, err
	}
	b := <-before
	return current, b.version, b.err
}

// previous reads AWSPREVIOUS. That there is none is normal.
func (s *Store) previous(ctx context.Context, id string) (version, error) {
	v, err := s.read(ctx, labelled(id, stagePrevious))
	if errors.Is(err, broker.ErrSecretMissing) {
		return version{}, nil
	}
	return v, err
}

func labelled(id, stage string) *secretsmanager.GetSecretValueInput {
	return &secretsmanager.GetSecretValueInput{SecretId: aws.String(id), VersionStage: aws.String(stage)}
}

// pairs remembers the last pair of each secret, for pairLife and at most
// maxPairs of them.
type pairs struct {
	now func() time.Time

	mu sync.Mutex
	by map[string]pair // by secret id, as referenced
}

func newPairs(now func() time.Time) *pairs { return &pairs{now: now, by: map[string]pair{}} }

func (p *pairs) get(id string) pair {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.by[id]
	if p.now().Sub(known.at) >= pairLife {
		delete(p.by, id)
		return pair{}
	}
	return known
}

func (p *pairs) put(id string, seen pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen.at = p.now()
	if _, known := p.by[id]; !known && len(p.by) >= maxPairs {
		oldest, found := "", false
		for other, o := range p.by {
			if !found || o.at.Before(p.by[oldest].at) {
				oldest, found = other, true
			}
		}
		delete(p.by, oldest)
	}
	p.by[id] = seen
}
