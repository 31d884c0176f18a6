package memory

import (
	"context"
	"fmt"
	"time"

	"bindery/shared/broker"
)

// Looked implements broker.IntentWatch.
func (s *DB) Looked(ctx context.Context, environment string) (looked time.Time, err error) {
	if err := broker.CheckName("environment", environment); err != nil {
		return looked, err
	}
	err = s.do(ctx, ReadLooked, func() error {
		looked = s.looked[environment]
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return looked, nil
}

// MoveLooked implements broker.IntentWatch.
func (s *DB) MoveLooked(ctx context.Context, environment string, from, to time.Time) error {
	if err := broker.CheckLooked(environment, from, to); err != nil {
		return err
	}
	return s.do(ctx, MoveLooked, func() error {
		switch there := s.looked[environment]; {
		case there.Equal(to):
			return nil
		case !there.Equal(from):
			return fmt.Errorf("%s: %w", MoveLooked, broker.ErrConflict)
		}
		s.looked[environment] = plain(to)
		return nil
	})
}

// AddWithoutOutcome implements broker.IntentWatch.
func (s *DB) AddWithoutOutcome(ctx context.Context, e broker.Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if !e.LedBy(broker.Lead{By: broker.ByOmission}) {
		return fmt.Errorf("%w entry: it is no intent", broker.ErrInvalid)
	}
	return s.do(ctx, AddWithoutOutcome, func() error {
		s.omissions[e.Receipt] = e
		return nil
	})
}
