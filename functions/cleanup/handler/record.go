package handler

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"bindery/shared/broker"
	"bindery/shared/telemetry"
)

// access is one use of a credential that ends something: recorded as a call is,
// the intent before anything is released.
type access struct {
	r      *run
	record broker.Record
	began  time.Time
}

// access begins one. Nobody calls: the record says on whose word the revocation
// stands, and which case it is of.
func (r *run) access(ctx context.Context, of broker.Record) (*access, error) {
	now := r.Now().UTC()
	of.Schema, of.Receipt, of.Phase, of.At = broker.RecordSchema, r.Fresh(), broker.Intent, now
	of.Environment, of.Object = r.Environment, "revocation/"+r.c.ID
	of.Method, of.Action = http.MethodDelete, broker.Notify
	if r.c.Via == broker.ViaAdmin {
		of.Principal = r.c.By
	}
	if err := r.Journal.Append(ctx, of); err != nil {
		return nil, fmt.Errorf("record the intent: %w", err)
	}
	return &access{r, of, now}, nil
}

// over records how it ended. What cannot be recorded is a finding: an intent
// without an outcome.
func (a *access) over(ctx context.Context, status int, reason broker.Reason) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), broker.SettleTime)
	defer cancel()
	a.record.Phase, a.record.At = broker.Outcome, a.r.Now().UTC()
	a.record.Upstream, a.record.Reason = status, reason
	a.record.LatencyMS = a.record.At.Sub(a.began).Milliseconds()
	if err := a.r.Journal.Append(ctx, a.record); err != nil {
		a.r.Log.Error("outcome not recorded", "receipt", a.record.Receipt, "cause", err.Error(), string(telemetry.AuditFailures), 1)
	}
}
