package dynamo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"bindery/shared/broker"
)

// Snapshot implements broker.Catalogue: five queries and one batch read side by
// side, and one more query where all tools are asked for. An id longer than
// broker.MaxID is refused with ErrInvalid before anything is read. Without a principal no personal bindings are read.
func (s *DB) Snapshot(ctx context.Context, l broker.Lookup) (broker.Snapshot, error) {
	if err := checkLookup(l); err != nil {
		return broker.Snapshot{}, err
	}
	var snap broker.Snapshot // each read fills fields of its own
	var wide, ofServer []broker.Marker
	reads := []func(context.Context) error{
		func(ctx context.Context) (err error) { wide, err = s.readWideMarkers(ctx, l); return err },
		func(ctx context.Context) (err error) { ofServer, err = s.readServerMarkers(ctx, l); return err },
		func(ctx context.Context) error { return s.readEnvironment(ctx, l, &snap) },
		func(ctx context.Context) error { return s.readServer(ctx, l, &snap) },
	}
	if l.Principal != "" {
		reads = append(reads, func(ctx context.Context) error { return s.readPersonal(ctx, l, &snap) })
	}
	if l.Tools {
		reads = append(reads, func(ctx context.Context) error { return s.readTools(ctx, l, &snap) })
	}
	if l.Principal != "" || l.Agent != "" || l.Tool != "" || l.Session != "" {
		reads = append(reads, func(ctx context.Context) error { return s.readSingles(ctx, l, &snap) })
	}
	if err := together(ctx, reads); err != nil {
		return broker.Snapshot{}, err
	}
	snap.Markers = slices.Concat(snap.Markers, wide, ofServer)
	return snap, nil
}

func checkLookup(l broker.Lookup) error {
	if _, err := broker.ParseRoute(l.Route.Environment, l.Route.Server); err != nil {
		return err
	}
	for _, id := range []struct{ what, id string }{{"principal", l.Principal}, {"agent", l.Agent}, {"tool", l.Tool}, {"session", l.Session}} {
		if id.id == "" {
			continue
		}
		if err := broker.CheckID(id.what, id.id); err != nil {
			return err
		}
	}
	return nil
}

// together runs the reads side by side. The first fault ends the others and is
// the one reported.
func together(ctx context.Context, reads []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var once sync.Once
	var first error
	for _, read := range reads {
		all.Go(func() {
			if err := read(ctx); err != nil {
				once.Do(func() { first = err })
				cancel()
			}
		})
	}
	all.Wait()
	return first
}

func (s *DB) readEnvironment(ctx context.Context, l broker.Lookup, snap *broker.Snapshot) error {
	shard := s.shard()
	partition := environmentPartition(l.Route.Environment, shard)
	return s.query(ctx, "read the environment", s.tables.Catalogue, partition, func(sk string, a attributes) error {
		switch {
		case sk == "state":
			e, err := decodeEnvironment(shard)(a)
			snap.Environment = &e
			return err
		case strings.HasPrefix(sk, "store/"):
			v, err := decodeStore(shard)(a)
			snap.Stores = append(snap.Stores, v)
			return err
		}
		return fmt.Errorf("%w: its kind is unknown", broker.ErrUndecodable)
	})
}

func (s *DB) readServer(ctx context.Context, l broker.Lookup, snap *broker.Snapshot) error {
	return s.query(ctx, "read the server", s.tables.Catalogue, serverPartition(l.Route), func(sk string, a attributes) error {
		switch {
		case sk == "server":
			v, err := decodeServer(a)
			snap.Server = &v
			return err
		case strings.HasPrefix(sk, "binding/"):
			b, err := decodeCurrent(a)
			snap.Shared = append(snap.Shared, b)
			return err
		}
		return fmt.Errorf("%w: its kind is unknown", broker.ErrUndecodable)
	})
}

func (s *DB) readPersonal(ctx context.Context, l broker.Lookup, snap *broker.Snapshot) error {
	partition := personalPartition(l.Route, l.Principal)
	return s.query(ctx, "read the caller's bindings", s.tables.Catalogue, partition, func(_ string, a attributes) error {
		b, err := decodeCurrent(a)
		snap.Personal = append(snap.Personal, b)
		return err
	})
}

func (s *DB) readTools(ctx context.Context, l broker.Lookup, snap *broker.Snapshot) error {
	return s.query(ctx, "read the tools", s.tables.Catalogue, toolPartition(l.Route), func(_ string, a attributes) error {
		v, err := decodeTool(a)
		snap.Tools = append(snap.Tools, v)
		return err
	})
}

// readSingles reads agent, tool and markers in one batch.
func (s *DB) readSingles(ctx context.Context, l broker.Lookup, snap *broker.Snapshot) error {
	environment := l.Route.Environment
	agent, tool := agentKey(environment, l.Agent), toolKey(l.Route, l.Tool)
	want := map[string][]key{}
	if l.Agent != "" {
		want[s.tables.Catalogue] = append(want[s.tables.Catalogue], agent)
		want[s.tables.Revocations] = append(want[s.tables.Revocations], markerKey(environment, broker.MarkerKey{Kind: broker.AgentMarker, ID: l.Agent}))
	}
	if l.Tool != "" {
		want[s.tables.Catalogue] = append(want[s.tables.Catalogue], tool)
	}
	if l.Principal != "" {
		want[s.tables.Revocations] = append(want[s.tables.Revocations], markerKey(environment, broker.MarkerKey{Kind: broker.PrincipalMarker, ID: l.Principal}))
	}
	if l.Session != "" {
		want[s.tables.Revocations] = append(want[s.tables.Revocations], markerKey(environment, broker.MarkerKey{Kind: broker.SessionMarker, ID: l.Session}))
	}
	return s.batch(ctx, "read agent, tool and markers", want, func(k key, a attributes) error {
		switch {
		case k == agent:
			v, err := decodeAgent(a)
			snap.Agent = &v
			return err
		case k == tool:
			v, err := decodeTool(a)
			snap.Tool = &v
			return err
		case k.sk == "marker":
			m, err := decodeMarker(a)
			snap.Markers = append(snap.Markers, m)
			return err
		}
		return fmt.Errorf("%w: it was not asked for", broker.ErrUndecodable)
	})
}
