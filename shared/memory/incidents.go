package memory

import (
	"cmp"
	"context"

	"bindery/shared/broker"
)

// PutIncident implements broker.Incidents.
func (s *DB) PutIncident(ctx context.Context, v broker.Incident) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutIncident, func() error {
		expected := v.Version
		v.Version++
		v.At, v.Stopped = plain(v.At), plain(v.Stopped)
		return replace(s.incidents, idKey{v.Environment, v.ID}, v, func(now *broker.Incident) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

// Incident implements broker.Incidents.
func (s *DB) Incident(ctx context.Context, environment, id string) (broker.Incident, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("incident", id))
	return one(ctx, s, ReadIncident, invalid, func() *broker.Incident { return s.incidents[idKey{environment, id}] })
}

// Incidents implements broker.Incidents.
func (s *DB) Incidents(ctx context.Context, environment string, p broker.Page) ([]broker.Incident, error) {
	id := func(v broker.Incident) string { return v.ID }
	return page(ctx, s, ListIncidents, broker.CheckName("environment", environment), p, id, func() (all []broker.Incident) {
		for at, v := range s.incidents {
			if at.environment == environment {
				all = append(all, *v)
			}
		}
		return all
	})
}
