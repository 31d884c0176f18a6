package handler

import (
	"cmp"
	"context"
	"encoding/json"
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
	Principal  string      `json:"principal" minLength:"1" maxLength:"256" doc:"Id (p-...), as in audit records"`
	Kind       string      `json:"kind" enum:"user,workload"`
	Groups     []string    `json:"groups,omitempty" maxItems:"256" doc:"Groups are not stored: say those of the token"`
	Attributes []Attribute `json:"attributes,omitempty" maxItems:"64" doc:"Verified claims of a workload"`
	Agent      string      `json:"agent,omitempty" maxLength:"256"`
	AgentOnly  bool        `json:"agent_only,omitempty" doc:"The agent calls for itself"`
	Action     string      `json:"action" enum:"call_tool,get_prompt,read_resource,list,initialize"`
	Target     string      `json:"target,omitempty" maxLength:"4096" doc:"Tool or prompt name, or resource URI"`
	Binding    string      `json:"binding,omitempty" maxLength:"40" doc:"The binding that the caller names"`
	Arguments  *Arguments  `json:"arguments,omitempty" doc:"Of call_tool and get_prompt: what policies see of them"`
}

// argumentsName is the member whose keys may be spelled as they like.
const argumentsName = "arguments"

// Arguments is the JSON object with which a tool or prompt is called, as it was
// sent.
type Arguments struct{ json.RawMessage }

// Schema is huma's.
func (Arguments) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

func (a *Arguments) bytes() []byte {
	if a == nil {
		return nil
	}
	return a.RawMessage
}

// Explanation is what the decision would be.
type Explanation struct {
	Allowed    bool        `json:"allowed"`
	Reason     string      `json:"reason,omitempty" doc:"Why not, in the word of the audit record"`
	Binding    string      `json:"binding,omitempty" doc:"The binding that would be used, or that refuses"`
	Version    int64       `json:"version,omitempty"`
	Candidates []Candidate `json:"candidates" doc:"Bindings that cover the call, best first"`
	PolicySet  string      `json:"policy_set,omitempty" doc:"Id of the policies that were asked"`
	Policies   []string    `json:"policies,omitempty" doc:"Those of them that decided"`
	Faulty     []string    `json:"could_not_be_evaluated,omitempty" doc:"Those that forbid because the call cannot be judged by them: arguments that cannot be read, a member that is missing"`
	Shadow     *Shadow     `json:"shadow,omitempty" doc:"What the policies that are tried out would have done"`
	Missing    []string    `json:"missing,omitempty" doc:"What would have to be there for the call to be allowed"`
}

// Shadow is what a policy set that is only tried out would have done.
type Shadow struct {
	PolicySet string   `json:"policy_set"`
	Effect    string   `json:"effect" enum:"none,forbid,approval,unreadable"`
	Policies  []string `json:"policies,omitempty"`
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
	if err := broker.CheckPrincipal(q.Principal); err != nil {
		return nil, fault(err)
	}
	out := &struct{ Body Explanation }{}
	attributes := map[string]string{}
	for _, a := range q.Attributes {
		attributes[a.Name] = a.Value
	}
	d, err := h.judge.Explain(ctx, broker.Call{Receipt: callerOf(ctx).Receipt, Route: h.route(q.Server), Action: broker.Action(q.Action), Target: q.Target, BindingName: q.Binding, Arguments: q.Arguments.bytes(),
		Principal: broker.Principal{ID: q.Principal, Kind: broker.Kind(q.Kind), Groups: q.Groups, Attributes: attributes, Agent: q.Agent, AgentOnly: q.AgentOnly}})
	var refusal *broker.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == broker.CatalogueUnread:
		return nil, fault(broker.ErrUnavailable)
	case errors.As(err, &refusal):
		out.Body.Reason, out.Body.Missing = string(refusal.Reason), missingFor(refusal.Reason, server)
	case err != nil:
		return nil, fault(err)
	default:
		out.Body.Allowed = true
	}
	out.Body.Binding, out.Body.Version, out.Body.Candidates = d.Binding.Name, d.Binding.Version, []Candidate{}
	for _, c := range d.Candidates {
		out.Body.Candidates = append(out.Body.Candidates, Candidate{c.Binding, c.Version, c.Rank, string(c.State)})
	}
	if out.Body.Policies, out.Body.Faulty = d.Policies, d.Faulty; d.Policy != "none" {
		out.Body.PolicySet = d.Policy
	}
	if s := d.Shadow; s != nil {
		out.Body.Shadow = &Shadow{s.Set, cmp.Or(s.Effect, "none"), s.Policies}
	}
	return out, nil
}

// missingFor says what would have to be there for a call that is refused. The
// server is the one that was asked about.
func missingFor(r broker.Reason, server broker.Server) []string {
	if r == broker.ServerClosed && server.Proposer != "" {
		return []string{lacksApproval}
	}
	if s, known := map[broker.Reason]string{
		broker.EnvironmentClosed: lacksEnvironment,
		broker.ServerUnknown:     "a server of this name",
		broker.ServerClosed:      lacksResumption,
		broker.PrincipalRevoked:  "the principal's access, which was revoked",
		broker.AgentRevoked:      "the agent's access, which was revoked",
		broker.IssuerRevoked:     "the issuer's access, which was revoked",
		broker.GroupRevoked:      "the access of a group of the principal, which was revoked",
		broker.ReferenceRevoked:  "the reference's use, which was revoked, or another reference",
		broker.GrantRevoked:      "the use of the person's grant, which was revoked",
		broker.SessionRevoked:    "a session that was not revoked",
		broker.AgentUnknown:      "a registration of the agent",
		broker.AgentClosed:       "the agent to be active",
		broker.AgentAboveCeiling: "a higher ceiling of the agent, or a record that gives the tool a lower risk",
		broker.AgentTeamMismatch: "an agent of the team that owns the binding",
		broker.ToolNotOfTeam:     "the agent's team among the teams of the tool",
		broker.ToolClosed:        "the tool to be active",
		broker.PersonNotAllowed:  "a binding that covers the person without the agent",
		broker.NoBinding:         "a binding that covers the caller and the call",
		broker.NotOwnBinding:     "a binding of that name that covers the caller and the call",
		broker.BindingTie:        "another priority of one of the bindings that tie",
		broker.BindingClosed:     "the binding to be resumed, or its revocation lifted",
		broker.BindingExpired:    "a later end of the binding",
		broker.BindingPending:    lacksRebinding,
		broker.ModeUnknown:       "a mode and a source that Bindery knows",
		broker.FieldsIncomplete:  "a reference for each field of the server's attachments, and no more",
		broker.ReferenceOutside:  "the reference within the paths of its store",
		broker.StoreUnregistered: "an active store for each reference, which is not revoked",
		broker.ProviderUnfit:     "a provider and scopes on the card where its source asks one, and none where it does not",
		broker.PersonRequired:    "a person who calls, by themselves or through an agent",
		broker.PolicyForbids:     "other policies, or another call: a policy forbids it",
		broker.ApprovalRequired:  "an approval, which a policy demands",
		broker.PoliciesUnread:    "a policy set in force that can be read and is what its id says",
	}[r]; known {
		return []string{s}
	}
	return nil
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
