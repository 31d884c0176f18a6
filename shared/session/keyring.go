package session

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

const (
	keySize     = 32
	getTimeout  = 5 * time.Second // one attempt to get a key: read, and on a new day seal, add, open
	retryAfter  = 2 * time.Second // between two attempts for one day, so that a flood costs no more
	secondsADay = 24 * 60 * 60
)

// keyring has the opened keys of the days whose ids can live. A key never
// changes, so it is kept until its day is over for all. The key of a day that
// has none yet is made by whoever needs it first.
type keyring struct {
	rows        broker.RollingKeys
	sealer      broker.Sealer
	environment string
	now         func() time.Time

	mu   sync.Mutex
	days map[int64]*dayKey // living days only, so never more than nine
}

// dayKey is one attempt to get a day's key, shared by all who wait for it, and
// then its outcome: the key, or a fault that is remembered for retryAfter. An
// attempt can stand still for hours, with a sandbox that was frozen after its
// call; then the next caller begins another.
type dayKey struct {
	begun time.Time
	done  chan struct{} // closed once aead and err stand
	aead  cipher.AEAD
	err   error
}

func dayOf(t time.Time) int64 { return t.Unix() / secondsADay }

// living reports that an id of this day can be in use: wrapped no longer than
// Life ago, by a clock no more than broker.ClockSkew ahead of this one.
func living(day int64, now time.Time) bool {
	return day >= dayOf(now.Add(-Life)) && day <= dayOf(now.Add(broker.ClockSkew))
}

// begins reports that some process's clock may say that it is this day now, so
// that its key may still have to be made. A key that is missing on such a day
// is made even to judge an id that is probably forged: were the miss remembered
// instead, an honest id of a process that made the key a moment later would be
// unknown here.
func begins(day int64, now time.Time) bool {
	return day >= dayOf(now.Add(-broker.ClockSkew)) && day <= dayOf(now.Add(broker.ClockSkew))
}

// get gives the key of a day, or ErrUnknown when no living id has that day.
func (k *keyring) get(ctx context.Context, day int64, now time.Time) (cipher.AEAD, error) {
	if !living(day, now) {
		return nil, ErrUnknown
	}
	d := k.attempt(ctx, day, now)
	select {
	case <-d.done:
		return d.aead, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for the session key: %w", broker.ErrUnavailable, ctx.Err())
	}
}

// attempt gives the attempt whose outcome counts, and begins one if there is
// none.
func (k *keyring) attempt(ctx context.Context, day int64, now time.Time) *dayKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if d := k.days[day]; d != nil && d.counts(now) {
		return d
	}
	for other := range k.days {
		if !living(other, now) {
			delete(k.days, other)
		}
	}
	d := &dayKey{begun: now, done: make(chan struct{})}
	k.days[day] = d
	go func() { // others wait for it too: it outlives the call that began it
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), getTimeout)
		defer cancel()
		defer close(d.done)
		d.aead, d.err = k.open(ctx, day)
	}()
	return d
}

// counts reports that the attempt is under way, has the key, or failed a moment
// ago. A beginning in the future is a clock that was set back, and not recent.
func (d *dayKey) counts(now time.Time) bool {
	patience := getTimeout
	select {
	case <-d.done:
		if d.err == nil {
			return true
		}
		patience = retryAfter
	default:
	}
	since := now.Sub(d.begun)
	return since >= 0 && since < patience
}

func (k *keyring) open(ctx context.Context, day int64) (cipher.AEAD, error) {
	row, err := k.rows.LoadRollingKey(ctx, k.environment, day)
	if errors.Is(err, broker.ErrNotFound) {
		if !begins(day, k.now()) {
			return nil, ErrUnknown
		}
		row, err = k.add(ctx, day)
	}
	if err != nil {
		return nil, fmt.Errorf("get the session key: %w", err)
	}
	material, err := k.sealer.Open(ctx, k.sealContext(day), row.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open the session key: %w", err)
	}
	return newAEAD(material)
}

// add makes a key for the day and gives the one that the day has afterwards:
// another process may have been first.
func (k *keyring) add(ctx context.Context, day int64) (broker.RollingKey, error) {
	material := make([]byte, keySize)
	defer clear(material)
	if _, err := rand.Read(material); err != nil {
		return broker.RollingKey{}, err
	}
	sealed, err := k.sealer.Seal(ctx, k.sealContext(day), secret.New(string(material)))
	if err != nil {
		return broker.RollingKey{}, err
	}
	return k.rows.AddRollingKey(ctx, broker.RollingKey{Environment: k.environment, Day: day, Sealed: sealed})
}

func (k *keyring) sealContext(day int64) broker.SealContext {
	return broker.SealContext{Environment: k.environment, Purpose: "session-key", ID: strconv.FormatInt(day, 10)}
}

// newAEAD is AES-256-GCM with a random nonce of 96 bits in front of the
// ciphertext: good for 2^32 ids a day.
func newAEAD(material secret.Value) (cipher.AEAD, error) {
	key := []byte(material.Reveal())
	defer clear(key)
	if len(key) != keySize {
		return nil, fmt.Errorf("%w: the session key has another length than was sealed", broker.ErrKeyUnavailable)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: the session key cannot be used", broker.ErrKeyUnavailable)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
