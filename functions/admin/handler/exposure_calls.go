package handler

import (
	"context"

	"bindery/shared/broker"
)

// seenByCalls says of each card what a call that it covers meets now. Rows alone
// do not say it: what is revoked stands in a marker beside them.
func (h *Handler) seenByCalls(ctx context.Context, items []ExposedBinding) {
	if len(items) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), useTime) // a page may have taken all of its own
	defer cancel()
	now, err := h.standingNow(ctx, items)
	if err != nil {
		h.log.Warn("what calls would meet not read", "receipt", callerOf(ctx).Receipt, "cause", failureOf(err))
	}
	for i := range items {
		if err != nil {
			items[i].Calls = "unknown"
			continue
		}
		now.tell(&items[i], h)
	}
}

// callsNow is what every decision of the environment reads.
type callsNow struct {
	open    bool // the environment serves
	stores  []broker.Store
	revoked map[broker.MarkerKey]bool
}

func (h *Handler) standingNow(ctx context.Context, items []ExposedBinding) (now callsNow, err error) {
	e, err := h.reader.Environment(ctx, h.environment)
	if err != nil && !isMissing(err) {
		return now, err
	}
	now.open = err == nil && e.State == broker.Active
	if now.stores, err = h.storeList(ctx).all(); err != nil {
		return now, err
	}
	var keys []broker.MarkerKey
	for _, v := range items {
		keys = append(keys, now.restsOn(v.card)...)
	}
	now.revoked, err = h.revokedAmong(ctx, keys)
	return now, err
}

// restsOn lists what stops every call through a card when it is revoked, those
// whom the card names among it.
func (n callsNow) restsOn(c card) []broker.MarkerKey {
	in := c.binding.Environment
	keys := []broker.MarkerKey{{Kind: broker.EverythingMarker, ID: in}, {Kind: broker.EnvironmentMarker, ID: in}}
	a := c.binding.Actor
	for _, k := range []broker.MarkerKey{{Kind: broker.PrincipalMarker, ID: a.Principal}, {Kind: broker.AgentMarker, ID: a.Agent}, {Kind: broker.GroupMarker, ID: a.Group}} {
		if k.ID != "" {
			keys = append(keys, k)
		}
	}
	return append(keys, restsOn(c, n.stores)...)
}

func (n callsNow) tell(v *ExposedBinding, h *Handler) {
	for _, k := range n.restsOn(v.card) {
		if !n.revoked[k] {
			continue
		}
		v.Revoked = append(v.Revoked, string(k.Kind)+"/"+k.ID)
		switch k.Kind {
		case broker.BindingMarker:
			v.State = string(broker.Revoked)
		case broker.ServerMarker:
			v.ServerState = string(broker.Revoked)
		default: // no state of the card's own
		}
	}
	switch stopped := stoppedBy(v.card, h.now()); {
	case stopped != "":
		v.Calls = stopped
	case len(v.Revoked) > 0, !n.open, !n.storesOpen(v.card.binding):
		v.Calls = "stopped"
	default:
		v.Calls = "possible"
	}
}

// storesOpen reports whether every store of a card's references is active.
func (n callsNow) storesOpen(b broker.Binding) bool {
	active := map[string]bool{}
	for _, s := range n.stores {
		active[s.Name] = s.State == broker.Active
	}
	for _, f := range b.Fields {
		if !active[f.Reference.Scheme()] {
			return false
		}
	}
	return true
}
