package handler

import (
	"context"
	"iter"

	"bindery/shared/broker"
)

// list is a list of the catalogue, of any length.
type list[R any] struct {
	read func(broker.Page) ([]R, error)
	name func(R) string
}

// after gives the rows after a name, in the list's order, read as they are asked for.
func (l list[R]) after(name string) iter.Seq2[R, error] {
	return broker.Rows(name, l.read, l.name)
}

// all reads every row of a list.
func (l list[R]) all() (rows []R, err error) {
	for r, err := range l.after("") {
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// named reads every row of a list, by its name.
func (l list[R]) named() (map[string]R, error) {
	rows, err := l.all()
	found := map[string]R{}
	for _, r := range rows {
		found[l.name(r)] = r
	}
	return found, err
}

func (h *Handler) storeList(ctx context.Context) list[broker.Store] {
	return list[broker.Store]{func(p broker.Page) ([]broker.Store, error) { return h.reader.Stores(ctx, h.environment, p) },
		func(s broker.Store) string { return s.Name }}
}

func (h *Handler) providerList(ctx context.Context) list[broker.Provider] {
	return list[broker.Provider]{func(p broker.Page) ([]broker.Provider, error) { return h.providers.Providers(ctx, h.environment, p) },
		func(p broker.Provider) string { return p.Name }}
}

func (h *Handler) serverList(ctx context.Context) list[broker.Server] {
	return list[broker.Server]{func(p broker.Page) ([]broker.Server, error) { return h.reader.Servers(ctx, h.environment, p) },
		func(s broker.Server) string { return s.Name }}
}

func (h *Handler) toolList(ctx context.Context, server string) list[broker.Tool] {
	return list[broker.Tool]{func(p broker.Page) ([]broker.Tool, error) { return h.reader.Tools(ctx, h.route(server), p) },
		func(t broker.Tool) string { return t.Name }}
}

func (h *Handler) bindingList(ctx context.Context, server string) list[broker.Binding] {
	return list[broker.Binding]{func(p broker.Page) ([]broker.Binding, error) { return h.reader.Bindings(ctx, h.route(server), p) },
		func(b broker.Binding) string { return b.Name }}
}

func (h *Handler) agentList(ctx context.Context) list[broker.Agent] {
	return list[broker.Agent]{func(p broker.Page) ([]broker.Agent, error) { return h.reader.Agents(ctx, h.environment, p) },
		func(a broker.Agent) string { return a.ID }}
}

func (h *Handler) assignmentList(ctx context.Context) list[broker.Assignment] {
	return list[broker.Assignment]{func(p broker.Page) ([]broker.Assignment, error) {
		return h.assignments.Assignments(ctx, h.environment, p)
	},
		func(a broker.Assignment) string { return a.Name }}
}

func (h *Handler) policySetList(ctx context.Context) list[broker.PolicySet] {
	return list[broker.PolicySet]{func(p broker.Page) ([]broker.PolicySet, error) { return h.sets.PolicySetNames(ctx, h.environment, p) },
		func(s broker.PolicySet) string { return s.ID }}
}
