package handler

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// AssignmentBody says who besides administrators may bind references, and enter
// values under them.
type AssignmentBody struct {
	Store   string   `json:"store" pattern:"^[a-z0-9-]{1,40}$" doc:"A registered store"`
	Paths   []string `json:"paths" minItems:"1" maxItems:"64" doc:"Which of its references: exact, what lies under a path followed by /*, or * for all"`
	Groups  []string `json:"groups,omitempty" maxItems:"64" doc:"Their members may bind them at every server that they own"`
	Servers []string `json:"servers,omitempty" maxItems:"64" doc:"Whoever owns one of these may bind them there, and nowhere else"`
	State   string   `json:"state" enum:"active,suspended" doc:"A suspended one assigns nothing; cards that were made stay"`
}

// AssignmentView is an assignment as it is read.
type AssignmentView struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	AssignmentBody
	Notices []string `json:"notices,omitempty" doc:"Said when it is put: what is allowed, and perhaps not meant"`
}

type AssignmentPath struct {
	Assignment string `path:"assignment" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) assignmentOperations() {
	const path = "/assignments"
	huma.Register(h.api, operation("list-assignments", http.MethodGet, path, "List assignments of references"), h.listAssignments)
	huma.Register(h.api, operation("get-assignment", http.MethodGet, path+"/{assignment}", "Read an assignment", 404), h.getAssignment)
	huma.Register(h.api, operation("put-assignment", http.MethodPut, path+"/{assignment}", "Say which teams and servers may bind which references", 409, 412, 413, 415, 422, 428), h.putAssignment)
	huma.Register(h.api, operation("delete-assignment", http.MethodDelete, path+"/{assignment}", "Delete an assignment; its name is never used again", 404, 409, 412, 413, 422, 428), h.deleteAssignment)
}

// assignmentObject is owned, for whoever asks, by one of the groups that both
// are in.
func assignmentObject(ctx context.Context, name string, a broker.Assignment) admin.Object {
	on := admin.Object{Kind: assignmentKind, Name: name}
	for _, group := range callerOf(ctx).Principal.Groups {
		if slices.Contains(a.Groups, group) {
			on.Owner = group
		}
	}
	return on
}

func (h *Handler) listAssignments(ctx context.Context, in *struct{ Page }) (*listing[AssignmentView], error) {
	if err := h.askList(ctx, "list-assignments", admin.Object{Kind: assignmentKind}); err != nil {
		return nil, err
	}
	return listed(in.Page, h.assignmentList(ctx),
		func(a broker.Assignment) (AssignmentView, bool) {
			return viewAssignment(a), h.shows(ctx, a.State, assignmentObject(ctx, a.Name, a))
		})
}

func (h *Handler) getAssignment(ctx context.Context, in *AssignmentPath) (*one[AssignmentView], error) {
	a, err := h.assignments.Assignment(ctx, h.environment, in.Assignment)
	err = live(a.State, err)
	if asked := h.ask(ctx, "get-assignment", assignmentObject(ctx, in.Assignment, a)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &one[AssignmentView]{tag(a.Version), viewAssignment(a)}, nil
}

type putAssignmentInput struct {
	AssignmentPath
	Condition
	Body AssignmentBody
}

func (h *Handler) putAssignment(ctx context.Context, in *putAssignmentInput) (*one[AssignmentView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.assignments.Assignment(ctx, h.environment, in.Assignment)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	next := broker.Assignment{Environment: h.environment, Name: in.Assignment, Version: version, State: broker.State(in.Body.State),
		Store: in.Body.Store, Paths: broker.Scope(in.Body.Paths), Groups: in.Body.Groups, Servers: in.Body.Servers}
	op := admin.Operation{ID: "put-assignment", Needs: []admin.Need{put(current.Version > 0, assignmentObject(ctx, in.Assignment, current))}}
	wrong := stale(ctx, version, current.Version, current.State)
	var notices []string
	if wrong == nil && h.permits(ctx, op.Needs) {
		notices, wrong = h.assignable(ctx, next)
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewAssignment(current)), After: viewAssignment(next), Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error { return h.assignments.PutAssignment(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	view := viewAssignment(next)
	view.Notices = notices
	return &one[AssignmentView]{tag(next.Version), view}, nil
}

// assignable refuses what would assign nothing, though it looks as if it did,
// and notices what its store does not read.
func (h *Handler) assignable(ctx context.Context, a broker.Assignment) (notices []string, err error) {
	if err := cmp.Or(a.Check(), broker.CheckNewScope(a.Paths)); err != nil {
		return nil, err
	}
	s, err := h.reader.Store(ctx, h.environment, a.Store)
	switch {
	case isMissing(err), err == nil && s.State == broker.Deleted:
		return nil, fmt.Errorf("%w assignment: the store is not registered", broker.ErrInvalid)
	case len(a.Groups)+len(a.Servers) == 0:
		return nil, fmt.Errorf("%w assignment: a group or a server is required", broker.ErrInvalid)
	}
	if err == nil && slices.ContainsFunc(a.Paths, func(path string) bool { return !s.Paths.Covers(path) }) {
		notices = []string{"Some of the paths are wider than those of the store: what lies outside those cannot be bound."}
	}
	return notices, err
}

func (h *Handler) deleteAssignment(ctx context.Context, in *struct {
	AssignmentPath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.assignments.Assignment(ctx, h.environment, in.Assignment)
	if err == nil {
		err = erasable(ctx, version, current.Version, current.State)
	}
	op := admin.Operation{ID: "delete-assignment", Needs: []admin.Need{need(policy.Delete, assignmentObject(ctx, in.Assignment, current))}}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, op, viewAssignment(current), in.DryRun, err, func(ctx context.Context) error { return h.assignments.PutAssignment(ctx, next) })
}

func viewAssignment(a broker.Assignment) AssignmentView {
	return AssignmentView{Name: a.Name, Environment: a.Environment, Version: a.Version, AssignmentBody: AssignmentBody{
		Store: a.Store, Paths: append([]string{}, a.Paths...), Groups: a.Groups, Servers: a.Servers, State: string(a.State)}}
}
