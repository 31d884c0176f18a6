package dynamo

import (
	"context"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"bindery/shared/broker"
)

// PutMarker implements broker.Markers. Decisions read markers strongly
// consistently, so the answers to all of its writes are all there is to wait for.
func (s *DB) PutMarker(ctx context.Context, m broker.Marker) error {
	if err := m.Check(); err != nil {
		return err
	}
	const doing = "put the marker"
	follows := absent()
	if m.Epoch > 1 {
		follows = expression.Name("epoch").Equal(expression.Value(m.Epoch - 1))
	}
	if m.Kind.Wide() {
		return s.putReplicated(ctx, doing, newMarkerRow(m), s.ofWideMarkers(m.Environment), follows)
	}
	return s.putRow(ctx, doing, s.tables.Revocations, newMarkerRow(m), follows)
}

// Markers implements broker.MarkerReader. Of wide markers it reads the copy at
// which writers meet.
func (s *DB) Markers(ctx context.Context, environment string, keys []broker.MarkerKey) ([]broker.Marker, error) {
	if err := broker.CheckMarkers(environment, keys); err != nil {
		return nil, err
	}
	var at []key
	for _, k := range keys {
		if one := markerKey(environment, k); !slices.Contains(at, one) { // a batch asks for nothing twice
			at = append(at, one)
		}
	}
	var mu sync.Mutex
	var found []broker.Marker
	var reads []func(context.Context) error
	for some := range slices.Chunk(at, batchKeys) {
		reads = append(reads, func(ctx context.Context) error {
			return s.batch(ctx, "read the markers", map[string][]key{s.tables.Revocations: some}, func(_ key, a attributes) error {
				m, err := decodeMarker(a)
				mu.Lock()
				defer mu.Unlock()
				found = append(found, m)
				return err
			})
		})
	}
	if err := together(ctx, reads); err != nil {
		return nil, err
	}
	return found, nil
}

// readWideMarkers reads those that may concern anybody, from one copy.
func (s *DB) readWideMarkers(ctx context.Context, l broker.Lookup) (found []broker.Marker, err error) {
	shard := s.shard()
	partition := wideMarkersPartition(l.Route.Environment, shard)
	err = s.query(ctx, "read the wide markers", s.tables.Revocations, partition, func(_ string, a attributes) error {
		m, err := decode(a, markerRow.value, func(m broker.Marker) key { return wideMarkerKey(m.Environment, m.Key(), shard) })
		found = append(found, m)
		return err
	})
	return found, err
}

func (s *DB) readServerMarkers(ctx context.Context, l broker.Lookup) (found []broker.Marker, err error) {
	partition := serverMarkersPartition(l.Route.Environment, l.Route.Server)
	err = s.query(ctx, "read the server's markers", s.tables.Revocations, partition, func(_ string, a attributes) error {
		m, err := decodeMarker(a)
		found = append(found, m)
		return err
	})
	return found, err
}

func decodeMarker(a attributes) (broker.Marker, error) {
	return decode(a, markerRow.value, func(m broker.Marker) key { return markerKey(m.Environment, m.Key()) })
}
