package handler

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/oklog/ulid/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/drift"
	"bindery/shared/revoke"
	"bindery/shared/stores/awssm"
	"bindery/shared/telemetry"
	"bindery/shared/wire"
)

// Drift looks for what is no longer as cards expect it.
type Drift interface {
	Run(ctx context.Context) (drift.Report, error)
	Heard(ctx context.Context, c drift.Change) (references int, err error)
}

// Heard is what came of an event of a store.
type Heard struct {
	Event      string `json:"event,omitempty"`
	References int    `json:"references"`
	Ignored    bool   `json:"ignored,omitempty"` // of a foreign account, of a call that failed, or not about a value
}

func newDrift(p wire.Parts, environment string, journal *broker.Journal) *drift.Scanner {
	return &drift.Scanner{Environment: environment, Catalogue: p.DB, Uses: p.DB, Evidence: p.DB, Grants: p.DB, Rotations: p.DB,
		Notices: p.DB, Scans: p.DB, Markers: p.DB, Source: p.Static, Inspector: p.Static, Journal: journal, Now: time.Now,
		Receipt: func() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }}
}

// accountOf is the account and region of Bindery's own key, and so of its secrets.
func accountOf(key string) awssm.Account {
	parsed, err := arn.Parse(key)
	if err != nil {
		return awssm.Account{} // an alias, as locally: no event is from there
	}
	return awssm.Account{ID: parsed.AccountID, Region: parsed.Region}
}

// Incidents is what is read of them.
type Incidents interface {
	Incidents(ctx context.Context, environment string, p broker.Page) ([]broker.Incident, error)
}

const (
	// opening is longer than a request that opens an incident takes: one that is
	// younger is told of by whoever opened it.
	opening = 5 * time.Minute
	// retold is how long incidents are told of again: many rounds of the search.
	retold = 3 * 24 * time.Hour
)

// tellIncidents tells of the incidents whose requests died before they could. To
// tell of one that is told changes nothing, and one that does not decode is in no
// other's way.
func (h *Handler) tellIncidents(ctx context.Context) error {
	read := func(p broker.Page) ([]broker.Incident, error) {
		some, err := h.incidents.Incidents(ctx, h.environment, p)
		if rows := broker.Unread(err); rows > 0 {
			h.log.Error("incidents do not decode: they are not told of again", string(telemetry.RowsUnreadable), rows)
			err = nil
		}
		return some, err
	}
	now := h.now()
	for i, err := range broker.Rows(broker.FirstReceipt(now.Add(-retold)), read, func(i broker.Incident) string { return i.ID }) {
		if err != nil {
			return fmt.Errorf("list the incidents: %w", err)
		}
		if i.At.After(now.Add(-opening)) {
			continue
		}
		if err := revoke.TellIncident(ctx, h.journal, i); err != nil {
			return err
		}
	}
	return nil
}

// scan goes on with the search for drift.
func (h *Handler) scan(ctx context.Context) (any, error) {
	if err := h.tellIncidents(ctx); err != nil { // the next run tries again
		h.log.Error("incidents could not be told of again", "cause", causeOf(err), string(telemetry.AuditFailures), 1)
	}
	report, err := h.drift.Run(ctx)
	if err != nil {
		h.log.Error("the search for drift failed", "looked", report.Looked, "changed", report.Changed, "cause", causeOf(err))
		return nil, err
	}
	level := slog.LevelInfo
	if !report.Done && !report.Busy {
		level = slog.LevelWarn // the next run goes on: with many of these, the schedule is too slow
	}
	if report.Unread > 0 {
		h.log.Error("rows could not be read: nothing of what they are part of is closed", "parts", report.Unread, string(telemetry.RowsUnreadable), report.Unread)
	}
	line := []any{"looked", report.Looked, "changed", report.Changed, "open", report.Open, "done", report.Done, "busy", report.Busy, string(telemetry.DriftRuns), 1}
	if !report.Busy { // else nobody has counted them
		line = append(line, string(telemetry.NoticesOpen), report.Open)
	}
	h.log.Log(ctx, level, "looked for drift", line...)
	return report, nil
}

// stored reads an event of Secrets Manager, and does nothing for one that is
// none of ours.
func (h *Handler) stored(text json.RawMessage) task {
	event, err := awssm.ParseEvent(text, h.account)
	switch {
	case errors.Is(err, awssm.ErrNoEvent):
		return nil
	case err != nil:
		return func(context.Context) (any, error) {
			h.log.Info("an event of a store was ignored")
			return Heard{Ignored: true}, nil
		}
	}
	return func(ctx context.Context) (any, error) {
		n, err := h.drift.Heard(ctx, drift.Change{What: event.What, Event: event.ID, At: event.At, Kind: "aws-sm", Concerns: event.Concerns,
			Receipt: func(r broker.Reference) string { return receiptOf(event, r) }})
		if err != nil {
			h.log.Error("an event of a store was not heeded", "event", event.What, "references", n, "cause", causeOf(err))
			return nil, err
		}
		h.log.Info("a store told of a change", "event", event.What, "references", n)
		return Heard{Event: event.What, References: n}, nil
	}
}

// receiptOf is the receipt of the fact that an event leads to for a reference:
// the same each time it is delivered, so that it is recorded once.
func receiptOf(e awssm.Event, r broker.Reference) string {
	var id ulid.ULID
	sum := sha256.Sum256([]byte(broker.Digest("store event", e.ID, r.String())))
	copy(id[6:], sum[:])
	if id.SetTime(ulid.Timestamp(e.At)) != nil { // a time that no receipt can have
		return ulid.MustNew(ulid.Now(), rand.Reader).String()
	}
	return id.String()
}

func causeOf(err error) string {
	return admin.Cause(err, func(err error) bool {
		return errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrConflict) || errors.Is(err, broker.ErrInvalid)
	})
}
