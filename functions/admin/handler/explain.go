package handler

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// Question is a call that nobody makes: who would use what.
type Question struct {
	Server     string      `json:"server" pattern:"^[a-z0-9-]{1,40}$"`
	Principal  string      `json:"principal" minLength:"1" maxLength:"256" doc:"As in the audit records"`
	Kind       string      `json:"kind" enum:"user,workload"`
	Groups     []string    `json:"groups,omitempty" maxItems:"256" doc:"Groups are not stored: say those of the token"`
	Attributes []Attribute `json:"attributes,omitempty" maxItems:"64" doc:"Verified claims of a workload"`
	Agent      string      `json:"agent,omitempty" maxLength:"256"`
	AgentOnly  bool        `json:"agent_only,omitempty" doc:"The agent calls for itself"`
	Action     string      `json:"action" enum:"call_tool,get_prompt,read_resource,list,initialize"`
	Target     string      `json:"target,omitempty" maxLength:"4096" doc:"Tool or prompt name, or resource URI"`
	Binding    string      `json:"binding,omitempty" maxLength:"40" doc:"The binding that the caller names"`
}

// Explanation is what the decision would be.
type Explanation struct {
	Allowed    bool        `json:"allowed"`
	Reason     string      `json:"reason,omitempty" doc:"Why not, in the word of the audit record"`
	Binding    string      `json:"binding,omitempty" doc:"The binding that would be used, or that refuses"`
	Version    int64       `json:"version,omitempty"`
	Candidates []Candidate `json:"candidates" doc:"Bindings that cover the call, best first"`
}

// Candidate is a binding that covers the call, whatever its state.
type Candidate struct {
	Binding string `json:"binding"`
	Version int64  `json:"version"`
	Rank    string `json:"rank"`
	State   string `json:"state"`
}

func (h *Handler) explanations() {
	huma.Register(h.api, operation("explain", http.MethodPost, "/explain", "Say which binding would serve a call, or why none", 413, 415, 422), h.explain)
	huma.Register(h.api, operation("list-own-bindings", http.MethodGet, "/servers/{server}/own-bindings", "The names of my own bindings at a server"), h.ownBindings)
}

func (h *Handler) explain(ctx context.Context, in *struct{ Body Question }) (*struct{ Body Explanation }, error) {
	q := in.Body
	server, err := h.liveServer(ctx, q.Server)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	on := serverObject(q.Server, server.Owner)
	if err := h.desk.Read(ctx, callerOf(ctx), admin.Operation{ID: "explain", Needs: []admin.Need{need(policy.Explain, on)}}); err != nil {
		return nil, fault(err)
	}
	out := &struct{ Body Explanation }{}
	attributes := map[string]string{}
	for _, a := range q.Attributes {
		attributes[a.Name] = a.Value
	}
	d, err := h.judge.Explain(ctx, broker.Call{Receipt: callerOf(ctx).Receipt, Route: h.route(q.Server), Action: broker.Action(q.Action), Target: q.Target, BindingName: q.Binding,
		Principal: broker.Principal{ID: q.Principal, Kind: broker.Kind(q.Kind), Groups: q.Groups, Attributes: attributes, Agent: q.Agent, AgentOnly: q.AgentOnly}})
	var refusal *broker.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == broker.CatalogueUnread:
		return nil, fault(broker.ErrUnavailable)
	case errors.As(err, &refusal):
		out.Body.Reason = string(refusal.Reason)
	case err != nil:
		return nil, fault(err)
	default:
		out.Body.Allowed = true
	}
	out.Body.Binding, out.Body.Version, out.Body.Candidates = d.Binding.Name, d.Binding.Version, []Candidate{}
	for _, c := range d.Candidates {
		out.Body.Candidates = append(out.Body.Candidates, Candidate{c.Binding, c.Version, c.Rank, string(c.State)})
	}
	return out, nil
}

// Names is a list of names.
type Names struct {
	Items []string `json:"items"`
}

// ownBindings needs no role: it names what covers the caller itself, and no more.
func (h *Handler) ownBindings(ctx context.Context, in *ServerPath) (*struct{ Body Names }, error) {
	c := callerOf(ctx)
	if err := h.askList(ctx, "list-own-bindings", admin.Object{Kind: bindingKind, Server: in.Server}); err != nil {
		return nil, err
	}
	d, err := h.judge.Explain(ctx, broker.Call{Receipt: c.Receipt, Route: h.route(in.Server), Action: broker.List, Principal: c.Principal})
	var refusal *broker.Refusal
	if err != nil && (!errors.As(err, &refusal) || refusal.Reason == broker.CatalogueUnread) {
		return nil, fault(broker.ErrUnavailable)
	}
	out := &struct{ Body Names }{Names{Items: []string{}}}
	for _, candidate := range d.Candidates {
		out.Body.Items = append(out.Body.Items, candidate.Binding)
	}
	return out, nil
}
