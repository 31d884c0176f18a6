package handler

import (
	"context"

	"bindery/shared/broker"
)

// Catalogue is a whole catalogue, or any part of one, as one document: what
// administrators have said, by names, and nothing that Bindery adds (versions,
// times, who proposed what). It never holds a secret.
type Catalogue struct {
	Environment *EnvironmentPart          `json:"environment,omitempty" doc:"Put last, so that what opens serves as the document says"`
	Stores      map[string]StoreBody      `json:"stores,omitempty" maxProperties:"1000" doc:"By name"`
	Providers   map[string]ProviderBody   `json:"providers,omitempty" maxProperties:"1000" doc:"By name"`
	Servers     map[string]ServerPart     `json:"servers,omitempty" maxProperties:"1000" doc:"By name"`
	Agents      map[string]AgentBody      `json:"agents,omitempty" maxProperties:"1000" doc:"By id"`
	Assignments map[string]AssignmentBody `json:"assignments,omitempty" maxProperties:"1000" doc:"By name"`
	PolicySets  *PolicySetsPart           `json:"policy_sets,omitempty" doc:"What is in force and what is tried out; absent: as it stands"`
	Partial     bool                      `json:"partial,omitempty" doc:"Said by an export: there is more than the caller may read. Ignored where it is sent"`
}

// ServerPart is a server with what belongs to it.
type ServerPart struct {
	ServerBody
	Tools    map[string]ToolBody    `json:"tools,omitempty" maxProperties:"1000" doc:"By name"`
	Bindings map[string]BindingBody `json:"bindings,omitempty" maxProperties:"1000" doc:"By name"`
}

// byName reports whether a member of a Catalogue holds objects by names: those of a Catalogue
// somebody gave, and may be spelled in any way.
func byName(member string) bool {
	switch member {
	case "stores", "providers", "servers", "agents", "assignments", "tools", "bindings":
		return true
	}
	return false
}

// standing is the catalogue as it stands, tombstones among it.
type standing struct {
	environment broker.Environment // Version 0: there is none
	stores      map[string]broker.Store
	providers   map[string]broker.Provider
	servers     map[string]broker.Server
	agents      map[string]broker.Agent
	assignments map[string]broker.Assignment
	stored      map[string]bool                   // ids of policy sets, of those that were asked for
	tools       map[string]map[string]broker.Tool // by server; only of those that were asked for
	bindings    map[string]map[string]broker.Binding
}

// standing reads the catalogue, and of the servers that are asked for what
// belongs to them.
func (h *Handler) standing(ctx context.Context, of func(server string) bool) (s standing, err error) {
	s.tools, s.bindings = map[string]map[string]broker.Tool{}, map[string]map[string]broker.Binding{}
	if s.environment, err = h.reader.Environment(ctx, h.environment); err != nil && !isMissing(err) {
		return s, err
	}
	if s.stores, err = h.storeList(ctx).named(); err != nil {
		return s, err
	}
	if s.providers, err = h.providerList(ctx).named(); err != nil {
		return s, err
	}
	if s.agents, err = h.agentList(ctx).named(); err != nil {
		return s, err
	}
	if s.assignments, err = h.assignmentList(ctx).named(); err != nil {
		return s, err
	}
	if s.servers, err = h.serverList(ctx).named(); err != nil {
		return s, err
	}
	for name, server := range s.servers {
		if !of(name) || server.State == broker.Deleted {
			continue
		}
		if s.tools[name], err = h.toolList(ctx, name).named(); err != nil {
			return s, err
		}
		if s.bindings[name], err = h.bindingList(ctx, name).named(); err != nil {
			return s, err
		}
	}
	return s, nil
}
