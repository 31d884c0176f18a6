package memory

import (
	"cmp"
	"context"
	"slices"

	"bindery/shared/broker"
)

// The index of the audit log is the records it was given; every question is
// answered from them anew.

// IndexRecords implements broker.AuditIndexWriter.
func (s *DB) IndexRecords(ctx context.Context, records []broker.Record) error {
	for _, r := range records {
		if _, err := broker.EntryOf(r); err != nil {
			return err
		}
	}
	return s.do(ctx, IndexRecords, func() error {
		for _, r := range records {
			s.indexed[recordKey{r.Receipt, r.Phase}] = r
			if newest := plain(r.At); newest.After(s.lags[r.Environment].Newest) {
				s.lags[r.Environment] = broker.Lag{Newest: newest, Indexed: plain(s.now())}
			}
		}
		return nil
	})
}

// Log gives every record that was appended; for tests, which hand it to
// IndexRecords.
func (s *DB) Log() []broker.Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []broker.Record
	for _, r := range s.records {
		all = append(all, r)
	}
	return all
}

// Receipt implements broker.AuditReader.
func (s *DB) Receipt(ctx context.Context, receipt string) ([]broker.Record, error) {
	if err := broker.CheckID("receipt", receipt); err != nil {
		return nil, err
	}
	var found []broker.Record
	err := s.do(ctx, ReadReceipt, func() error {
		found = s.phases(receipt)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Entries implements broker.AuditReader.
func (s *DB) Entries(ctx context.Context, f broker.AuditFilter, after string, limit int) (broker.AuditPage, error) {
	var page broker.AuditPage
	if err := cmp.Or(f.Check(), f.CheckAfter(after), broker.CheckLimit(limit)); err != nil {
		return page, err
	}
	err := s.do(ctx, ReadEntries, func() error {
		for _, e := range s.ledBy(f) {
			if (after == "" || e.Receipt < after) && f.Holds(e) {
				page.Entries = append(page.Entries, e)
			}
		}
		return nil
	})
	if err != nil {
		return broker.AuditPage{}, err
	}
	slices.SortFunc(page.Entries, func(a, b broker.Entry) int { return cmp.Compare(b.Receipt, a.Receipt) })
	if len(page.Entries) > limit {
		page.Entries = page.Entries[:limit]
		page.Next = page.Entries[limit-1].Receipt
	}
	return page, nil
}

// ledBy gives, of each receipt, the entry that says most among those that the
// filter's lead leads to.
func (s *DB) ledBy(f broker.AuditFilter) map[string]broker.Entry {
	if f.WithoutOutcome {
		return s.omissions
	}
	most := map[string]broker.Entry{}
	for _, r := range s.indexed {
		e, err := broker.EntryOf(r)
		if err != nil || e.Environment != f.Environment || !e.LedBy(f.Lead()) {
			continue
		}
		if there, ok := most[e.Receipt]; !ok || e.Phase.Supersedes(there.Phase) {
			most[e.Receipt] = e
		}
	}
	return most
}

// Lag implements broker.AuditReader.
func (s *DB) Lag(ctx context.Context, environment string) (broker.Lag, error) {
	var lag broker.Lag
	if err := broker.CheckName("environment", environment); err != nil {
		return lag, err
	}
	err := s.do(ctx, ReadLag, func() error {
		lag = s.lags[environment]
		return nil
	})
	if err != nil {
		return broker.Lag{}, err
	}
	return lag, nil
}
