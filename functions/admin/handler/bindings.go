package handler

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// BindingBody is what an administrator says on a card.
type BindingBody struct {
	Actor    Actor      `json:"actor"`
	Priority int        `json:"priority,omitempty" minimum:"-1000000" maximum:"1000000" doc:"Higher wins among bindings of one rank"`
	Allow    Allow      `json:"allow"`
	Mode     string     `json:"mode" enum:"service_account,agent_scoped,user_delegated" doc:"Whose authority the credential carries; user_delegated: the calling person's own"`
	Source   string     `json:"source" enum:"static,client_credentials,authorization_code,personal_key,token_exchange" doc:"How the credential is obtained. static and client_credentials are of the first two modes, the others of user_delegated"`
	Fields   []Field    `json:"fields" maxItems:"16" doc:"Of static: each field of the server's attachment and its reference. Of any other source none"`
	Provider string     `json:"provider,omitempty" maxLength:"40" doc:"Who issues the tokens; static and personal_key have none"`
	Scopes   []string   `json:"scopes,omitempty" maxItems:"64" doc:"That are asked for, each without spaces; none: what the provider gives unasked"`
	Audience string     `json:"audience,omitempty" maxLength:"2048" doc:"Of token_exchange: whom the new token is for"`
	Owner    string     `json:"owner" minLength:"1" maxLength:"256" doc:"Team that owns the card: a group name"`
	State    string     `json:"state" enum:"active,suspended"`
	Expires  *time.Time `json:"expires,omitempty" doc:"From then on it refuses"`

	MaxAgeSeconds int `json:"max_age_seconds,omitempty" minimum:"0" maximum:"3600" doc:"Of static: how long a process may keep what it read; 0: each call reads anew"`
}

// Actor says whom a binding is for: exactly one form.
type Actor struct {
	Principal string     `json:"principal,omitempty" maxLength:"256" doc:"Id (p-...) of a person or workload, as in audit records; with agent: that person through that agent"`
	Agent     string     `json:"agent,omitempty" maxLength:"256"`
	Group     string     `json:"group,omitempty" maxLength:"256"`
	Attribute *Attribute `json:"attribute,omitempty"`
	Anyone    bool       `json:"anyone,omitempty"`
}

// Attribute is one verified claim of a workload.
type Attribute struct {
	Name  string `json:"name" minLength:"1" maxLength:"128"`
	Value string `json:"value" minLength:"1" maxLength:"256"`
}

// Allow is what a binding permits by name: exact, or a prefix followed by *.
type Allow struct {
	Tools     []string `json:"tools,omitempty" maxItems:"256"`
	Prompts   []string `json:"prompts,omitempty" maxItems:"256"`
	Resources []string `json:"resources,omitempty" maxItems:"256"`
}

// Field gives a credential field its reference. Never a secret.
type Field struct {
	Name      string `json:"name" minLength:"1" maxLength:"64"`
	Reference string `json:"reference" minLength:"1" maxLength:"1024" example:"aws-sm:prod/github#token"`
}

