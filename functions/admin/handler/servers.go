package handler

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// ServerBody is what an administrator says of a server.
type ServerBody struct {
	Owner          string        `json:"owner" minLength:"1" maxLength:"256" doc:"Team that owns it: a group name"`
	Description    string        `json:"description,omitempty" maxLength:"2000"`
	URL            string        `json:"url" format:"uri" maxLength:"2048" doc:"Upstream endpoint, https; never with a credential"`
	Attach         []Attachment  `json:"attach" maxItems:"16" doc:"How each credential field reaches the upstream"`
	Propagate      []Propagation `json:"propagate,omitempty" maxItems:"16" doc:"Which verified attributes reach the upstream"`
	Networks       []string      `json:"networks,omitempty" maxItems:"16" doc:"Private ranges opened for it (CIDR); super_admin only"`
	TimeoutSeconds int           `json:"timeout_seconds,omitempty" minimum:"0" maximum:"840" doc:"Longest call; 0: the deployment's"`
	Limits         *Limits       `json:"limits,omitempty"`
	State          string        `json:"state" enum:"active,suspended" doc:"Only active servers serve calls"`
}

// Attachment puts credential fields into the upstream call.
type Attachment struct {
	In       string `json:"in" enum:"header,query,basic"`
	Name     string `json:"name,omitempty" maxLength:"128" doc:"Header or query parameter; empty for basic"`
	Template string `json:"template" minLength:"1" maxLength:"512" example:"Bearer {token}"`
}

// Propagation puts a verified attribute into a header.
type Propagation struct {
	Attribute string `json:"attribute" enum:"email,subject,groups,principal,agent"`
	Header    string `json:"header" minLength:"1" maxLength:"128"`
}

// Limits bound what all callers together may use; 0: the deployment's.
type Limits struct {
	CallsPerMinute int   `json:"calls_per_minute,omitempty" minimum:"0" maximum:"1000000"`
	Streams        int   `json:"streams,omitempty" minimum:"0" maximum:"1000000"`
	RequestBytes   int64 `json:"request_bytes,omitempty" minimum:"0" maximum:"1073741824"`
	AnswerBytes    int64 `json:"answer_bytes,omitempty" minimum:"0" maximum:"1073741824"`
}

// ServerView is a server as it is read.
type ServerView struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	ServerBody
	State       string       `json:"state" enum:"active,pending,suspended" doc:"pending: its origin waits for the approval of a second administrator"`
	Revoked     string       `json:"revoked,omitempty" doc:"Case that has revoked it; said when it is read alone"`
	ProposedBy  string       `json:"proposed_by,omitempty" doc:"Principal who proposed the origin that nobody else has approved yet"`
	OpenNotices []NoticeName `json:"open_notices,omitempty" doc:"Said when a server is read: what somebody should look at, at most 20"`
	Missing     []string     `json:"missing,omitempty" enum:"approval by a second administrator,the server to be resumed or its revocation lifted,the environment to be opened or its revocation lifted,an active binding,the revocation of its bindings or of what they need to be lifted,the provider of its bindings to be registered and active,its bindings to be put again because they were made for another origin" doc:"Said when a server is read: what has to be there before calls can work"`
}

