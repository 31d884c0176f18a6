package memory

import (
	"context"
	"slices"
	"strings"

	"bindery/shared/broker"
)

// PutMarker implements broker.Markers.
func (s *DB) PutMarker(ctx context.Context, m broker.Marker) error {
	if err := m.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutMarker, func() error {
		m.At = plain(m.At)
		follows := func(now *broker.Marker) bool {
			return now == nil && m.Epoch == 1 || now != nil && m.Epoch == now.Epoch+1
		}
		switch {
		case m.Kind.Wide():
			return replaceListed(s.wide, m.Environment, markerName(m), markerName, m, follows)
		case m.Kind.OfServer():
			return replaceListed(s.ofServers, serverOf(m.Environment, m.Key()), markerName(m), markerName, m, follows)
		}
		return replace(s.markers, markerKey{m.Environment, m.Key()}, m, follows)
	})
}

// Markers implements broker.MarkerReader.
func (s *DB) Markers(ctx context.Context, environment string, keys []broker.MarkerKey) ([]broker.Marker, error) {
	if err := broker.CheckMarkers(environment, keys); err != nil {
		return nil, err
	}
	var found []broker.Marker
	err := s.do(ctx, ReadMarkers, func() error {
		for i, k := range keys {
			if m := s.marker(environment, k); m != nil && !slices.Contains(keys[:i], k) {
				found = append(found, *m)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s *DB) marker(environment string, k broker.MarkerKey) *broker.Marker {
	var list []broker.Marker
	switch {
	case k.Kind.Wide():
		list = s.wide[environment]
	case k.Kind.OfServer():
		list = s.ofServers[serverOf(environment, k)]
	default:
		return s.markers[markerKey{environment, k}]
	}
	at, there := find(list, markerName(broker.Marker{Kind: k.Kind, ID: k.ID}), markerName)
	if !there {
		return nil
	}
	return &list[at]
}

// markersOf is what a decision reads.
func (s *DB) markersOf(l broker.Lookup) []broker.Marker {
	environment := l.Route.Environment
	found := slices.Concat(s.wide[environment], s.ofServers[l.Route])
	for _, k := range []broker.MarkerKey{{Kind: broker.PrincipalMarker, ID: l.Principal}, {Kind: broker.AgentMarker, ID: l.Agent}, {Kind: broker.SessionMarker, ID: l.Session}} {
		if m := s.markers[markerKey{environment, k}]; m != nil {
			found = append(found, *m)
		}
	}
	return found
}

func markerName(m broker.Marker) string { return string(m.Kind) + "/" + m.ID }

func serverOf(environment string, k broker.MarkerKey) broker.Route {
	server, _, _ := strings.Cut(k.ID, "/")
	return broker.Route{Environment: environment, Server: server}
}
