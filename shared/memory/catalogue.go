package memory

import (
	"context"
	"time"

	"bindery/shared/broker"
)

// Snapshot implements broker.Catalogue.
func (s *DB) Snapshot(ctx context.Context, l broker.Lookup) (broker.Snapshot, error) {
	if err := checkLookup(l); err != nil {
		return broker.Snapshot{}, err
	}
	var snap broker.Snapshot
	err := s.do(ctx, Snapshot, func() error {
		environment := l.Route.Environment
		snap = broker.Snapshot{
			Environment: s.environments[environment],
			Stores:      s.stores[environment],
			Server:      s.servers[l.Route],
			Shared:      s.shared[l.Route],
			Personal:    s.personal[personalKey{l.Route, l.Principal}],
			Agent:       s.agents[idKey{environment, l.Agent}],
		}
		tools := s.tools[l.Route]
		if at, found := find(tools, l.Tool, toolName); found {
			snap.Tool = &tools[at]
		}
		if l.Tools {
			snap.Tools = tools
		}
		snap.Markers = s.markersOf(l)
		return nil
	})
	if err != nil {
		return broker.Snapshot{}, err
	}
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

// PutEnvironment implements broker.CatalogueWriter.
func (s *DB) PutEnvironment(ctx context.Context, e broker.Environment) error {
	if err := e.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutEnvironment, func() error {
		expected := e.Version
		e.Version++
		return replace(s.environments, e.Name, e, func(now *broker.Environment) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

// PutStore implements broker.CatalogueWriter.
func (s *DB) PutStore(ctx context.Context, v broker.Store) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutStore, func() error {
		expected := v.Version
		v.Version++
		v.Paths, v.Networks = clone(v.Paths), clone(v.Networks)
		return replaceListed(s.stores, v.Environment, v.Name, storeName, v, func(now *broker.Store) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

func storeName(v broker.Store) string { return v.Name }

// PutServer implements broker.CatalogueWriter.
func (s *DB) PutServer(ctx context.Context, v broker.Server) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutServer, func() error {
		expected := v.Version
		v.Version++
		v.Attach, v.Propagate, v.Networks = clone(v.Attach), clone(v.Propagate), clone(v.Networks)
		return replace(s.servers, broker.Route{Environment: v.Environment, Server: v.Name}, v, func(now *broker.Server) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

// PutAgent implements broker.CatalogueWriter.
func (s *DB) PutAgent(ctx context.Context, v broker.Agent) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutAgent, func() error {
		expected := v.Version
		v.Version++
		return replace(s.agents, idKey{v.Environment, v.ID}, v, func(now *broker.Agent) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

// PutTool implements broker.CatalogueWriter.
func (s *DB) PutTool(ctx context.Context, v broker.Tool) error {
	if err := v.Check(); err != nil {
		return err
	}
	return s.do(ctx, PutTool, func() error {
		expected := v.Version
		v.Version++
		v.Teams = clone(v.Teams)
		at := broker.Route{Environment: v.Environment, Server: v.Server}
		return replaceListed(s.tools, at, v.Name, toolName, v, func(now *broker.Tool) bool {
			return now == nil && expected == 0 || now != nil && follows(now.Version, now.State, expected)
		})
	})
}

func toolName(v broker.Tool) string { return v.Name }

// clone copies a list; an empty one becomes nil, as it is read from a table.
func clone[T any](list []T) []T { return append([]T(nil), list...) }

// plain is a time as it is read from a table: UTC, nothing monotonic.
func plain(t time.Time) time.Time { return t.Round(0).UTC() }
