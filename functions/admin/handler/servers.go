package handler

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
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
	State          string        `json:"state" enum:"active,pending,suspended" doc:"Only active servers serve calls"`
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
}

type serverPath struct {
	Server string `path:"server" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) route(server string) broker.Route {
	return broker.Route{Environment: h.environment, Server: server}
}

func (h *Handler) servers() {
	huma.Register(h.api, operation("list-servers", http.MethodGet, "/servers", "List servers"), h.listServers)
	huma.Register(h.api, operation("get-server", http.MethodGet, "/servers/{server}", "Read a server", 404), h.getServer)
	huma.Register(h.api, operation("put-server", http.MethodPut, "/servers/{server}", "Make or change a server", 404, 409, 412, 413, 415, 422, 428), h.putServer)
	huma.Register(h.api, operation("delete-server", http.MethodDelete, "/servers/{server}", "Delete a server; its name is never used again", 404, 409, 412, 422, 428), h.deleteServer)
}

func (h *Handler) listServers(ctx context.Context, in *struct{ page }) (*listing[ServerView], error) {
	if err := h.ask(ctx, "list-servers", "list", admin.Object{Kind: "server"}); err != nil {
		return nil, err
	}
	rows, err := h.reader.Servers(ctx, h.environment, in.rows())
	if err != nil {
		return nil, fault(err)
	}
	return listed(rows, in.page, func(s broker.Server) string { return s.Name },
		func(s broker.Server) (ServerView, bool) { return viewServer(s), s.State != broker.Deleted }), nil
}

// liveServer reads a server that is not deleted.
func (h *Handler) liveServer(ctx context.Context, name string) (broker.Server, error) {
	s, err := h.reader.Server(ctx, h.route(name))
	if err == nil && s.State == broker.Deleted {
		err = broker.ErrNotFound
	}
	return s, err
}

func (h *Handler) getServer(ctx context.Context, in *serverPath) (*one[ServerView], error) {
	s, err := h.liveServer(ctx, in.Server)
	if asked := h.ask(ctx, "get-server", "read", admin.Object{Kind: "server", Name: in.Server, Owners: owners(s.Owner)}); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &one[ServerView]{tag(s.Version), viewServer(s)}, nil
}

func (h *Handler) putServer(ctx context.Context, in *struct {
	serverPath
	condition
	Body ServerBody
}) (*one[ServerView], error) {
	current, next, err := h.serverChange(ctx, in.Server, in.condition, in.Body)
	if err != nil {
		return nil, fault(err)
	}
	op := admin.Operation{ID: "put-server", Action: serverAction(current, next),
		Object: admin.Object{Kind: "server", Name: in.Server, Owners: owners(current.Owner, next.Owner)}}
	err = h.desk.Change(ctx, callerOf(ctx), op, viewOf(current.Version > 0, viewServer(current)), viewServer(next), in.DryRun,
		func(ctx context.Context) error { return h.registry.PutServer(ctx, next) })
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[ServerView]{tag(next.Version), viewServer(next)}, nil
}

// serverChange reads what is there and makes the row that is to replace it.
func (h *Handler) serverChange(ctx context.Context, name string, c condition, body ServerBody) (current, next broker.Server, err error) {
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
	if current.Version != version || current.State == broker.Deleted {
		return current, next, broker.ErrConflict
	}
	return current, next, nil
}

// serverAction is what is asked of the gate: where credentials go, and which
// private networks are open, are more than the rest.
func serverAction(current, next broker.Server) string {
	before, _ := broker.OriginDigest(current.URL)
	after, _ := broker.OriginDigest(next.URL)
	switch {
	case fmt.Sprint(current.Networks) != fmt.Sprint(next.Networks):
		return "open_networks"
	case current.Version > 0 && before != after:
		return "move_server"
	}
	return "put"
}

func (h *Handler) deleteServer(ctx context.Context, in *struct {
	serverPath
	condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.liveServer(ctx, in.Server)
	op := admin.Operation{ID: "delete-server", Action: "delete", Object: admin.Object{Kind: "server", Name: in.Server, Owners: owners(current.Owner)}}
	next := current
	next.State, next.Version = broker.Deleted, version
	if err == nil && version != current.Version {
		err = broker.ErrConflict
	}
	return nil, h.erase(ctx, op, viewServer(current), in.DryRun, err, func(ctx context.Context) error { return h.registry.Writer.PutServer(ctx, next) })
}

// erase makes a tombstone. A fault of reading what is there is told only to who
// may erase it.
func (h *Handler) erase(ctx context.Context, op admin.Operation, before any, dry bool, read error, put func(context.Context) error) error {
	err := h.desk.Change(ctx, callerOf(ctx), op, before, nil, dry, func(ctx context.Context) error {
		if read != nil {
			return read
		}
		return put(ctx)
	})
	if err != nil {
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
	for _, n := range b.Networks {
		prefix, err := netip.ParsePrefix(n)
		if err != nil {
			return s, fmt.Errorf("%w networks: each must be a CIDR", broker.ErrInvalid)
		}
		s.Networks = append(s.Networks, prefix)
	}
	return s, nil
}

func viewServer(s broker.Server) ServerView {
	v := ServerView{Name: s.Name, Environment: s.Environment, Version: s.Version, ServerBody: ServerBody{Owner: s.Owner, Description: s.Description,
		URL: s.URL, TimeoutSeconds: int(s.Timeout / time.Second), Limits: viewLimits(s.Limits), State: string(s.State), Attach: []Attachment{}}}
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
