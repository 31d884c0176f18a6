package revoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"bindery/shared/broker"
)

// IncidentOpened is the detail of the fact incident.opened.
type IncidentOpened struct {
	Incident   string `json:"incident"`
	Reference  string `json:"reference"`
	Revocation string `json:"revocation"` // of an incident whose request died: the id under which the stop was asked for
	Rotation   string `json:"rotation,omitempty"`
	NoRotation string `json:"no_rotation,omitempty"` // why none was ordered
}

// TellIncident records that an incident was opened. Its record has a receipt of its
// own, which follows from the incident: whoever tells it again, from anywhere, tells
// nothing new.
func TellIncident(ctx context.Context, j *broker.Journal, i broker.Incident) error {
	f := broker.Fact{Receipt: broker.ReceiptOf(i.At, "fact", string(broker.IncidentOpened), i.Environment, i.ID), Kind: broker.IncidentOpened,
		Environment: i.Environment, By: i.By, Object: "reference/" + i.Reference.String(), References: []broker.Reference{i.Reference},
		Detail: IncidentOpened{i.ID, i.Reference.String(), cmp.Or(i.Revocation, i.ID), i.Rotation, i.NoRotation}}
	if err := j.Tell(ctx, f, i.At); err != nil && !errors.Is(err, broker.ErrConflict) {
		return fmt.Errorf("tell of the incident: %w", err)
	}
	return nil
}
