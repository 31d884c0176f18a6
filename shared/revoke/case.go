package revoke

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bindery/shared/broker"
)

// Stopped is the detail of the facts revocation.acknowledged and
// revocation.lifted.
type Stopped struct {
	Case    string            `json:"case"`
	Kind    broker.MarkerKind `json:"kind"`
	Subject string            `json:"subject"`
	Epoch   int64             `json:"epoch"`
	Via     string            `json:"via"`
	By      string            `json:"by"`
	Reason  string            `json:"reason"`
}

// byEvent is what the authors of orders that came as events begin with.
const byEvent = "event/"

// EventAuthor says which event asked.
func EventAuthor(source, id string) string { return byEvent + source + "/" + id }

// CaseOf is the case of a marker as it begins: all of it is in the marker, so
// whoever sees the marker can make up for a case that was never stored. A lifting
// leaves nothing to do. The marker must have a Revocation.
func CaseOf(m broker.Marker) broker.Revocation {
	c := broker.Revocation{Environment: m.Environment, ID: m.Revocation, Kind: m.Kind, Subject: m.ID, Epoch: m.Epoch, Lifts: !m.Revoked,
		By: m.By, Via: broker.ViaAdmin, Reason: m.Reason, At: m.At, Work: broker.WorkOpen}
	if strings.HasPrefix(m.By, byEvent) {
		c.Via = broker.ViaEvent
	}
	if c.Lifts {
		c.Work, c.Done = broker.WorkDone, m.At
	}
	return c
}

// Tell records that a case began. Its record has a receipt of its own, which
// follows from the case: whoever tells it again, from anywhere, tells nothing new.
func Tell(ctx context.Context, j *broker.Journal, c broker.Revocation) error {
	f := broker.Fact{Receipt: broker.ReceiptOf(c.At, "fact", c.Environment, c.ID), Kind: broker.RevocationAcknowledged, Environment: c.Environment,
		Object: string(c.Kind) + "/" + c.Subject,
		Detail: Stopped{c.ID, c.Kind, c.Subject, c.Epoch, c.Via, c.By, c.Reason}}
	if c.Lifts {
		f.Kind = broker.RevocationLifted
	}
	if c.Via == broker.ViaAdmin {
		f.By = c.By
	}
	switch c.Kind {
	case broker.ServerMarker:
		f.Server = c.Subject
	case broker.BindingMarker:
		f.Server, f.Binding, _ = strings.Cut(c.Subject, "/")
	case broker.GrantMarker:
		_, f.Server, _ = strings.Cut(c.Subject, "/")
	case broker.ReferenceMarker:
		reference, err := broker.StoredReference(c.Subject)
		if err != nil {
			return fmt.Errorf("tell of the case: %w", err)
		}
		f.References = []broker.Reference{reference}
	default: // no server and no secret of its own
	}
	if err := j.Tell(ctx, f, c.At); err != nil && !errors.Is(err, broker.ErrConflict) {
		return fmt.Errorf("tell of the case: %w", err)
	}
	return nil
}
