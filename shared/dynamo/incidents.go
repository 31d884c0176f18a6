package dynamo

import (
	"cmp"
	"context"

	"bindery/shared/broker"
)

type incidentRow struct {
	item
	Environment string  `dynamodbav:"environment"`
	ID          string  `dynamodbav:"id"`
	Version     int64   `dynamodbav:"version"`
	State       string  `dynamodbav:"state"`
	Reference   string  `dynamodbav:"reference"`
	By          string  `dynamodbav:"by"`
	Reason      string  `dynamodbav:"reason,omitempty"`
	At          *string `dynamodbav:"at"`
	Revocation  string  `dynamodbav:"revocation,omitempty"`
	Stopped     *string `dynamodbav:"stopped"`
	Rotation    string  `dynamodbav:"rotation,omitempty"`
	NoRotation  string  `dynamodbav:"no_rotation,omitempty"`
}

func newIncidentRow(v broker.Incident) incidentRow {
	at, stopped := stamp(v.At), stamp(v.Stopped)
	return incidentRow{incidentKey(v.Environment, v.ID).item(), v.Environment, v.ID, v.Version, string(v.State), v.Reference.String(),
		v.By, v.Reason, &at, v.Revocation, &stopped, v.Rotation, v.NoRotation}
}

func (r incidentRow) value() (broker.Incident, error) {
	v := broker.Incident{Environment: r.Environment, ID: r.ID, Version: r.Version, State: broker.State(r.State), By: r.By, Reason: r.Reason,
		Revocation: r.Revocation, Rotation: r.Rotation, NoRotation: r.NoRotation}
	times, err := parseStamps(r.At, r.Stopped)
	if err != nil {
		return v, err
	}
	v.At, v.Stopped = times[0], times[1]
	if v.Reference, err = broker.StoredReference(r.Reference); err != nil {
		return v, err
	}
	return versioned(v, r.Version)
}

func decodeIncident(a attributes) (broker.Incident, error) {
	return decode(a, incidentRow.value, func(v broker.Incident) key { return incidentKey(v.Environment, v.ID) })
}

// PutIncident implements broker.Incidents.
func (s *DB) PutIncident(ctx context.Context, v broker.Incident) error {
	if err := v.Check(); err != nil {
		return err
	}
	expected := v.Version
	v.Version++
	return s.putRow(ctx, "put the incident", s.tables.Catalogue, newIncidentRow(v), replaces(expected))
}

// Incident implements broker.Incidents.
func (s *DB) Incident(ctx context.Context, environment, id string) (broker.Incident, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("incident", id))
	return one(ctx, s, "read the incident", invalid, incidentKey(environment, id), decodeIncident)
}

// Incidents implements broker.Incidents.
func (s *DB) Incidents(ctx context.Context, environment string, p broker.Page) ([]broker.Incident, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	const doing = "list the incidents"
	first, last := after("id", p.After)
	rows, passed, err := passing(ctx, s, doing, s.tables.Catalogue, incidentsPartition(environment), first, last, p.Limit, decodeIncident)
	if err != nil {
		return nil, err
	}
	return rows, passed.err(doing)
}
