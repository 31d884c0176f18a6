package handler

import (
	"context"
	"reflect"
	"slices"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// bindingNeeds is what a change of a card takes: besides the change itself, the
// right to bind each reference that was not on it, or was on it for another
// origin: who may change a card may not by that send what is on it elsewhere.
func (h *Handler) bindingNeeds(ctx context.Context, in BindingPath, server broker.Server, current, next broker.Binding) ([]admin.Need, error) {
	on := bindingObject(in, server)
	needs := append([]admin.Need{put(current.Version > 0, on)}, stateNeeds(string(current.State), string(next.State), on)...)
	if reopens(current, next) {
		needs = append(needs, need(policy.Resume, on))
	}
	moved := !madeFor(current, server)
	var references []broker.Reference
	var binds []admin.Need
	for _, f := range next.Fields {
		if moved || !slices.Contains(current.Fields, f) {
			references = append(references, f.Reference)
			binds = append(binds, need(policy.Bind, admin.Object{Kind: referenceKind, Name: f.Reference.String()}))
		}
	}
	if draws(current, next, moved) {
		needs = append(needs, need(policy.Bind, providerObject(next.Provider)))
	}
	if !h.permits(ctx, needs) {
		return append(needs, binds...), nil
	}
	binds, err := h.claimed(ctx, binds, references, server)
	return append(needs, binds...), err
}

// draws reports whether a card gets tokens from a provider otherwise than it did:
// in another way, with other scopes, for another audience, or for another origin.
func draws(current, next broker.Binding, moved bool) bool {
	how := func(b broker.Binding) []any {
		return []any{b.Provider, b.Source, b.Mode, b.Audience, append([]string{}, b.Scopes...)}
	}
	return next.Provider != "" && (moved || !reflect.DeepEqual(how(current), how(next)))
}

// reopens reports whether a change lets calls pass that the card, as it stands,
// refuses: a later end, or other callers and uses of a card that was stopped, or
// another card before it.
func reopens(current, next broker.Binding) bool {
	if current.Version == 0 {
		return false
	}
	later := !current.Expires.IsZero() && (next.Expires.IsZero() || next.Expires.After(current.Expires))
	stopped := current.State != broker.Active
	return later || stopped && !reflect.DeepEqual([]any{current.Actor, current.Allow, current.Priority}, []any{next.Actor, next.Allow, next.Priority})
}

// claimed tells the needs about references whose those are: of a group of the
// caller that each is assigned to, or of the team that owns the server, where it
// is assigned to that. Assignments are read only for who may not without them.
func (h *Handler) claimed(ctx context.Context, needs []admin.Need, of []broker.Reference, at broker.Server) ([]admin.Need, error) {
	if h.permits(ctx, needs) {
		return needs, nil
	}
	groups := callerOf(ctx).Principal.Groups
	for a, err := range h.assignmentList(ctx).after("") {
		if err != nil {
			return nil, err
		}
		for i, r := range of {
			if on := &needs[i].On; on.Owner == "" {
				on.Owner = assignee(a, r, groups, at)
			}
		}
	}
	return needs, nil
}

// assignee is the group for which an assignment lets a reference be bound at a
// server, or nothing.
func assignee(a broker.Assignment, r broker.Reference, groups []string, at broker.Server) string {
	if at.Owner != "" && a.Assigns(r, "", at.Name) && slices.Contains(groups, at.Owner) {
		return at.Owner
	}
	for _, group := range groups {
		if a.Assigns(r, group, "") {
			return group
		}
	}
	return ""
}
