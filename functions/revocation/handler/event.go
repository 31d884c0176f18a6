package handler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bindery/shared/broker"
	"bindery/shared/revoke"
)

// DetailType is that of the events that are requests.
const DetailType = "Bindery Revocation Request"

// envelope is what EventBridge puts around an event. It may add members.
type envelope struct {
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Time       time.Time       `json:"time"`
	Detail     json.RawMessage `json:"detail"`
}

// Detail is what an event asks for: a subject, or a person as their issuer says
// it.
type Detail struct {
	Environment string            `json:"environment"` // that is meant: one bus may have several deployments
	Kind        broker.MarkerKind `json:"kind"`
	Subject     string            `json:"subject"`
	Person      *Person           `json:"person"`
	Reason      string            `json:"reason"`
	SourceID    string            `json:"source_id"` // of the finding or ticket, where it came from
}

// Person is somebody as their issuer says it.
type Person struct {
	Issuer string   `json:"issuer"`
	Claims []string `json:"claims"`
}

// ahead is how far the clock of an event's source may be ahead. An event may be
// as old as it likes: it was held up.
const ahead = time.Hour

// event carries out what an event asks for. It fails unless all of it is done, the
// record too, so that it is brought again.
func (h *Handler) event(ctx context.Context, text []byte) (revoke.Answer, error) {
	o, err := h.order(text)
	if err != nil {
		return h.refused(err)
	}
	a, err := h.stop(ctx, o)
	if err != nil {
		return h.refused(err)
	}
	h.tell(a)
	if !a.Recorded {
		return revoke.Answer{}, errUnrecorded
	}
	return revoke.Answer{Acknowledged: &a}, nil
}

// order reads an event.
func (h *Handler) order(text []byte) (revoke.Order, error) {
	var e envelope
	var d Detail
	switch {
	case json.Unmarshal(text, &e) != nil, e.DetailType != DetailType, e.ID == "", e.Source == "", e.Time.IsZero(), !strict(e.Detail, &d):
		return revoke.Order{}, errEvent
	case e.Time.After(h.now().Add(ahead)):
		return revoke.Order{}, fmt.Errorf("%w: its time has not come", errEvent)
	case d.Environment != h.revoker.Environment:
		return revoke.Order{}, fmt.Errorf("%w: another environment is meant", errEvent)
	case d.Kind == broker.EverythingMarker, d.Kind == broker.EnvironmentMarker:
		return revoke.Order{}, errNever
	case d.Person != nil && (d.Kind != broker.PrincipalMarker || d.Subject != ""):
		return revoke.Order{}, fmt.Errorf("%w: it names a person beside another subject", errEvent)
	}
	if d.Person != nil {
		principal, err := h.people.PrincipalOf(d.Person.Issuer, d.Person.Claims)
		if err != nil {
			return revoke.Order{}, err
		}
		d.Subject = principal
	}
	from := e.ID
	if d.SourceID != "" {
		from = d.SourceID
	}
	return revoke.Order{ID: broker.ReceiptOf(e.Time, "event", d.Environment, e.ID, string(d.Kind), d.Subject), Kind: d.Kind, Subject: d.Subject,
		By: revoke.EventAuthor(e.Source, from), Reason: d.Reason}, nil
}
