package memory

import (
	"cmp"
	"context"
	"slices"

	"bindery/shared/broker"
)

// one gives the row that find finds.
func one[V any](ctx context.Context, s *DB, op Op, invalid error, find func() *V) (V, error) {
	var none V
	if invalid != nil {
		return none, invalid
	}
	var found *V
	err := s.do(ctx, op, func() error {
		if found = find(); found == nil {
			return broker.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return none, err
	}
	return *found, nil
}

// page gives one page of the rows that all gathers, in order of their names.
func page[V any](ctx context.Context, s *DB, op Op, invalid error, p broker.Page, nameOf func(V) string, all func() []V) ([]V, error) {
	if err := cmp.Or(invalid, p.Check()); err != nil {
		return nil, err
	}
	var found []V
	err := s.do(ctx, op, func() error {
		for _, v := range all() {
			if nameOf(v) > p.After {
				found = append(found, v)
			}
		}
		slices.SortFunc(found, func(a, b V) int { return cmp.Compare(nameOf(a), nameOf(b)) })
		found = found[:min(p.Limit, len(found))]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func checkRoute(r broker.Route) error {
	_, err := broker.ParseRoute(r.Environment, r.Server)
	return err
}

// Environment implements broker.CatalogueReader.
func (s *DB) Environment(ctx context.Context, name string) (broker.Environment, error) {
	return one(ctx, s, ReadEnvironment, broker.CheckName("environment", name), func() *broker.Environment { return s.environments[name] })
}

// Store implements broker.CatalogueReader.
func (s *DB) Store(ctx context.Context, environment, name string) (broker.Store, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("store", name))
	return one(ctx, s, ReadStore, invalid, func() *broker.Store { return listed(s.stores[environment], name, storeName) })
}

// Server implements broker.CatalogueReader.
func (s *DB) Server(ctx context.Context, r broker.Route) (broker.Server, error) {
	return one(ctx, s, ReadServer, checkRoute(r), func() *broker.Server { return s.servers[r] })
}

// Agent implements broker.CatalogueReader.
func (s *DB) Agent(ctx context.Context, environment, id string) (broker.Agent, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("agent", id))
	return one(ctx, s, ReadAgent, invalid, func() *broker.Agent { return s.agents[idKey{environment, id}] })
}

// Tool implements broker.CatalogueReader.
func (s *DB) Tool(ctx context.Context, r broker.Route, name string) (broker.Tool, error) {
	invalid := cmp.Or(checkRoute(r), broker.CheckID("tool", name))
	return one(ctx, s, ReadTool, invalid, func() *broker.Tool { return listed(s.tools[r], name, toolName) })
}

// Binding implements broker.CatalogueReader.
func (s *DB) Binding(ctx context.Context, r broker.Route, name string) (broker.Binding, error) {
	invalid := cmp.Or(checkRoute(r), broker.CheckName("binding", name))
	return one(ctx, s, ReadBinding, invalid, func() *broker.Binding {
		versions := s.versions[bindingKey{r, name}]
		if len(versions) == 0 {
			return nil
		}
		return &versions[len(versions)-1]
	})
}

func listed[V any](list []V, name string, nameOf func(V) string) *V {
	if at, found := find(list, name, nameOf); found {
		return &list[at]
	}
	return nil
}

// Stores implements broker.CatalogueReader.
func (s *DB) Stores(ctx context.Context, environment string, p broker.Page) ([]broker.Store, error) {
	return page(ctx, s, ListStores, broker.CheckName("environment", environment), p, storeName, func() []broker.Store { return s.stores[environment] })
}

// Servers implements broker.CatalogueReader.
func (s *DB) Servers(ctx context.Context, environment string, p broker.Page) ([]broker.Server, error) {
	name := func(v broker.Server) string { return v.Name }
	return page(ctx, s, ListServers, broker.CheckName("environment", environment), p, name, func() (all []broker.Server) {
		for at, v := range s.servers {
			if at.Environment == environment {
				all = append(all, *v)
			}
		}
		return all
	})
}

// Agents implements broker.CatalogueReader.
func (s *DB) Agents(ctx context.Context, environment string, p broker.Page) ([]broker.Agent, error) {
	id := func(v broker.Agent) string { return v.ID }
	return page(ctx, s, ListAgents, broker.CheckName("environment", environment), p, id, func() (all []broker.Agent) {
		for at, v := range s.agents {
			if at.environment == environment {
				all = append(all, *v)
			}
		}
		return all
	})
}

// Tools implements broker.CatalogueReader.
func (s *DB) Tools(ctx context.Context, r broker.Route, p broker.Page) ([]broker.Tool, error) {
	return page(ctx, s, ListTools, checkRoute(r), p, toolName, func() []broker.Tool { return s.tools[r] })
}

// Bindings implements broker.CatalogueReader.
func (s *DB) Bindings(ctx context.Context, r broker.Route, p broker.Page) ([]broker.Binding, error) {
	name := func(v broker.Binding) string { return v.Name }
	return page(ctx, s, ListBindings, checkRoute(r), p, name, func() (all []broker.Binding) {
		for at, versions := range s.versions {
			if at.Route == r {
				all = append(all, versions[len(versions)-1])
			}
		}
		return all
	})
}
