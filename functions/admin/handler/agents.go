package handler

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// AgentBody is what an administrator says of an agent.
type AgentBody struct {
	Team    string  `json:"team" minLength:"1" maxLength:"256" doc:"Owner team: a group name"`
	Ceiling string  `json:"ceiling" enum:"low,medium,high,critical" doc:"Highest risk of tool it may use"`
	Limits  *Limits `json:"limits,omitempty"`
	State   string  `json:"state" enum:"active,suspended"`
}

// AgentView is an agent as it is read.
type AgentView struct {
	ID          string `json:"id"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	Revoked     string `json:"revoked,omitempty" doc:"Case that has revoked it; said when it is read alone"`
	AgentBody
}

type AgentPath struct {
	Agent string `path:"agent" minLength:"1" maxLength:"256" doc:"<issuer name>:<client id>"`
}

func (h *Handler) agents() {
	huma.Register(h.api, operation("list-agents", http.MethodGet, "/agents", "List agents"), h.listAgents)
	huma.Register(h.api, operation("get-agent", http.MethodGet, "/agents/{agent}", "Read an agent", 404), h.getAgent)
	huma.Register(h.api, operation("put-agent", http.MethodPut, "/agents/{agent}", "Register or change an agent", 409, 412, 413, 415, 422, 428), h.putAgent)
	huma.Register(h.api, operation("delete-agent", http.MethodDelete, "/agents/{agent}", "Delete an agent; its id is never used again", 404, 409, 412, 413, 422, 428), h.deleteAgent)
}

func (h *Handler) listAgents(ctx context.Context, in *struct{ Page }) (*listing[AgentView], error) {
	if err := h.askList(ctx, "list-agents", admin.Object{Kind: agentKind}); err != nil {
		return nil, err
	}
	return listed(in.Page, h.agentList(ctx),
		func(a broker.Agent) (AgentView, bool) {
			return viewAgent(a), h.shows(ctx, a.State, agentObject(a.ID, a.Team))
		})
}

func agentObject(id, team string) admin.Object {
	return admin.Object{Kind: agentKind, Name: id, Owner: team}
}

func (h *Handler) getAgent(ctx context.Context, in *AgentPath) (*one[AgentView], error) {
	a, err := h.reader.Agent(ctx, h.environment, in.Agent)
	err = live(a.State, err)
	if asked := h.ask(ctx, "get-agent", agentObject(in.Agent, a.Team)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	view := viewAgent(a)
	if view.Revoked, err = h.stoppedBy(ctx, broker.AgentMarker, a.ID); err != nil {
		return nil, fault(err)
	}
	return &one[AgentView]{tag(a.Version), view}, nil
}

type putAgentInput struct {
	AgentPath
	Condition
	Body AgentBody
}

func (h *Handler) putAgent(ctx context.Context, in *putAgentInput) (*one[AgentView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.reader.Agent(ctx, h.environment, in.Agent)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	next := broker.Agent{Environment: h.environment, ID: in.Agent, Version: version, State: broker.State(in.Body.State), Team: in.Body.Team,
		Ceiling: riskOf(in.Body.Ceiling), Limits: in.Body.Limits.row()}
	on := agentObject(in.Agent, current.Team)
	needs := append([]admin.Need{put(current.Version > 0, on)}, stateNeeds(string(current.State), string(next.State), on)...)
	if current.Version > 0 && current.Team != next.Team {
		needs = append(needs, need(policy.SetOwner, on))
	}
	op := admin.Operation{ID: "put-agent", Needs: needs}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewAgent(current)), After: viewAgent(next), Dry: in.DryRun,
		Fault: cmp.Or(stale(ctx, version, current.Version, current.State), next.Check()),
		Apply: func(ctx context.Context) error { return h.registry.Writer.PutAgent(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[AgentView]{tag(next.Version), viewAgent(next)}, nil
}

func (h *Handler) deleteAgent(ctx context.Context, in *struct {
	AgentPath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.reader.Agent(ctx, h.environment, in.Agent)
	if err == nil {
		err = erasable(ctx, version, current.Version, current.State)
	}
	op := admin.Operation{ID: "delete-agent", Needs: []admin.Need{need(policy.Delete, agentObject(in.Agent, current.Team))}}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, op, viewAgent(current), in.DryRun, err, func(ctx context.Context) error { return h.registry.Writer.PutAgent(ctx, next) })
}

func viewAgent(a broker.Agent) AgentView {
	return AgentView{ID: a.ID, Environment: a.Environment, Version: a.Version,
		AgentBody: AgentBody{Team: a.Team, Ceiling: a.Ceiling.String(), Limits: viewLimits(a.Limits), State: string(a.State)}}
}

func riskOf(name string) broker.Risk {
	for r := broker.Low; r <= broker.Critical; r++ {
		if r.String() == name {
			return r
		}
	}
	return 0 // no enum lets this through
}

// live turns what was deleted into what is not there.
func live(state broker.State, err error) error {
	if err == nil && state == broker.Deleted {
		return broker.ErrNotFound
	}
	return err
}

func isMissing(err error) bool { return errors.Is(err, broker.ErrNotFound) }

// viewOf is the view of what was there, or nothing.
func viewOf(there bool, v any) any {
	if !there {
		return nil
	}
	return v
}
