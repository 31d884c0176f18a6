package vault

import (
	"context"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// A client token is kept per registration until shortly before it ends, in
// memory alone; then Bindery signs in again. A static token is a secret that can
// be rotated, so it is read again after staticLife.
const (
	staticLife = 5 * time.Minute
	maxLife    = time.Hour
	margin     = 10 * time.Second // and a tenth of the token's life
	// fresh is how long a token is not blamed for a 403. So a path that is
	// denied costs one sign-in in that time and not one a call.
	fresh = 10 * time.Second
)

// registration is everything of a broker.Store that a token belongs to.
type registration struct {
	address, namespace string
	auth               broker.StoreAuth
	version            int64
}

func registrationOf(s *broker.Store) registration {
	return registration{s.Address, s.Namespace, s.Auth, s.Version}
}

// held is a token and the time in which it is used.
type held struct {
	of           registration
	token        secret.Value
	since, until time.Time
}

type place struct{ environment, store string }

// slot is the token of one place. Who has the turn may look and sign in.
type slot struct {
	turn chan struct{}
	held held
}

type tokens struct {
	mu sync.Mutex
	by map[place]*slot
}

func newTokens() *tokens { return &tokens{by: map[place]*slot{}} }

func (t *tokens) slot(p place) *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[p] == nil {
		t.by[p] = &slot{turn: make(chan struct{}, 1)}
	}
	return t.by[p]
}

// token gives the token of a registration, signing in if there is none, if it
// ends, or if it is the one that was refused. One caller at a time signs in;
// the others wait for that token.
func (s *Store) token(ctx context.Context, w *broker.Want, refused secret.Value) (held, error) {
	at := s.tokens.slot(place{w.Environment, w.Store.Name})
	select {
	case at.turn <- struct{}{}:
		defer func() { <-at.turn }()
	case <-ctx.Done():
		return held{}, unanswered(ctx, "sign in to Vault", ctx.Err())
	}
	of := registrationOf(&w.Store)
	usable := at.held.of == of && s.now().Before(at.held.until)
	if usable && (refused.IsZero() || !at.held.token.Equal(refused)) {
		return at.held, nil
	}
	at.held = held{}
	token, life, err := s.signIn(ctx, w)
	if err != nil {
		return held{}, err
	}
	since := s.now()
	at.held = held{of: of, token: token, since: since, until: since.Add(life - life/10 - margin)}
	return at.held, nil
}