type ServerPath struct {
	Server string `path:"server" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) route(server string) broker.Route {
	return broker.Route{Environment: h.environment, Server: server}
}

func (h *Handler) servers() {
	huma.Register(h.api, operation("list-servers", http.MethodGet, "/servers", "List servers"), h.listServers)
	huma.Register(h.api, operation("get-server", http.MethodGet, "/servers/{server}", "Read a server", 404), h.getServer)
	huma.Register(h.api, operation("put-server", http.MethodPut, "/servers/{server}", "Make or change a server", 404, 409, 412, 413, 415, 422, 428), h.putServer)
	huma.Register(h.api, operation("approve-server", http.MethodPost, "/servers/{server}/approve", "Approve the origin that another administrator proposed", 404, 409, 412, 413, 422, 428), h.approveServer)
	huma.Register(h.api, operation("delete-server", http.MethodDelete, "/servers/{server}", "Delete a server; its name is never used again", 404, 409, 412, 413, 422, 428), h.deleteServer)
}

func (h *Handler) listServers(ctx context.Context, in *struct{ Page }) (*listing[ServerView], error) {
	if err := h.askList(ctx, "list-servers", admin.Object{Kind: serverKind}); err != nil {
		return nil, err
	}
	return listed(in.Page, h.serverList(ctx),
		func(s broker.Server) (ServerView, bool) {
			return viewServer(s), h.shows(ctx, s.State, serverObject(s.Name, s.Owner))
		})
}

// liveServer reads a server that is not deleted.
func (h *Handler) liveServer(ctx context.Context, name string) (broker.Server, error) {
	s, err := h.reader.Server(ctx, h.route(name))
	return s, live(s.State, err)
}

func (h *Handler) getServer(ctx context.Context, in *ServerPath) (*one[ServerView], error) {
	s, err := h.liveServer(ctx, in.Server)
	if asked := h.ask(ctx, "get-server", serverObject(in.Server, s.Owner)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	view := viewServer(s)
	if view.Missing, err = h.missing(ctx, s); err != nil {
		return nil, fault(err)
	}
	if view.Revoked, err = h.stoppedBy(ctx, broker.ServerMarker, s.Name); err != nil {
		return nil, fault(err)
	}
	view.OpenNotices = h.noticesOn(ctx, concernsServer(s.Name))
	return &one[ServerView]{tag(s.Version), view}, nil
}

type putServerInput struct {
	ServerPath
	Condition
	Body ServerBody
}

func (h *Handler) putServer(ctx context.Context, in *putServerInput) (*one[ServerView], error) {
	current, next, err := h.serverChange(ctx, in.Server, in.Condition, in.Body)
	if err != nil {
		return nil, fault(err)
	}
	op := admin.Operation{ID: "put-server", Needs: serverNeeds(current, next)}
	wrong := stale(ctx, next.Version, current.Version, current.State)
	if wrong == nil && in.DryRun {
		wrong = h.registry.ValidServer(next)
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewServer(current)), After: viewServer(next), Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error { return h.registry.PutServer(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[ServerView]{tag(next.Version), viewServer(next)}, nil
}

// serverChange reads what is there and makes the row that is to replace it.
func (h *Handler) serverChange(ctx context.Context, name string, c Condition, body ServerBody) (current, next broker.Server, err error) {
	version, err := c.version()
	if err != nil {
		return current, next, err
	}
	if next, err = body.row(h.environment, name, version); err != nil {
		return current, next, err
	}
	if current, err = h.reader.Server(ctx, h.route(name)); err != nil && !isMissing(err) {
		return current, next, err
	}
	return current, h.proposed(callerOf(ctx).Principal.ID, current, next), nil
}

func serverObject(name, owner string) admin.Object {
	return admin.Object{Kind: serverKind, Name: name, Owner: owner}
}

// serverNeeds is what a change takes: where credentials go, which private
// networks are open, and whose the server is are more than the rest.
func serverNeeds(current, next broker.Server) []admin.Need {
	there := current.Version > 0
	on := serverObject(next.Name, current.Owner)
	needs := append([]admin.Need{put(there, on)}, stateNeeds(asked(current.State), asked(next.State), on)...)
	moved := movesOrigin(current, next)
	if there && moved {
		needs = append(needs, need(policy.SetOrigin, on))
	}
	if there && current.Owner != next.Owner {
		needs = append(needs, need(policy.SetOwner, on))
	}
	if fmt.Sprint(current.Networks) != fmt.Sprint(next.Networks) || moved && len(next.Networks) > 0 { // what is open is open for one origin
		needs = append(needs, need(policy.OpenNetworks, on))
	}
	return needs
}

func (h *Handler) deleteServer(ctx context.Context, in *struct {
	ServerPath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.reader.Server(ctx, h.route(in.Server))
	if err == nil {
		err = erasable(ctx, version, current.Version, current.State)
	}
	op := admin.Operation{ID: "delete-server", Needs: []admin.Need{need(policy.Delete, serverObject(in.Server, current.Owner))}}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, op, viewServer(current), in.DryRun, err, func(ctx context.Context) error { return h.registry.Writer.PutServer(ctx, next) })
}

// erasable is a fault where the row is another than the caller saw, or gone,
// except that whoever sends a deletion again under a key may meet its own work.
func erasable(ctx context.Context, version, current int64, state broker.State) error {
	switch {
	case state == broker.Deleted && current == version+1 && mayBeDone(ctx):
		return nil
	case state == broker.Deleted:
		return broker.ErrNotFound
	case version != current:
		return broker.ErrConflict
	}
	return nil
}

// erase makes a tombstone. A fault of reading what is there is told only to who
// may erase it.
func (h *Handler) erase(ctx context.Context, op admin.Operation, before any, dry bool, read error, put func(context.Context) error) error {
	op.Answer = http.StatusNoContent
	if err := h.desk.Change(ctx, callerOf(ctx), op, admin.Change{Before: before, Dry: dry, Fault: read, Apply: put}); err != nil {
		return fault(err)
	}
	return nil
}

func (b ServerBody) row(environment, name string, version int64) (broker.Server, error) {
	s := broker.Server{Environment: environment, Name: name, Version: version, State: broker.State(b.State), Owner: b.Owner, Description: b.Description,
		URL: b.URL, Timeout: time.Duration(b.TimeoutSeconds) * time.Second, Limits: b.Limits.row()}
	for _, a := range b.Attach {
		s.Attach = append(s.Attach, broker.Attachment{In: broker.Placement(a.In), Name: a.Name, Template: a.Template})
	}
	for _, p := range b.Propagate {
		s.Propagate = append(s.Propagate, broker.Propagation{Attribute: p.Attribute, Header: p.Header})
	}
	if u, err := url.Parse(b.URL); err != nil || u.RawQuery != "" || u.ForceQuery {
		return s, fmt.Errorf("%w url: it must have no query; what a query would carry is an attachment", broker.ErrInvalid)
	}
	var err error
	s.Networks, err = networks(b.Networks)
	return s, err
}

func networks(texts []string) (list []netip.Prefix, err error) {
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%w networks: each must be a CIDR", broker.ErrInvalid)
		}
		list = append(list, prefix)
	}
	return list, nil
}

func viewServer(s broker.Server) ServerView {
	v := ServerView{Name: s.Name, Environment: s.Environment, Version: s.Version, ServerBody: ServerBody{Owner: s.Owner, Description: s.Description,
		URL: s.URL, TimeoutSeconds: int(s.Timeout / time.Second), Limits: viewLimits(s.Limits), State: asked(s.State), Attach: []Attachment{}},
		State: string(s.State), ProposedBy: s.Proposer}
	for _, a := range s.Attach {
		v.Attach = append(v.Attach, Attachment{In: string(a.In), Name: a.Name, Template: a.Template})
	}
	for _, p := range s.Propagate {
		v.Propagate = append(v.Propagate, Propagation{Attribute: p.Attribute, Header: p.Header})
	}
	for _, n := range s.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	return v
}

func (l *Limits) row() broker.Limits {
	if l == nil {
		return broker.Limits{}
	}
	return broker.Limits{CallsPerMinute: l.CallsPerMinute, Streams: l.Streams, RequestBytes: l.RequestBytes, AnswerBytes: l.AnswerBytes}
}

func viewLimits(l broker.Limits) *Limits {
	if l == (broker.Limits{}) {
		return nil
	}
	return &Limits{CallsPerMinute: l.CallsPerMinute, Streams: l.Streams, RequestBytes: l.RequestBytes, AnswerBytes: l.AnswerBytes}
}