// BindingView is a card as it is read.
type BindingView struct {
	Name        string `json:"name"`
	Server      string `json:"server"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	Pending     bool   `json:"pending,omitempty" doc:"The server's origin is another than the card was made for: put the card again to approve it"`
	BindingBody
	Revoked     string       `json:"revoked,omitempty" doc:"Case that has revoked it; said when it is read alone"`
	PolicySet   string       `json:"policy_set,omitempty" doc:"Said when a card is read: id of the policies in force over its calls; absent: none"`
	Use         *CardUse     `json:"use,omitempty" doc:"Said when a card is read: how its calls went"`
	OpenNotices []NoticeName `json:"open_notices,omitempty" doc:"Said when a card is read: what somebody should look at, at most 20"`
	Overlaps    []Overlap    `json:"overlaps,omitempty" doc:"Said when a card is put: other bindings that can cover the same call"`
	Notices     []string     `json:"notices,omitempty" doc:"Said when a card is put: what is allowed, and perhaps not meant"`
}

// Overlap is another binding that can cover the same call.
type Overlap struct {
	Binding string `json:"binding"`
	Effect  string `json:"effect" enum:"wins,loses,tie" doc:"What this card does where both cover a call"`
}

type BindingPath struct {
	ServerPath
	Binding string `path:"binding" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) bindings() {
	const path = "/servers/{server}/bindings"
	huma.Register(h.api, operation("list-bindings", http.MethodGet, path, "List a server's bindings", 404), h.listBindings)
	huma.Register(h.api, operation("get-binding", http.MethodGet, path+"/{binding}", "Read a binding", 404), h.getBinding)
	huma.Register(h.api, operation("get-binding-version", http.MethodGet, path+"/{binding}/versions/{version}", "Read one version of a binding", 404), h.getBindingVersion)
	huma.Register(h.api, operation("put-binding", http.MethodPut, path+"/{binding}", "Make or change a binding: its references are resolved, and nothing of them is kept", 404, 409, 412, 413, 415, 422, 428), h.putBinding)
	huma.Register(h.api, operation("delete-binding", http.MethodDelete, path+"/{binding}", "Delete a binding; its name is never used again", 404, 409, 412, 413, 422, 428), h.deleteBinding)
}

func bindingObject(in BindingPath, server broker.Server) admin.Object {
	return admin.Object{Kind: bindingKind, Server: in.Server, Name: in.Binding, Owner: server.Owner}
}

