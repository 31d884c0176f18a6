package handler

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// EnvironmentBody opens or closes the deployed environment, and says which
// policies are in force.
type EnvironmentBody struct {
	State    string `json:"state" enum:"active,suspended" doc:"Only an active environment serves calls"`
	Policies string `json:"policies" pattern:"^([0-9a-f]{64})?$" doc:"Id of the policy set in force; empty: none"`
	Shadow   string `json:"shadow" pattern:"^([0-9a-f]{64})?$" doc:"Id of a policy set that is tried out: what it would have done is recorded; empty: none"`
}

// EnvironmentView is the deployed environment as it is read.
type EnvironmentView struct {
	Name    string `json:"name"`
	Version int64  `json:"version"`
	EnvironmentBody
}

func (h *Handler) environments() {
	huma.Register(h.api, operation("get-environment", http.MethodGet, "/environment", "Read whether the environment serves calls, and under which policies", 404), h.getEnvironment)
	huma.Register(h.api, operation("put-environment", http.MethodPut, "/environment", "Open or close the environment, and put policies into force: a fresh deployment serves nothing until it is opened", 409, 412, 413, 415, 422, 428), h.putEnvironment)
}

func (h *Handler) environmentObject() admin.Object {
	return admin.Object{Kind: string(policy.EnvironmentKind), Name: h.environment}
}

func (h *Handler) getEnvironment(ctx context.Context, _ *struct{}) (*one[EnvironmentView], error) {
	e, err := h.reader.Environment(ctx, h.environment)
	if asked := h.ask(ctx, "get-environment", h.environmentObject()); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &one[EnvironmentView]{tag(e.Version), viewEnvironment(e)}, nil
}

type putEnvironmentInput struct {
	Condition
	Body EnvironmentBody
}

func (h *Handler) putEnvironment(ctx context.Context, in *putEnvironmentInput) (*one[EnvironmentView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.reader.Environment(ctx, h.environment)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	next := broker.Environment{Name: h.environment, Version: version, State: broker.State(in.Body.State), Policies: in.Body.Policies, Shadow: in.Body.Shadow}
	on := h.environmentObject()
	needs := append([]admin.Need{put(current.Version > 0, on)}, stateNeeds(string(current.State), string(next.State), on)...)
	for _, change := range [][2]string{{current.Policies, next.Policies}, {current.Shadow, next.Shadow}} {
		if change[0] != change[1] {
			needs = append(needs, need(policy.Put, policyObject(change[1])))
		}
	}
	wrong := stale(ctx, version, current.Version, current.State)
	if wrong == nil && h.permits(ctx, needs) {
		wrong = h.activatable(ctx, current, next)
	}
	err = h.desk.Change(ctx, callerOf(ctx), admin.Operation{ID: "put-environment", Needs: needs}, admin.Change{
		Before: viewOf(current.Version > 0, viewEnvironment(current)), After: viewEnvironment(next), Dry: in.DryRun,
		Fault: wrong,
		Apply: func(ctx context.Context) error { return h.registry.Writer.PutEnvironment(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[EnvironmentView]{tag(next.Version), viewEnvironment(next)}, nil
}

func viewEnvironment(e broker.Environment) EnvironmentView {
	return EnvironmentView{Name: e.Name, Version: e.Version, EnvironmentBody: EnvironmentBody{State: string(e.State), Policies: e.Policies, Shadow: e.Shadow}}
}
