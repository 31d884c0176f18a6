package handler

import (
	"context"
	"slices"

	"bindery/shared/admin"
	"bindery/shared/policy"
)

// gate asks the rules of administration, which are Cedar policies.
type gate struct {
	rules       *policy.Administration
	environment string
}

// Permits implements admin.Gate.
func (g gate) Permits(c admin.Caller, n admin.Need) bool {
	who := policy.Administrator{ID: c.Principal.ID, Roles: c.Roles, Groups: c.Principal.Groups}
	on := policy.Object{Kind: policy.Kind(n.On.Kind), Name: n.On.Name, Owner: n.On.Owner, Environment: g.environment, Proposer: n.On.Proposer}
	return g.rules.Judge(who, policy.Operation(n.Do), on).Allowed
}

// Kinds of objects.
const (
	serverKind     = string(policy.ServerKind)
	bindingKind    = string(policy.BindingKind)
	agentKind      = string(policy.AgentKind)
	toolKind       = string(policy.ToolKind)
	storeKind      = string(policy.StoreKind)
	referenceKind  = string(policy.ReferenceKind)
	valueKind      = string(policy.ValueKind)
	policyKind     = string(policy.PolicyKind)
	noticeKind     = string(policy.NoticeKind)
	assignmentKind = string(policy.AssignmentKind)
)

// need is one permission.
func need(do policy.Operation, on admin.Object) admin.Need { return admin.Need{Do: string(do), On: on} }

// put is what making or changing a row takes: to create it, or to change what
// is there.
func put(there bool, on admin.Object) admin.Need {
	if there {
		return need(policy.Put, on)
	}
	return need(policy.Create, on)
}

// permits reports whether the caller may do all of it: for work that nobody
// else should cause. The desk asks again, and records.
func (h *Handler) permits(ctx context.Context, needs []admin.Need) bool {
	return !slices.ContainsFunc(needs, func(n admin.Need) bool { return !h.desk.Sees(callerOf(ctx), n) })
}

// stateNeeds is what a change of state takes besides.
func stateNeeds(before, after string, on admin.Object) []admin.Need {
	switch {
	case before == "" || before == after:
		return nil
	case after == "active":
		return []admin.Need{need(policy.Resume, on)}
	}
	return []admin.Need{need(policy.Suspend, on)}
}
