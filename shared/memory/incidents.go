package memory

import (
	"cmp"
	"context"
	"slices"

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
	var spoilt error
	v, err := one(ctx, s, ReadIncident, invalid, func() *broker.Incident {
		if s.spoilt[incidentKey{environment, id}] {
			spoilt = broker.ErrUndecodable
		}
		return s.incidents[idKey{environment, id}]
	})
	if err != nil || spoilt != nil {
		return broker.Incident{}, cmp.Or(err, spoilt)
	}
	return v, nil
}

// Incidents implements broker.Incidents.
func (s *DB) Incidents(ctx context.Context, environment string, p broker.Page) ([]broker.Incident, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	var found []broker.Incident
	spoilt := 0
	err := s.do(ctx, ListIncidents, func() error {
		var all []broker.Incident
		for at, v := range s.incidents {
			if at.environment == environment && v.ID > p.After {
				all = append(all, *v)
			}
		}
		slices.SortFunc(all, func(a, b broker.Incident) int { return cmp.Compare(a.ID, b.ID) })
		found, spoilt = decoding(all, p.Limit, func(v broker.Incident) bool { return s.spoilt[incidentKey{environment, v.ID}] })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, passedOver(ListIncidents, spoilt)
}
