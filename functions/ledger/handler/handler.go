// Package handler is the ledger function: it hands the records of the audit
// table's stream to the audit index and, when asked to, all records of the table
// itself; it counts the facts among them; and it looks for intents without outcome.
//
// The audit table stays the truth: this function reads it, and adds to it that an
// intent has no outcome, which is a record of its own, and nothing else.
// What is no record is reported, with a digest of its receipt, and passed over,
// so that it does not hold up the others for ever. What cannot be indexed at the
// moment is left to Lambda to bring again. It repeats nothing of a record
// anywhere but in the index.
package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/start"
)

// Scanner reads the audit table, some rows at a time.
type Scanner interface {
	ScanRecords(ctx context.Context, of dynamo.Segment, limit int) (dynamo.ScanPage, error)
}

// Handler answers Lambda. It is safe for concurrent use.
type Handler struct {
	environment string
	index       broker.AuditIndexWriter
	audit       Scanner
	evidence    Evidence
	intents     broker.IntentWatch
	journal     *broker.Journal
	log         *slog.Logger
	now         func() time.Time
}

var (
	errEvent = errors.New("the event is neither records of a stream nor a rebuild, nor the schedule's")
)

// Handle takes {"Records": [...]}, as a stream brings it, {"rebuild": {...}}, or
// {"task": "intents"}.
func (h *Handler) Handle(ctx context.Context, event json.RawMessage) (answer any, err error) {
	defer start.Guard(h.log, &err)
	var kind map[string]json.RawMessage
	if json.Unmarshal(event, &kind) != nil || len(kind) != 1 {
		return nil, errEvent
	}
	switch {
	case kind["Records"] != nil:
		var records []json.RawMessage
		if json.Unmarshal(kind["Records"], &records) != nil {
			return nil, errEvent
		}
		return h.stream(ctx, records), nil
	case kind["rebuild"] != nil:
		var of dynamo.Segment
		d := json.NewDecoder(bytes.NewReader(kind["rebuild"]))
		d.DisallowUnknownFields()
		if d.Decode(&of) != nil || !sound(of) {
			return nil, errEvent
		}
		return h.rebuild(ctx, of)
	case string(kind["task"]) == `"intents"`:
		return h.look(ctx)
	}
	return nil, errEvent
}
