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
	var passed error
	err := s.do(ctx, ReadEntries, func() error {
		found, spoilt := s.ledBy(f, func(receipt string) bool { return after == "" || receipt < after })
		slices.SortFunc(found, func(a, b broker.Entry) int { return cmp.Compare(b.Receipt, a.Receipt) })
		if len(found) > limit {
			found = found[:limit]
			page.Next = found[limit-1].Receipt
			spoilt = slices.DeleteFunc(spoilt, func(receipt string) bool { return receipt < page.Next })
		}
		page.Entries, passed = found, passedOver(ReadEntries, len(spoilt))
		return nil
	})
	if err != nil {
		return broker.AuditPage{}, err
	}
	return page, passed
}

// ledBy gives, of each receipt, the entry that says most among those that the
// filter's lead leads to, if it holds, and the receipts of those that do not decode
// and may have said more.
func (s *DB) ledBy(f broker.AuditFilter, wanted func(receipt string) bool) (found []broker.Entry, spoilt []string) {
	most, lost := map[string]broker.Entry{}, map[string]broker.Entry{}
	keep := func(e broker.Entry) {
		to := most
		if s.spoilt[recordKey{e.Receipt, e.Phase}] {
			to = lost
		}
		if there, ok := to[e.Receipt]; wanted(e.Receipt) && (!ok || e.Phase.Supersedes(there.Phase)) {
			to[e.Receipt] = e
		}
	}
	if f.WithoutOutcome {
		for _, e := range s.omissions {
			keep(e)
		}
	} else {
		for _, r := range s.indexed {
			e, err := broker.EntryOf(r)
			if err == nil && e.Environment == f.Environment && e.LedBy(f.Lead()) && !e.At.Before(f.From) && e.At.Before(f.To) {
				keep(e)
			}
		}
	}
	for _, e := range most {
		if f.Holds(e) {
			found = append(found, e)
		}
	}
	for receipt, e := range lost {
		if known, ok := most[receipt]; !ok || e.Phase.Supersedes(known.Phase) {
			spoilt = append(spoilt, receipt)
		}
	}
	return found, spoilt
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
