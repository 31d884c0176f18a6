package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Journal gives each record of this process its place in a chain: writer,
// sequence, and the hash of the record before. A place is taken before the
// write, so that concurrent calls do not wait for each other's writes; a write
// that fails leaves a gap, and the gap is the evidence. A record whose receipt has
// another already was never stored: it gives its place back, if it is the last.
type Journal struct {
	log    AuditLog
	nonce  func() string
	writer string

	mu       sync.Mutex
	sequence int64
	previous string
}

// NewJournal begins a chain. nonce gives what nobody can predict, 128 bits or
// more, as printable ASCII.
func NewJournal(log AuditLog, nonce func() string) *Journal {
	return &Journal{log: log, nonce: nonce, writer: nonce()}
}

// appendAttempts is how often a write of unknown fate is repeated. Adapters
// retry throttling by themselves; this is for answers that were lost.
const appendAttempts = 3

// Append gives the record its place and stores it. After an error the record
// may or may not be stored.
func (j *Journal) Append(ctx context.Context, r Record) error {
	r, err := j.place(r)
	if err != nil {
		return err
	}
	for range appendAttempts {
		err = j.log.Append(ctx, r)
		if err == nil || errors.Is(err, ErrConflict) || ctx.Err() != nil {
			break
		}
	}
	if errors.Is(err, ErrConflict) {
		j.giveBack(r)
	}
	if err != nil {
		return fmt.Errorf("store the %s record: %w", r.Phase, err)
	}
	return nil
}

func (j *Journal) giveBack(r Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sequence == r.Sequence {
		j.sequence, j.previous = r.Sequence-1, r.Previous
	}
}

// place fills in nonce, writer, sequence and previous hash.
func (j *Journal) place(r Record) (Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Nonce, r.Writer, r.Sequence, r.Previous = j.nonce(), j.writer, j.sequence+1, j.previous
	hash, err := r.Hash()
	if err != nil {
		return r, err
	}
	j.sequence, j.previous = r.Sequence, hash
	return r, nil
}

// Hash is the hex SHA-256 of the record's JSON, with fields in the order of
// the type. It is what the writer's next record carries as Previous.
func (r Record) Hash() (string, error) {
	text, err := r.JSON()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// JSON is the record as text, in the order of the type: what is hashed, and
// what an auditor reads.
func (r Record) JSON() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the audit record: %w", err)
	}
	return text, nil
}
