// Package handler is the revocation function, the only one that writes markers:
// it stops what the admin function, an operator or an event asks to stop, and
// lets go what the admin function or an operator asks to let go.
//
// It can open nothing that is sealed and read no secret. It has no use for the
// catalogue, so that a broken catalogue stops no stop, and neither does a broken
// audit table. No event stops an environment or everything, and none lifts
// anything. It logs the id of a case and its kind, and nothing of what it was sent.
package handler

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
	"bindery/shared/literal"
	"bindery/shared/revoke"
	"bindery/shared/start"
	"bindery/shared/telemetry"
)

// People turns what a trusted issuer says into what markers are about.
type People interface {
	PrincipalOf(issuer string, claims []string) (string, error)
	IssuerOf(nameOrURL string) (string, error)
	CheckGroup(name string) error
}

// Handler answers Lambda. It is safe for concurrent use.
type Handler struct {
	revoker *revoke.Revoker
	people  People
	now     func() time.Time
	log     *slog.Logger
}

// maxEvent is the longest event that is read, in bytes.
const maxEvent = 64 << 10

var (
	errEvent      = errors.New("the event is neither a request nor a revocation request of the event bus")
	errNever      = errors.New("no event revokes this")
	errUnrecorded = errors.New("it is revoked, and its case or its record could not be stored")
)

// Handle takes {"revoke": {...}} or {"lift": {...}}, which it answers with a
// revoke.Answer, or an event of the event bus. An event that fails is Lambda's to
// bring again: the id of its case follows from its own.
func (h *Handler) Handle(ctx context.Context, event json.RawMessage) (answer revoke.Answer, err error) {
	defer start.Guard(h.log, &err)
	var kind map[string]json.RawMessage
	if len(event) > maxEvent || json.Unmarshal(event, &kind) != nil {
		return h.refused(errEvent)
	}
	var r revoke.Request
	switch {
	case kind["detail-type"] != nil:
		return h.event(ctx, event)
	case len(kind) != 1 || !strict(event, &r) || (r.Revoke == nil) == (r.Lift == nil):
		return h.refused(errEvent)
	case r.Lift != nil:
		return h.lift(ctx, *r.Lift), nil
	}
	return h.revoke(ctx, *r.Revoke), nil
}

// Invoke hands a request over as Lambda does, and gives the answer as it goes back:
// for whoever runs the function without Lambda.
func (h *Handler) Invoke(ctx context.Context, request []byte) ([]byte, error) {
	answer, err := h.Handle(ctx, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// refused logs why an event came to nothing.
func (h *Handler) refused(err error) (revoke.Answer, error) {
	h.log.Error("revocation request refused", "cause", err.Error(), string(telemetry.StopsNotAcknowledged), 1)
	return revoke.Answer{}, err
}

func (h *Handler) revoke(ctx context.Context, o revoke.Order) revoke.Answer {
	if o.ID == "" {
		o.ID = h.receipt()
	}
	return h.answer(h.stop(ctx, o))
}

func (h *Handler) lift(ctx context.Context, l revoke.Lifting) revoke.Answer {
	if l.ID == "" {
		l.ID = h.receipt()
	}
	l.Reason = shown(l.Reason)
	return h.answer(h.revoker.Lift(ctx, l))
}

// stop carries an order out.
func (h *Handler) stop(ctx context.Context, o revoke.Order) (_ revoke.Acknowledgement, err error) {
	o.Reason = shown(o.Reason)
	switch o.Kind {
	case broker.IssuerMarker:
		o.Subject, err = h.people.IssuerOf(o.Subject)
	case broker.GroupMarker: // that nobody can have would be stopped without any effect
		err = h.people.CheckGroup(o.Subject)
	default: // in one spelling, or none
	}
	if err != nil {
		return revoke.Acknowledgement{}, err
	}
	return h.revoker.Revoke(ctx, o)
}

func (h *Handler) answer(a revoke.Acknowledgement, err error) revoke.Answer {
	if err != nil {
		h.log.Error("not acknowledged", "cause", err.Error(), string(telemetry.StopsNotAcknowledged), 1)
		return revoke.Refusal(err)
	}
	h.tell(a)
	return revoke.Answer{Acknowledged: &a}
}

func (h *Handler) tell(a revoke.Acknowledgement) {
	h.log.Info("acknowledged", "case", a.Case, "kind", a.Kind, "revoked", a.Revoked, "epoch", a.Epoch, "already", a.Already)
	if a.Unrecorded != nil {
		h.log.Error("the case or its record could not be stored", "case", a.Case, "cause", a.Unrecorded.Error(), string(telemetry.AuditFailures), 1)
	}
}

func (h *Handler) receipt() string {
	return ulid.MustNew(ulid.Timestamp(h.now()), rand.Reader).String()
}

// shown is a reason as it may be kept: no stop waits for somebody to take a secret
// out of it.
func shown(reason string) string {
	if _, found := literal.FindInNames(reason); found {
		return "withheld: it held what looks like a secret"
	}
	return reason
}

// strict reads one JSON object without members that nobody knows.
func strict(text []byte, into any) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into) == nil && !d.More()
}
