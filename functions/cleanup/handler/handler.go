// Package handler is the cleanup function: it does the work that follows a
// revocation. The marker has stopped every decision already; what is left is what
// others still keep: sessions at upstreams, tokens at providers, and sealed texts
// in the tables.
//
// The idea: a case is worked through in passes. Each pass looks at all there is,
// ends what it finds, and writes into the case what it has done before it takes
// the rows away. So a pass may die anywhere, run twice or run beside another, and
// the next one goes on: to end what has ended succeeds everywhere. What cannot be
// reached is tried again, less and less often, until it is ended or ends by
// itself; what nobody can end is said to be so.
//
// It ends nothing whose marker has been lifted, uses no credential that is itself
// revoked, releases none without a record, and repeats no token, session id or
// word of an upstream or provider anywhere. It writes no marker.
package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"bindery/shared/broker"
	"bindery/shared/egress"
	"bindery/shared/session"
	"bindery/shared/start"
	"bindery/shared/telemetry"
)

// Parts are what the handler is made of. All are required.
type Parts struct {
	Environment string
	Cases       broker.Revocations
	Markers     broker.MarkerReader
	Catalogue   Catalogue
	Uses        broker.Uses
	Sessions    broker.LiveSessions
	Grants      broker.Grants
	Scanner     broker.GrantScanner
	Values      Values
	Sources     map[broker.SourceKind]broker.Source
	Sealer      broker.Sealer
	Wrapped     Unwrapper
	Upstreams   Upstreams
	Providers   *Parties
	Journal     *broker.Journal
	Now         func() time.Time
	Fresh       func() string // a receipt, unlike any other
	Log         *slog.Logger
}

// Catalogue is what is read of it.
type Catalogue interface {
	Snapshot(ctx context.Context, l broker.Lookup) (broker.Snapshot, error)
	Binding(ctx context.Context, r broker.Route, name string) (broker.Binding, error)
	Store(ctx context.Context, environment, name string) (broker.Store, error)
	Stores(ctx context.Context, environment string, p broker.Page) ([]broker.Store, error)
	Provider(ctx context.Context, environment, name string) (broker.Provider, error)
}

// Values deletes sealed values for as long as something holds: what was put since
// is left, with ErrConflict or what was answered. One that is gone is a success,
// one that never was ErrNotFound.
type Values interface {
	DeleteWhile(ctx context.Context, environment, id string, holds func(context.Context) error) error
}

// Unwrapper opens the ids that clients have.
type Unwrapper interface {
	Unwrap(ctx context.Context, o session.Owner, id string) (session.Session, error)
}

// Upstreams gives the client for a server, or refuses its URL.
type Upstreams interface {
	For(s *broker.Server) (Upstream, error)
}

// Upstream makes one request.
type Upstream = egress.Doer

// Handler answers Lambda. It is safe for concurrent use.
type Handler struct{ Parts }

const (
	// reserve is what of an invocation is kept to bring to its end what is begun.
	reserve = 30 * time.Second
	// openAtOnce is how many open cases one run of the schedule looks at.
	openAtOnce = broker.MaxPage
)

var (
	errEvent = errors.New("the event is neither records of a stream nor the schedule's")
)

// Report is what a run of the schedule did.
type Report struct {
	Worked int `json:"worked"` // cases
	Failed int `json:"failed"` // that could not be gone on with: the next run tries again
}

// Handle takes {"Records": [...]}, as a stream brings it, or {"task": "continue"}.
func (h *Handler) Handle(ctx context.Context, event json.RawMessage) (answer any, err error) {
	defer start.Guard(h.Log, &err)
	if end, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-reserve))
		defer cancel()
	}
	var asked struct {
		Task    string
		Records []json.RawMessage
	}
	d := json.NewDecoder(bytes.NewReader(event))
	d.DisallowUnknownFields()
	switch err := d.Decode(&asked); {
	case err != nil:
		return nil, errEvent
	case asked.Task == "" && asked.Records != nil:
		return h.stream(ctx, asked.Records), nil
	case asked.Task == "continue" && asked.Records == nil:
		return h.goOn(ctx)
	}
	return nil, errEvent
}

// goOn works the open cases that are due, oldest first.
func (h *Handler) goOn(ctx context.Context) (Report, error) {
	open, err := h.Cases.OpenRevocations(ctx, h.Environment, openAtOnce)
	if rows := broker.Unread(err); rows > 0 { // nobody else's case waits for it
		h.Log.Error("open cases do not decode: they are not gone on with", string(telemetry.RowsUnreadable), rows)
		err = nil
	}
	if err != nil {
		h.Log.Error("open cases could not be listed", "cause", err.Error())
		return Report{}, err
	}
	var report Report
	for _, c := range open {
		if !h.due(c) || ctx.Err() != nil {
			continue
		}
		report.Worked++
		if err := h.work(ctx, c); err != nil {
			report.Failed++
		}
	}
	h.Log.Info("cases gone on with", "open", len(open), "worked", report.Worked, "failed", report.Failed, string(telemetry.CleanupRuns), 1)
	return report, nil
}

// due reports whether somebody has to go on with the case now.
func (h *Handler) due(c broker.Revocation) bool {
	return c.Work == broker.WorkOpen && !c.NextTry.After(h.Now())
}
