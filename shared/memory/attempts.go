package memory

import (
	"context"
	"reflect"

	"bindery/shared/broker"
)

// BeginAttempt implements broker.Attempts.
func (s *DB) BeginAttempt(ctx context.Context, a broker.Attempt) (broker.Attempt, error) {
	if err := a.CheckBeginning(); err != nil {
		return broker.Attempt{}, err
	}
	counts := asRead(a)
	err := s.do(ctx, BeginAttempt, func() error {
		at := attemptKey{a.Environment, a.Principal, a.Key}
		if there, known := s.attempts[at]; known && s.remembers(there) {
			counts = there
			return nil
		}
		s.attempts[at] = counts
		return nil
	})
	if err != nil {
		return broker.Attempt{}, err
	}
	return counts, nil
}

// EndAttempt implements broker.Attempts.
func (s *DB) EndAttempt(ctx context.Context, a broker.Attempt) error {
	if err := a.CheckEnd(); err != nil {
		return err
	}
	ended := asRead(a)
	begun := ended
	begun.Status, begun.Answer, begun.ETag = 0, nil, ""
	return s.do(ctx, EndAttempt, func() error {
		at := attemptKey{a.Environment, a.Principal, a.Key}
		there := s.attempts[at]
		if !s.now().Before(ended.Begun.Add(broker.AttemptLife)) || !reflect.DeepEqual(there, begun) && !reflect.DeepEqual(there, ended) {
			return broker.ErrConflict
		}
		s.attempts[at] = ended
		return nil
	})
}

func (s *DB) remembers(a broker.Attempt) bool {
	if a.Status >= broker.AttemptFailed {
		return false
	}
	life := broker.AttemptLife
	if a.Status == 0 {
		life = broker.AttemptTime
	}
	return s.now().Before(a.Begun.Add(life))
}

// asRead is an attempt as it is read from a table.
func asRead(a broker.Attempt) broker.Attempt {
	a.Begun, a.Answer = plain(a.Begun), clone(a.Answer)
	return a
}
