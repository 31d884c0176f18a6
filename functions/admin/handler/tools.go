package handler

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// ToolBody is what an administrator says of a tool.
type ToolBody struct {
	Owner string   `json:"owner" minLength:"1" maxLength:"256"`
	Risk  string   `json:"risk" enum:"low,medium,high,critical"`
	Teams []string `json:"teams,omitempty" maxItems:"64" doc:"Teams whose agents may use it in mode agent_scoped"`
	State string   `json:"state" enum:"active,suspended"`
}

// ToolView is a tool as it is read.
type ToolView struct {
	Name    string `json:"name"`
	Server  string `json:"server"`
	Version int64  `json:"version"`
	ToolBody
}

type ToolPath struct {
	ServerPath
	Tool string `path:"tool" minLength:"1" maxLength:"256"`
}

func toolObject(in ToolPath, server broker.Server) admin.Object {
	return admin.Object{Kind: toolKind, Server: in.Server, Name: in.Tool, Owner: server.Owner}
}

func (h *Handler) tools() {
	huma.Register(h.api, operation("list-tools", http.MethodGet, "/servers/{server}/tools", "List a server's tools", 404), h.listTools)
	huma.Register(h.api, operation("get-tool", http.MethodGet, "/servers/{server}/tools/{tool}", "Read a tool", 404), h.getTool)
	huma.Register(h.api, operation("put-tool", http.MethodPut, "/servers/{server}/tools/{tool}", "Register or change a tool", 404, 409, 412, 413, 415, 422, 428), h.putTool)
	huma.Register(h.api, operation("delete-tool", http.MethodDelete, "/servers/{server}/tools/{tool}", "Delete what is said of a tool, for ever: it counts as critical and nobody's from then on", 404, 409, 412, 413, 422, 428), h.deleteTool)
}

func (h *Handler) listTools(ctx context.Context, in *struct {
	ServerPath
	Page
}) (*listing[ToolView], error) {
	server, err := h.liveServer(ctx, in.Server)
	if asked := h.ask(ctx, "list-tools", serverObject(in.Server, server.Owner)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return listed(in.Page, h.toolList(ctx, in.Server),
		func(t broker.Tool) (ToolView, bool) { return viewTool(t), t.State != broker.Deleted })
}

func (h *Handler) getTool(ctx context.Context, in *ToolPath) (*one[ToolView], error) {
	server, err := h.liveServer(ctx, in.Server)
	var t broker.Tool
	if err == nil {
		t, err = h.reader.Tool(ctx, h.route(in.Server), in.Tool)
		err = live(t.State, err)
	}
	if asked := h.ask(ctx, "get-tool", toolObject(*in, server)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &one[ToolView]{tag(t.Version), viewTool(t)}, nil
}

type putToolInput struct {
	ToolPath
	Condition
	Body ToolBody
}

func (h *Handler) putTool(ctx context.Context, in *putToolInput) (*one[ToolView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	server, missing := h.liveServer(ctx, in.Server)
	current, err := h.reader.Tool(ctx, h.route(in.Server), in.Tool)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	next := broker.Tool{Environment: h.environment, Server: in.Server, Name: in.Tool, Version: version, State: broker.State(in.Body.State),
		Owner: in.Body.Owner, Risk: riskOf(in.Body.Risk), Teams: in.Body.Teams}
	on := toolObject(in.ToolPath, server)
	needs := append([]admin.Need{put(current.Version > 0, on)}, stateNeeds(string(current.State), string(next.State), on)...)
	op := admin.Operation{ID: "put-tool", Needs: needs}
	if missing == nil {
		missing = cmp.Or(stale(ctx, version, current.Version, current.State), next.Check())
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewTool(current)), After: viewTool(next), Dry: in.DryRun, Fault: missing,
		Apply: func(ctx context.Context) error { return h.registry.Writer.PutTool(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[ToolView]{tag(next.Version), viewTool(next)}, nil
}

func (h *Handler) deleteTool(ctx context.Context, in *struct {
	ToolPath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	server, err := h.liveServer(ctx, in.Server)
	var current broker.Tool
	if err == nil {
		if current, err = h.reader.Tool(ctx, h.route(in.Server), in.Tool); err == nil {
			err = erasable(ctx, version, current.Version, current.State)
		}
	}
	on := toolObject(in.ToolPath, server)
	op := admin.Operation{ID: "delete-tool", Needs: []admin.Need{need(policy.Delete, on)}}
	if current.State == broker.Suspended { // a tool that was stopped refuses; one without a record need not
		op.Needs = append(op.Needs, need(policy.Resume, on))
	}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, op, viewTool(current), in.DryRun, err, func(ctx context.Context) error { return h.registry.Writer.PutTool(ctx, next) })
}

func viewTool(t broker.Tool) ToolView {
	return ToolView{Name: t.Name, Server: t.Server, Version: t.Version,
		ToolBody: ToolBody{Owner: t.Owner, Risk: t.Risk.String(), Teams: t.Teams, State: string(t.State)}}
}
