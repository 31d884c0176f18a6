package memory

import (
	"cmp"
	"context"
	"slices"

	"bindery/shared/broker"
)

// PutNotice implements broker.Notices.
func (s *DB) PutNotice(ctx context.Context, v broker.Notice) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutNotice, func() error {
		expected := v.Version
		v.Version++
		v.Bindings = clone(v.Bindings)
		v.Since, v.Seen, v.Closed, v.Due, v.ToldAt = plain(v.Since), plain(v.Seen), plain(v.Closed), plain(v.Due), plain(v.ToldAt)
		return replace(s.notices, idKey{v.Environment, v.ID}, v, func(now *broker.Notice) bool {
			return now == nil && expected == 0 || now != nil && now.Version == expected
		})
	})
}

// Notice implements broker.Notices.
func (s *DB) Notice(ctx context.Context, environment, id string) (broker.Notice, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("notice", id))
	return one(ctx, s, ReadNotice, invalid, func() *broker.Notice { return s.notices[idKey{environment, id}] })
}

// NoticesOf implements broker.Notices.
func (s *DB) NoticesOf(ctx context.Context, environment, after string, limit int) ([]broker.Notice, string, error) {
	p, err := broker.PageOfNotices(environment, after, limit)
	if err != nil {
		return nil, "", err
	}
	var found []broker.Notice
	err = s.do(ctx, ListNotices, func() error {
		for at, n := range s.notices {
			if closed := !n.State.IsOpen(); at.environment == environment && (closed && !p.Closed || closed == p.Closed && n.ID > p.After) {
				found = append(found, *n)
			}
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(found, func(a, b broker.Notice) int {
		if a.State.IsOpen() != b.State.IsOpen() {
			if a.State.IsOpen() {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	if len(found) <= limit {
		return found, "", nil
	}
	last := found[limit-1]
	return found[:limit], broker.NoticesPage{Closed: !last.State.IsOpen(), After: last.ID}.Token(), nil
}

// PutScan implements broker.Scans.
func (s *DB) PutScan(ctx context.Context, v broker.Scan) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutScan, func() error {
		expected := v.Version
		v.Version++
		v.Unknown = clone(v.Unknown)
		v.Begun, v.Ended, v.HeldUntil = plain(v.Begun), plain(v.Ended), plain(v.HeldUntil)
		return replace(s.scans, v.Environment, v, func(now *broker.Scan) bool {
			return now == nil && expected == 0 || now != nil && now.Version == expected
		})
	})
}

// Scan implements broker.Scans.
func (s *DB) Scan(ctx context.Context, environment string) (broker.Scan, error) {
	return one(ctx, s, ReadScan, broker.CheckName("environment", environment), func() *broker.Scan { return s.scans[environment] })
}
