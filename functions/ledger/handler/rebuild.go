package handler

import (
	"context"
	"time"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

const (
	scanned  = 500              // rows that are read at once
	spare    = 30 * time.Second // of the function's time, kept to end a step in
	segments = 256              // into which the table may be cut
	longest  = 15 * time.Minute // one invocation, where the function itself has no limit
)

// progress is the answer to a rebuild. While it is not done, Rebuild is how to
// go on.
type progress struct {
	Rebuild    *dynamo.Segment `json:"rebuild,omitempty"`
	Records    int             `json:"records"`
	Unreadable int             `json:"unreadable"`
	Done       bool            `json:"done"`
}

// sound refuses a segment that cannot be one.
func sound(of dynamo.Segment) bool {
	place := of.After == nil || broker.CheckID("receipt", of.After.Receipt) == nil && known(of.After.Phase)
	return place && of.Segments >= 1 && of.Segments <= segments && of.Segment >= 0 && of.Segment < of.Segments
}

// rebuild indexes the records of a segment, as many as time allows. After a fault
// it says how far it came; without having come anywhere, that it failed.
func (h *Handler) rebuild(ctx context.Context, of dynamo.Segment) (*progress, error) {
	until := h.now().Add(longest)
	if deadline, ok := ctx.Deadline(); ok {
		until = deadline
	}
	done := &progress{}
	for first := true; first || h.now().Before(until.Add(-spare)); first = false {
		page, err := h.audit.ScanRecords(ctx, of, scanned)
		if err == nil {
			err = h.indexPage(ctx, page, done)
		}
		switch {
		case err != nil && first:
			return nil, err
		case err != nil:
			h.log.Error("records could not be indexed", "cause", err.Error())
			done.Rebuild = &of
			return done, nil
		case page.Next == nil:
			done.Done = true
			return done, nil
		}
		of.After = page.Next
	}
	done.Rebuild = &of
	return done, nil
}

func (h *Handler) indexPage(ctx context.Context, page dynamo.ScanPage, done *progress) error {
	records, unreadable := make([]broker.Record, 0, len(page.Records)), page.Unreadable
	for _, r := range page.Records {
		if _, err := broker.EntryOf(r); err != nil {
			unreadable = append(unreadable, dynamo.ScanPlace{Receipt: r.Receipt, Phase: r.Phase})
			continue
		}
		records = append(records, r)
	}
	if err := h.index.IndexRecords(ctx, records); err != nil {
		return err
	}
	if err := h.lookAgain(ctx, records); err != nil {
		return err
	}
	for _, at := range unreadable {
		h.unreadable(at.Receipt)
	}
	done.Records += len(records)
	done.Unreadable += len(unreadable)
	return nil
}
