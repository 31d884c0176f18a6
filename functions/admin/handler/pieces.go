package handler

import (
	"context"
	"fmt"
	"slices"

	"bindery/shared/admin"
	"bindery/shared/broker"
)

// piece is one object of a document: how it stands, how it is to be, and the
// operation that puts it.
type piece struct {
	on      admin.Object
	current any      // its body as it stands; nil: there is none
	next    any      // its body as it is to be, in the words of the body that is read back
	version int64    // that stands
	fault   error    // of the document
	after   []string // objects that have to be there before, by their paths
	only    string   // the object without which this one is not tried; empty: its own operation says
	put     func(context.Context, Condition) error
}

// dismantle gives the objects of a document in the order in which they are put:
// each after what it needs, and the environment last.
func (h *Handler) dismantle(ctx context.Context, c Catalogue, s standing) []piece {
	var pieces []piece
	for _, name := range sortedKeys(c.Stores) {
		pieces = append(pieces, h.storePiece(name, c.Stores[name], s.stores[name]))
	}
	for _, name := range sortedKeys(c.Providers) {
		pieces = append(pieces, h.providerPiece(name, c.Providers[name], s.providers[name]))
	}
	for _, name := range sortedKeys(c.Servers) {
		pieces = append(pieces, h.serverPiece(name, c.Servers[name].ServerBody, s.servers[name]))
	}
	for _, server := range sortedKeys(c.Servers) {
		for _, name := range sortedKeys(c.Servers[server].Tools) {
			pieces = append(pieces, h.toolPiece(ToolPath{ServerPath{server}, name}, c.Servers[server].Tools[name], s))
		}
	}
	for _, id := range sortedKeys(c.Agents) {
		pieces = append(pieces, h.agentPiece(id, c.Agents[id], s.agents[id]))
	}
	for _, name := range sortedKeys(c.Assignments) {
		pieces = append(pieces, h.assignmentPiece(ctx, name, c.Assignments[name], s.assignments[name]))
	}
	sets, environment := h.policyPieces(c, s)
	pieces = append(pieces, sets...)
	for _, server := range sortedKeys(c.Servers) {
		for _, name := range sortedKeys(c.Servers[server].Bindings) {
			pieces = append(pieces, h.bindingPiece(BindingPath{ServerPath{server}, name}, c.Servers[server].Bindings[name], s))
		}
	}
	return append(pieces, environment...)
}

// body is a body as it is read back, or nothing where there is no row.
func body(there bool, state broker.State, b any) any {
	if !there || state == broker.Deleted {
		return nil
	}
	return b
}

func (h *Handler) storePiece(name string, b StoreBody, row broker.Store) piece {
	next, err := b.row(h.environment, name, 0)
	return piece{on: storeObject(name), version: row.Version, fault: err,
		current: body(row.Version > 0, row.State, viewStore(row).StoreBody), next: viewStore(next).StoreBody,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putStore(ctx, &putStoreInput{StorePath{name}, c, b})
			return err
		}}
}

func (h *Handler) providerPiece(name string, b ProviderBody, row broker.Provider) piece {
	next, err := b.row(h.environment, name, 0)
	p := piece{on: providerObject(name), version: row.Version, fault: err,
		current: body(row.Version > 0, row.State, viewProvider(row).ProviderBody), next: viewProvider(next).ProviderBody,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putProvider(ctx, &putProviderInput{ProviderPath{name}, c, b})
			return err
		}}
	if !next.ClientSecret.IsZero() {
		p.after = []string{storeObject(next.ClientSecret.Scheme()).Path()}
	}
	return p
}

func (h *Handler) serverPiece(name string, b ServerBody, row broker.Server) piece {
	next, err := b.row(h.environment, name, 0)
	return piece{on: serverObject(name, row.Owner), version: row.Version, fault: err,
		current: body(row.Version > 0, row.State, viewServer(row).ServerBody), next: viewServer(next).ServerBody,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putServer(ctx, &putServerInput{ServerPath{name}, c, b})
			return err
		}}
}

func (h *Handler) toolPiece(in ToolPath, b ToolBody, s standing) piece {
	row, server := s.tools[in.Server][in.Tool], s.servers[in.Server]
	return piece{on: toolObject(in, server), version: row.Version, after: []string{serverObject(in.Server, "").Path()},
		current: body(row.Version > 0, row.State, viewTool(row).ToolBody), next: b,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putTool(ctx, &putToolInput{in, c, b})
			return err
		}}
}

func (h *Handler) agentPiece(id string, b AgentBody, row broker.Agent) piece {
	next := b
	next.Limits = viewLimits(b.Limits.row())
	return piece{on: agentObject(id, row.Team), version: row.Version,
		current: body(row.Version > 0, row.State, viewAgent(row).AgentBody), next: next,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putAgent(ctx, &putAgentInput{AgentPath{id}, c, b})
			return err
		}}
}

func (h *Handler) assignmentPiece(ctx context.Context, name string, b AssignmentBody, row broker.Assignment) piece {
	return piece{on: assignmentObject(ctx, name, row), version: row.Version, after: []string{storeObject(b.Store).Path()},
		current: body(row.Version > 0, row.State, viewAssignment(row).AssignmentBody), next: b,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putAssignment(ctx, &putAssignmentInput{AssignmentPath{name}, c, b})
			return err
		}}
}

func (h *Handler) bindingPiece(in BindingPath, b BindingBody, s standing) piece {
	row, server := s.bindings[in.Server][in.Binding], s.servers[in.Server]
	next, err := b.row(h.environment, in.Server, in.Binding, 0)
	return piece{on: bindingObject(in, server), version: row.Version, fault: err, after: []string{serverObject(in.Server, "").Path(), providerObject(b.Provider).Path()},
		current: body(row.Version > 0, row.State, viewBinding(row, server).BindingBody), next: viewBinding(next, server).BindingBody,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putBinding(ctx, &putBindingInput{in, c, b})
			return err
		}}
}

func (h *Handler) environmentPiece(b EnvironmentBody, row broker.Environment) piece {
	return piece{on: h.environmentObject(), version: row.Version,
		current: body(row.Version > 0, row.State, viewEnvironment(row).EnvironmentBody), next: b,
		put: func(ctx context.Context, c Condition) error {
			_, err := h.putEnvironment(ctx, &putEnvironmentInput{c, b})
			return err
		}}
}

// nameable refuses a document with names that no object can have, or with more
// objects than one request may put.
func (c Catalogue) nameable() error {
	count := len(c.Stores) + len(c.Providers) + len(c.Servers) + len(c.Agents) + len(c.Assignments)
	names := slices.Concat(sortedKeys(c.Stores), sortedKeys(c.Providers), sortedKeys(c.Servers), sortedKeys(c.Assignments))
	ids := sortedKeys(c.Agents)
	for _, server := range c.Servers {
		count += len(server.Tools) + len(server.Bindings)
		names = append(names, sortedKeys(server.Bindings)...)
		ids = append(ids, sortedKeys(server.Tools)...)
	}
	if count > maxObjects {
		return fmt.Errorf("%w document: it has more than %d objects: apply it in parts", broker.ErrInvalid, maxObjects)
	}
	for _, name := range names {
		if err := broker.CheckName("name of a store, provider, server, assignment or binding", name); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := broker.CheckID("agent or tool", id); err != nil {
			return err
		}
	}
	return nil
}
