package dynamo

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// The audit index is written so that order and repetition cannot matter.
//
// An entry is put under a key that names its receipt and its phase, and what it
// holds follows from the one record that has both: putting it again changes
// nothing. Nothing can be replaced by something else, so these are the only
// writes without a condition, and twenty-five go in one request. A reader meets
// the phase that says most first and passes over the others.
//
// Everything else is a mark that only ever moves one way (index_marks.go).

// IndexRecords implements broker.AuditIndexWriter. The lag is told last, when
// everything else is stored.
func (s *DB) IndexRecords(ctx context.Context, records []broker.Record) error {
	const doing = "index the audit records"
	items, marks, lags := map[key]any{}, marked{}, marked{}
	phases := map[key]broker.Phase{} // the phase that says most, by its key without phase
	for _, r := range records {
		e, err := broker.EntryOf(r)
		if err != nil {
			return err
		}
		for _, l := range e.Leads() {
			at := entryKey(e, l)
			receipt := key{at.pk, e.Receipt}
			there, known := phases[receipt]
			switch {
			case known && there.Supersedes(e.Phase):
				continue
			case known && e.Phase.Supersedes(there):
				delete(items, key{at.pk, e.Receipt + "/" + string(there)})
			}
			phases[receipt], items[at] = e.Phase, newEntryRow(e, l)
		}
		marks.of(e, r)
		lags.lag(r, s.now())
	}
	if err := s.putAll(ctx, doing, items); err != nil {
		return err
	}
	if err := s.raise(ctx, doing, marks); err != nil {
		return err
	}
	return s.raise(ctx, doing, lags)
}

const (
	putItems  = 25 // that one request may write
	putTries  = 8  // writes of items that came back unprocessed
	indexJobs = 16 // requests at once
)

// putAll puts entries of the index, in any order.
func (s *DB) putAll(ctx context.Context, doing string, items map[key]any) error {
	requests := make([]types.WriteRequest, 0, len(items))
	for _, r := range items {
		item, err := encode(doing, r)
		if err != nil {
			return err
		}
		requests = append(requests, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
	}
	chunks := slices.Collect(slices.Chunk(requests, putItems))
	return inTurns(ctx, len(chunks), func(ctx context.Context, i int) error { return s.putChunk(ctx, doing, chunks[i]) })
}

// putChunk is one request, and more for what stays unprocessed.
func (s *DB) putChunk(ctx context.Context, doing string, requests []types.WriteRequest) error {
	pending := map[string][]types.WriteRequest{s.tables.AuditIndex: requests}
	for try := range putTries {
		if err := pause(ctx, try); err != nil {
			return fault(doing, err)
		}
		out, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: pending})
		if err != nil {
			return fault(doing, err)
		}
		if pending = out.UnprocessedItems; len(pending) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%s: %w: items stayed unprocessed", doing, broker.ErrUnavailable)
}

// inTurns runs n jobs, a few at once, and gives the first error. What has not
// begun by then is not begun.
func inTurns(ctx context.Context, n int, job func(ctx context.Context, i int) error) error {
	var begun atomic.Int64
	worker := func(ctx context.Context) error {
		for {
			i := int(begun.Add(1)) - 1
			if i >= n {
				return nil
			}
			if ctx.Err() != nil {
				return fault("go on", ctx.Err())
			}
			if err := job(ctx, i); err != nil {
				return err
			}
		}
	}
	return together(ctx, slices.Repeat([]func(context.Context) error{worker}, min(n, indexJobs)))
}
