package handler

import (
	"context"
	"slices"
	"time"

	"bindery/shared/broker"
)

// CardUse is what is known of a card's use, without saying whose.
type CardUse struct {
	LastUsed    *time.Time `json:"last_used,omitempty" doc:"Newest call that ended"`
	LastGood    *time.Time `json:"last_good,omitempty" doc:"Newest call that went well"`
	LastRotated *time.Time `json:"last_rotated,omitempty" doc:"When the newest version of one of its secrets was first seen in use"`
	LastReason  string     `json:"last_reason,omitempty" doc:"Why the newest call did not go well, in the word of the audit record"`
	Health      string     `json:"health" enum:"good,failing,unused,pending,stopped,expired,unknown" doc:"unknown: the audit index, or a row of it, cannot be read, or says nothing of the card itself"`
}

// useTime is how long a card waits for what the audit index says of it.
const useTime = 2 * time.Second

// card is a binding with its server.
type card struct {
	server  broker.Server
	binding broker.Binding
}

// usesOf says of each card how it is used. It reads one row for each card and
// one for each of its secrets, and whether what it rests on is revoked. A card is
// answered without the index too, and the others of a page where one's rows do not
// decode: so many did not.
func (h *Handler) usesOf(ctx context.Context, cards []card) (found []CardUse, unreadable int) {
	ctx, cancel := context.WithTimeout(ctx, useTime)
	defer cancel()
	usages, lost, err := h.usageRows(ctx, cards)
	var rotations map[string]broker.SeenVersion
	if err == nil {
		rotations, unreadable, err = h.versionRows(ctx, cards)
	}
	if err != nil {
		usages = nil // half of what is known would look like all of it
		h.log.Warn("audit index not read", "receipt", callerOf(ctx).Receipt, "cause", err.Error())
	}
	var keys []broker.MarkerKey
	for _, c := range cards {
		keys = append(keys, restsOn(c, nil)...)
	}
	revoked, unmarked := h.revokedAmong(ctx, keys)
	if unmarked != nil {
		h.log.Warn("revocations of cards not read", "receipt", callerOf(ctx).Receipt, "cause", unmarked.Error())
	}
	now := h.now()
	found = make([]CardUse, len(cards))
	for i, c := range cards {
		usage := usages[c.binding.Server+"/"+c.binding.Name]
		u := CardUse{LastUsed: instant(usage.Last), LastGood: instant(usage.LastGood), LastReason: string(usage.Reason)}
		var newest time.Time
		for _, f := range c.binding.Fields {
			if r := rotations[f.Reference.WithoutKey().String()]; r.Since.After(newest) {
				newest = r.Since
			}
		}
		u.LastRotated = instant(newest)
		switch stopped := stoppedBy(c, now); {
		case stopped != "":
			u.Health = stopped
		case slices.ContainsFunc(restsOn(c, nil), func(k broker.MarkerKey) bool { return revoked[k] }):
			u.Health = "stopped"
		case err != nil, unmarked != nil, usage.Last.IsZero() && lost > 0:
			u.Health = "unknown"
		default:
			u.Health = healthOf(usage)
		}
		found[i] = u
	}
	return found, unreadable + lost
}

// usageRows asks the index how the calls of some cards went, and how many of its
// rows say nothing.
func (h *Handler) usageRows(ctx context.Context, cards []card) (usages map[string]broker.Usage, unreadable int, err error) {
	if len(cards) == 0 {
		return nil, 0, nil
	}
	var bindings []broker.Binding
	for _, c := range cards {
		bindings = append(bindings, c.binding)
	}
	usages, err = h.evidence.Usages(ctx, h.environment, bindings)
	unreadable, err = h.passedOver(ctx, "usages", err)
	return usages, unreadable, err
}

// versionRows asks the index about the secrets of some cards: MaxPage at a time.
func (h *Handler) versionRows(ctx context.Context, cards []card) (versions map[string]broker.SeenVersion, unreadable int, err error) {
	var secrets []string
	for _, c := range cards {
		for _, f := range c.binding.Fields {
			secrets = append(secrets, f.Reference.WithoutKey().String())
		}
	}
	slices.Sort(secrets)
	versions = map[string]broker.SeenVersion{}
	for some := range slices.Chunk(slices.Compact(secrets), broker.MaxPage) {
		found, err := h.evidence.SeenVersions(ctx, h.environment, some)
		rows, err := h.passedOver(ctx, "versions seen", err)
		if err != nil {
			return nil, 0, err
		}
		unreadable += rows
		for reference, r := range found {
			versions[reference] = r
		}
	}
	return versions, unreadable, nil
}

// restsOn lists what stops every call of a card when it is revoked: with the
// stores that are given, also the secrets with which they are read.
func restsOn(c card, stores []broker.Store) []broker.MarkerKey {
	keys := []broker.MarkerKey{{Kind: broker.ServerMarker, ID: c.binding.Server}, {Kind: broker.BindingMarker, ID: c.binding.Server + "/" + c.binding.Name}}
	if c.binding.Source != broker.Static {
		return keys
	}
	for _, f := range c.binding.Fields {
		if k := (broker.MarkerKey{Kind: broker.StoreMarker, ID: f.Reference.Scheme()}); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return append(keys, broker.RestsOn(broker.Ask{Binding: c.binding, Stores: stores})...)
}

// revokedAmong reads which of some things are revoked.
func (h *Handler) revokedAmong(ctx context.Context, keys []broker.MarkerKey) (map[broker.MarkerKey]bool, error) {
	var once []broker.MarkerKey
	asked, revoked := map[broker.MarkerKey]bool{}, map[broker.MarkerKey]bool{}
	for _, k := range keys {
		if !asked[k] {
			asked[k], once = true, append(once, k)
		}
	}
	for some := range slices.Chunk(once, broker.MaxMarkers) {
		found, err := h.marked.Markers(ctx, h.environment, some)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			revoked[broker.MarkerKey{Kind: m.Kind, ID: m.ID}] = m.Revoked
		}
	}
	return revoked, nil
}

// stoppedBy is why a card refuses every call by itself, or nothing.
func stoppedBy(c card, now time.Time) string {
	b := c.binding
	switch {
	case b.State != broker.Active && b.State != broker.Pending, c.server.State != broker.Active && c.server.State != broker.Pending:
		return "stopped"
	case ended(b, now):
		return "expired"
	case b.State == broker.Pending, c.server.State == broker.Pending, !madeFor(b, c.server):
		return "pending"
	}
	return ""
}

// healthOf judges by the newest call. A call that its caller left, or that
// ended with its caller's own access, or lacked what that one person has to
// consent to, says nothing of the card.
func healthOf(u broker.Usage) string {
	switch {
	case u.Last.IsZero():
		return "unused"
	case u.Reason == "":
		return "good"
	case slices.Contains([]broker.Reason{broker.CallerGone, broker.AccessEnded, broker.TokenExpired, broker.StreamOver,
		broker.ConsentRequired, broker.GrantDead, broker.ScopesNotGranted, broker.AgentNotConsented, broker.PersonRequired}, u.Reason):
		if u.LastGood.IsZero() {
			return "unknown"
		}
		return "good"
	}
	return "failing"
}
