package memory

import (
	"context"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// Append implements broker.AuditLog.
func (s *DB) Append(ctx context.Context, r broker.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.do(ctx, Append, func() error { return s.append(r) })
}

// append keeps a record. The caller holds the lock.
func (s *DB) append(r broker.Record) error {
	at := recordKey{r.Receipt, r.Phase}
	if there, ok := s.records[at]; ok {
		if there.Nonce != r.Nonce {
			return broker.ErrConflict
		}
		return nil
	}
	r.At = r.At.Round(0)
	r.References, r.Candidates, r.Accesses = clone(r.References), clone(r.Candidates), clone(r.Accesses)
	r.Policies = clone(r.Policies)
	if r.Shadow != nil {
		shadow := *r.Shadow
		shadow.Policies = clone(shadow.Policies)
		r.Shadow = &shadow
	}
	s.records[at] = r
	return nil
}

// Records gives the records of one receipt, intent before outcome; for tests.
func (s *DB) Records(receipt string) []broker.Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.phases(receipt)
}

func (s *DB) phases(receipt string) []broker.Record {
	var found []broker.Record
	for _, phase := range []broker.Phase{broker.Intent, broker.Outcome, broker.Refused} {
		if r, ok := s.records[recordKey{receipt, phase}]; ok {
			found = append(found, r)
		}
	}
	return found
}

// LoadKeys implements broker.KeySets.
func (s *DB) LoadKeys(ctx context.Context, environment, issuer string) (broker.KeySet, error) {
	if err := broker.CheckID("issuer", issuer); err != nil {
		return broker.KeySet{}, err
	}
	var found broker.KeySet
	err := s.do(ctx, LoadKeys, func() error {
		k := s.keySets[idKey{environment, issuer}]
		if k == nil || !s.now().Before(k.Fetched.Add(broker.KeySetLife)) {
			return broker.ErrNotFound
		}
		found = *k
		return nil
	})
	if err != nil {
		return broker.KeySet{}, err
	}
	return found, nil
}

// ClaimFetch implements broker.KeySets.
func (s *DB) ClaimFetch(ctx context.Context, environment, issuer string, now, notSince time.Time) (bool, error) {
	if err := broker.CheckID("issuer", issuer); err != nil {
		return false, err
	}
	if now.IsZero() || now.Before(notSince) {
		return false, fmt.Errorf("%w claim: the time before which it may be taken lies in the future", broker.ErrInvalid)
	}
	mine := false
	err := s.do(ctx, ClaimFetch, func() error {
		at := idKey{environment, issuer}
		if last, ok := s.claims[at]; !ok || last.Before(notSince) || last.After(now.Add(broker.ClockSkew)) {
			s.claims[at], mine = plain(now), true
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return mine, nil
}

// SaveKeys implements broker.KeySets. An older set than the stored one is
// dropped without an error.
func (s *DB) SaveKeys(ctx context.Context, k broker.KeySet) error {
	if err := k.Check(); err != nil {
		return err
	}
	return s.do(ctx, SaveKeys, func() error {
		at := idKey{k.Environment, k.Issuer}
		if there := s.keySets[at]; there != nil && !there.Fetched.Before(k.Fetched) && !there.Fetched.After(k.Fetched.Add(broker.ClockSkew)) {
			return nil
		}
		k.Fetched, k.Sealed = plain(k.Fetched), clone(k.Sealed)
		s.keySets[at] = &k
		return nil
	})
}
