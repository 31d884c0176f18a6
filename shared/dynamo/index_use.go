package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"bindery/shared/broker"
)

// SeenOf implements broker.AuditReader: one query, in the order of the digests.
func (s *DB) SeenOf(ctx context.Context, environment string, kind broker.SeenKind, id, after string, limit int) (seen []broker.Seen, next string, err error) {
	const doing = "read who was seen"
	if err := cmp.Or(broker.CheckSeen(environment, kind, id), broker.CheckUse(after), broker.CheckLimit(limit)); err != nil {
		return nil, "", err
	}
	first, last := join("use", after), "use0"
	if after != "" {
		first += " " // right after it: a digest ends where it ends
	}
	page := listing[broker.Seen]{limit: limit}
	err = s.rowsBetween(ctx, doing, s.tables.AuditIndex, seenPartition(environment, kind, id), first, last, int32(limit+1), func(_ string, a attributes) (bool, error) {
		return page.add(decodeSeen(a, environment, kind, id)), nil
	})
	if err != nil {
		return nil, "", err
	}
	return page.page(doing, broker.Seen.Use)
}

// Usages implements broker.AuditReader.
func (s *DB) Usages(ctx context.Context, environment string, of []broker.Binding) (map[string]broker.Usage, error) {
	if err := broker.CheckUsages(environment, of); err != nil {
		return nil, err
	}
	wanted := map[key]bool{}
	var keys []key
	for _, b := range of {
		if k := usageKey(environment, b.Server, b.Name); !wanted[k] {
			wanted[k] = true
			keys = append(keys, k)
		}
	}
	const doing = "read the usages"
	found := map[string]broker.Usage{}
	var passed unread
	for some := range slices.Chunk(keys, batchKeys) {
		err := s.batch(ctx, doing, map[string][]key{s.tables.AuditIndex: some}, func(_ key, a attributes) error {
			u, err := decodeUsage(a, environment)
			if err != nil {
				passed.add(err)
				return nil
			}
			found[u.Server+"/"+u.Binding] = u
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, passed.err(doing)
}

// SeenVersions implements broker.AuditReader. Which version is the newest can change
// when an older record arrives late, so all versions that were seen are read: one
// query for each reference. Nothing is said of a reference of which one does not decode:
// it may be the newest.
func (s *DB) SeenVersions(ctx context.Context, environment string, references []string) (map[string]broker.SeenVersion, error) {
	if err := broker.CheckRotations(environment, references); err != nil {
		return nil, err
	}
	const doing = "read the rotations"
	var mu sync.Mutex
	var passed unread
	newest := map[string]broker.SeenVersion{}
	err := inTurns(ctx, len(references), func(ctx context.Context, i int) error {
		var latest broker.SeenVersion
		var bad unread
		err := s.query(ctx, doing, s.tables.AuditIndex, rotationPartition(environment, references[i]), func(_ string, a attributes) error {
			v, err := decodeRotation(a, environment)
			switch {
			case err != nil:
				bad.add(err)
			case v.Replaces(latest):
				latest = v
			}
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case bad.Rows > 0:
			passed.join(bad)
		case latest.Reference != "":
			newest[latest.Reference] = latest
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return newest, passed.err(doing)
}

// Lag implements broker.AuditReader.
func (s *DB) Lag(ctx context.Context, environment string) (broker.Lag, error) {
	const doing = "read the lag of the audit index"
	if err := broker.CheckName("environment", environment); err != nil {
		return broker.Lag{}, err
	}
	a, err := s.get(ctx, doing, s.tables.AuditIndex, lagKey(environment))
	if err != nil || a == nil {
		return broker.Lag{}, err
	}
	l, err := decodeLag(a, environment)
	if err != nil {
		return broker.Lag{}, fmt.Errorf("%s: %w", doing, err)
	}
	return l, nil
}
