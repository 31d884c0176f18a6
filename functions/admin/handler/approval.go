package handler

import (
	"context"
	"fmt"
	"slices"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// What a server may lack before calls can work. The document lists these words,
// between commas, so none of them holds one.
const (
	lacksApproval    = "approval by a second administrator"
	lacksResumption  = "the server to be resumed or its revocation lifted"
	lacksEnvironment = "the environment to be opened or its revocation lifted"
	lacksBinding     = "an active binding"
	lacksLifting     = "the revocation of its bindings or of what they need to be lifted"
	lacksProvider    = "the provider of its bindings to be registered and active"
	lacksRebinding   = "its bindings to be put again because they were made for another origin"
)

// movesOrigin reports whether credentials would go to another receiver. A new
// server's would.
func movesOrigin(current, next broker.Server) bool {
	before, _ := broker.OriginDigest(current.URL)
	after, _ := broker.OriginDigest(next.URL)
	return current.Version == 0 || before != after
}

// proposed is the row that a change of a server makes. In production a new
// origin waits for a second administrator: whoever put it is its proposer, and
// stays that whatever else is changed by whom until it is approved. Elsewhere
// the change is the approval.
func (h *Handler) proposed(by string, current, next broker.Server) broker.Server {
	switch {
	case !h.production:
		return next
	case movesOrigin(current, next):
		next.Proposer = by
	default:
		next.Proposer = current.Proposer
	}
	if next.Proposer != "" && next.State == broker.Active {
		next.State = broker.Pending
	}
	return next
}

// asked is the state that was asked for: what is pending is to be active.
func asked(s broker.State) string {
	if s == broker.Pending {
		s = broker.Active
	}
	return string(s)
}

func (h *Handler) approveServer(ctx context.Context, in *struct {
	ServerPath
	Condition
}) (*one[ServerView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.liveServer(ctx, in.Server)
	on := serverObject(in.Server, current.Owner)
	op := admin.Operation{ID: "approve-server", Needs: []admin.Need{need(policy.Read, on)}}
	if on.Proposer = current.Proposer; on.Proposer != "" {
		op.Needs = []admin.Need{need(policy.Approve, on)}
	}
	if err == nil {
		err = approvable(ctx, version, current)
	}
	next := current
	next.Version, next.Proposer = version, ""
	if next.State == broker.Pending { // what was suspended stays so
		next.State = broker.Active
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{Before: viewServer(current), After: viewServer(next), Dry: in.DryRun, Fault: err,
		Apply: func(ctx context.Context) error { return h.registry.PutServer(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[ServerView]{tag(next.Version), viewServer(next)}, nil
}

// approvable is a fault where the row is another than the caller saw, or waits
// for nothing.
func approvable(ctx context.Context, version int64, current broker.Server) error {
	switch {
	case current.Version == version+1 && current.Proposer == "" && mayBeDone(ctx):
		return nil
	case current.Version != version:
		return broker.ErrConflict
	case current.Proposer == "":
		return fmt.Errorf("%w server: nothing of it waits for approval", broker.ErrInvalid)
	}
	return nil
}

// missing says what has to be there before calls of a server can work.
func (h *Handler) missing(ctx context.Context, s broker.Server) (list []string, err error) {
	if s.Proposer != "" {
		list = append(list, lacksApproval)
	}
	revoked, err := h.marked.Markers(ctx, h.environment, []broker.MarkerKey{{Kind: broker.ServerMarker, ID: s.Name},
		{Kind: broker.EnvironmentMarker, ID: h.environment}, {Kind: broker.EverythingMarker, ID: h.environment}})
	if err != nil {
		return nil, err
	}
	stopped := func(server bool) bool {
		return slices.ContainsFunc(revoked, func(m broker.Marker) bool { return m.Revoked && (m.Kind == broker.ServerMarker) == server })
	}
	if s.State == broker.Suspended || stopped(true) {
		list = append(list, lacksResumption)
	}
	e, err := h.reader.Environment(ctx, h.environment)
	if err != nil && !isMissing(err) {
		return nil, err
	}
	if e.State != broker.Active || stopped(false) {
		list = append(list, lacksEnvironment)
	}
	lack, err := h.missingBinding(ctx, s)
	if lack != "" {
		list = append(list, lack)
	}
	return list, err
}

// missingBinding reads bindings until it finds one that can serve calls.
func (h *Handler) missingBinding(ctx context.Context, s broker.Server) (string, error) {
	lack := lacksBinding
	for b, err := range h.bindingList(ctx, s.Name).after("") {
		switch {
		case err != nil:
			return "", err
		case b.State != broker.Active || ended(b, h.now()):
		case madeFor(b, s):
			if lack, err = h.cardLacks(ctx, card{s, b}); err != nil || lack == "" {
				return "", err
			}
		case lack == lacksBinding:
			lack = lacksRebinding
		}
	}
	return lack, nil
}

// cardLacks is what keeps an active card from serving calls, beside its server.
func (h *Handler) cardLacks(ctx context.Context, c card) (string, error) {
	provided, err := h.provided(ctx, c.binding)
	if err != nil {
		return "", err
	}
	if !provided {
		return lacksProvider, nil
	}
	revoked, err := h.revokedAmong(ctx, restsOn(c, nil))
	if err != nil {
		return "", err
	}
	delete(revoked, broker.MarkerKey{Kind: broker.ServerMarker, ID: c.server.Name}) // said of the server
	for _, r := range revoked {
		if r {
			return lacksLifting, nil
		}
	}
	return "", nil
}

// provided reports whether the provider of a card issues tokens; without one
// there is nothing to issue.
func (h *Handler) provided(ctx context.Context, b broker.Binding) (bool, error) {
	if b.Provider == "" {
		return true, nil
	}
	p, err := h.providers.Provider(ctx, h.environment, b.Provider)
	if isMissing(err) {
		return false, nil
	}
	return p.State == broker.Active, err
}
