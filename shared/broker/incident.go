package broker

import (
	"context"
	"time"
)

// Incident is one secret that leaked, and what was done about it. It holds what
// has to be found again; the report is made of it and of what stands elsewhere.
type Incident struct {
	Environment string
	ID          string // the receipt of the request
	Version     int64
	State       State     // Active: an incident is not taken back
	Reference   Reference // without key
	By          string    // principal who said so
	Reason      string    // as it was typed
	At          time.Time
	Revocation  string    // id of the revocation of the reference; empty: it has not come to that
	Stopped     time.Time // when that was acknowledged
	Rotation    string    // id of the rotation that was ordered; empty: none
	NoRotation  string    // why none was, in a sentence
}

// Incidents keeps incidents by the rules of CatalogueWriter and CatalogueReader;
// a list is in order of the ids, which is that of time, and rows that do not decode are
// PassedOver.
type Incidents interface {
	PutIncident(ctx context.Context, i Incident) error
	Incident(ctx context.Context, environment, id string) (Incident, error)
	Incidents(ctx context.Context, environment string, p Page) ([]Incident, error)
}

// Check refuses what no backend may keep.
func (i Incident) Check() error {
	c := rowCheck{row: "incident"}
	c.name("environment", i.Environment)
	c.id("id", i.ID)
	c.standing(i.Version, i.State)
	c.require("reference", !i.Reference.IsZero() && i.Reference == i.Reference.WithoutKey(), "it is required, without a key")
	c.id("principal", i.By)
	c.text("reason", i.Reason, i.Revocation, i.Rotation, i.NoRotation, i.Reference.String())
	c.time("time", i.At)
	c.timeOrNone("time of the stop", i.Stopped)
	return c.err
}