func (h *Handler) listBindings(ctx context.Context, in *struct {
	ServerPath
	Page
}) (*listing[BindingView], error) {
	server, err := h.liveServer(ctx, in.Server)
	if asked := h.ask(ctx, "list-bindings", serverObject(in.Server, server.Owner)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	var cards []card
	out, err := listed(in.Page, h.bindingList(ctx, in.Server), func(b broker.Binding) (BindingView, bool) {
		if b.State != broker.Deleted {
			cards = append(cards, card{server, b})
		}
		return viewBinding(b, server), b.State != broker.Deleted
	})
	if err != nil {
		return nil, err
	}
	cards = cards[:len(out.Body.Items)] // the first ones: one more than a page holds may have been looked at
	uses, _ := h.usesOf(ctx, cards)
	for i, use := range uses {
		out.Body.Items[i].Use = &use
	}
	return out, nil
}

func (h *Handler) getBinding(ctx context.Context, in *BindingPath) (*one[BindingView], error) {
	c, err := h.card(ctx, "get-binding", *in, func() (broker.Binding, error) { return h.reader.Binding(ctx, h.route(in.Server), in.Binding) })
	if err != nil {
		return nil, err
	}
	e, err := h.reader.Environment(ctx, h.environment)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	view := viewBinding(c.binding, c.server)
	uses, _ := h.usesOf(ctx, []card{c})
	view.PolicySet, view.Use = e.Policies, &uses[0]
	view.OpenNotices = h.noticesOn(ctx, concernsBinding(c.binding))
	if view.Revoked, err = h.stoppedBy(ctx, broker.BindingMarker, in.Server+"/"+in.Binding); err != nil {
		return nil, fault(err)
	}
	return &one[BindingView]{tag(view.Version), view}, nil
}

func (h *Handler) getBindingVersion(ctx context.Context, in *struct {
	BindingPath
	Version int64 `path:"version" minimum:"1"`
}) (*one[BindingView], error) {
	c, err := h.card(ctx, "get-binding-version", in.BindingPath, func() (broker.Binding, error) {
		return h.registry.Writer.BindingVersion(ctx, h.route(in.Server), in.Binding, in.Version)
	})
	if err != nil {
		return nil, err
	}
	return &one[BindingView]{tag(c.binding.Version), viewBinding(c.binding, c.server)}, nil
}

// card reads one version of a card.
func (h *Handler) card(ctx context.Context, id string, in BindingPath, read func() (broker.Binding, error)) (card, error) {
	server, err := h.liveServer(ctx, in.Server)
	var b broker.Binding
	if err == nil {
		b, err = read()
		err = live(b.State, err)
	}
	if asked := h.ask(ctx, id, bindingObject(in, server)); asked != nil {
		return card{}, asked
	}
	if err != nil {
		return card{}, fault(err)
	}
	return card{server, b}, nil
}

type putBindingInput struct {
	BindingPath
	Condition
	Body BindingBody
}

func (h *Handler) putBinding(ctx context.Context, in *putBindingInput) (*one[BindingView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	next, err := in.Body.row(h.environment, in.Server, in.Binding, version)
	if err != nil {
		return nil, fault(err)
	}
	server, missing := h.liveServer(ctx, in.Server)
	if missing == nil {
		next.Origin, missing = broker.OriginDigest(server.URL) // what is permitted is permitted for this one
	}
	current, err := h.reader.Binding(ctx, h.route(in.Server), in.Binding)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	needs, err := h.bindingNeeds(ctx, in.BindingPath, server, current, next)
	if err != nil {
		return nil, fault(err)
	}
	op := admin.Operation{ID: "put-binding", Needs: needs}
	if missing == nil {
		missing = stale(ctx, version, current.Version, current.State) // before any secret is read for it
	}
	var overlaps []Overlap
	var notices []string
	if missing == nil && h.permits(ctx, needs) {
		overlaps, missing = h.overlaps(ctx, &next) // what cannot be told afterwards is not made
		if missing == nil {
			notices, missing = h.noticesOf(ctx, next)
		}
		if missing == nil && in.DryRun {
			missing = h.registry.ValidBinding(ctx, next)
		}
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewBinding(current, server)), After: viewBinding(next, server), Dry: in.DryRun, Fault: missing,
		Apply: func(ctx context.Context) error { return h.registry.Bind(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	view := viewBinding(next, server)
	view.Overlaps, view.Notices = overlaps, notices
	return &one[BindingView]{tag(next.Version), view}, nil
}

// overlaps compares a card with all others of its server.
func (h *Handler) overlaps(ctx context.Context, b *broker.Binding) (found []Overlap, err error) {
	rows, err := h.bindingList(ctx, b.Server).all()
	for _, o := range broker.Overlaps(b, rows) {
		found = append(found, Overlap{o.Binding, string(o.Effect)})
	}
	return found, err
}

// noticesOf is what a card says that has no effect as things stand.
func (h *Handler) noticesOf(ctx context.Context, b broker.Binding) (found []string, err error) {
	if ended(b, h.now()) {
		found = append(found, "Its end is over already: it refuses every call.")
	}
	if len(b.Allow.Tools)+len(b.Allow.Prompts)+len(b.Allow.Resources) == 0 {
		found = append(found, "It allows no tool, prompt or resource: nothing can be called by it.")
	}
	if b.Actor.Agent == "" {
		return found, nil
	}
	a, err := h.reader.Agent(ctx, h.environment, b.Actor.Agent)
	if isMissing(err) || err == nil && a.State != broker.Active {
		return append(found, "The agent is not registered, or not active: its calls are refused."), nil
	}
	return found, err
}

func (h *Handler) deleteBinding(ctx context.Context, in *struct {
	BindingPath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	server, _ := h.liveServer(ctx, in.Server)
	current, err := h.reader.Binding(ctx, h.route(in.Server), in.Binding)
	if err == nil {
		err = erasable(ctx, version, current.Version, current.State)
	}
	on := bindingObject(in.BindingPath, server)
	op := admin.Operation{ID: "delete-binding", Needs: []admin.Need{need(policy.Delete, on)}}
	if current.State != broker.Active && current.State != broker.Deleted { // a card that was stopped refuses; one that is gone does not
		op.Needs = append(op.Needs, need(policy.Resume, on))
	}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, op, viewBinding(current, server), in.DryRun, err, func(ctx context.Context) error { return h.registry.Writer.PutBinding(ctx, next) })
}
