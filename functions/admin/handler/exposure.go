package handler

import (
	"cmp"
	"context"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/broker"
)

// ExposedBinding is a binding through which a subject could be used, or could
// use something.
type ExposedBinding struct {
	Server      string     `json:"server"`
	Binding     string     `json:"binding"`
	Version     int64      `json:"version"`
	Environment string     `json:"environment"`
	By          string     `json:"by" enum:"person,agent,group,attribute,anyone" doc:"Whom it covers"`
	Actor       Actor      `json:"actor"`
	References  []string   `json:"references" doc:"Those that were asked about, as field=reference"`
	Mode        string     `json:"mode"`
	Owner       string     `json:"owner"`
	State       string     `json:"state" doc:"revoked, where a revocation of the card stands, whatever its row says"`
	ServerState string     `json:"server_state" doc:"As state"`
	Pending     bool       `json:"pending" doc:"It refuses until it is put again: the server was moved"`
	Expires     *time.Time `json:"expires,omitempty"`
	Unknown     string     `json:"cannot_enumerate,omitempty" doc:"What Bindery cannot know of whom it covers"`
	Calls       string     `json:"calls" enum:"possible,stopped,expired,pending,unknown" doc:"What a call that it covers meets now, as far as environment, server, card, its stores and revocations say; unknown: they cannot be read"`
	Revoked     []string   `json:"revoked" doc:"What is revoked of all it rests on, as kind/subject"`

	card card
}

// ExposedBindings is one page.
type ExposedBindings struct {
	Items   []ExposedBinding `json:"items"`
	Next    string           `json:"next,omitempty" doc:"after for the next page; absent at the end"`
	Unknown []string         `json:"cannot_enumerate" doc:"What the bindings of this page do not say"`
	SignsIn []string         `json:"signs_in" doc:"Stores to which Bindery signs in with the reference: whoever may use them depends on it"`
	Clients []string         `json:"clients" doc:"Providers at which Bindery is a client with the reference: whoever gets tokens there depends on it"`
}

func (h *Handler) exposures() {
	huma.Register(h.api, h.sheetOperation(reflect.TypeFor[ExposedBindings](), "list-exposed-bindings", "/exposure/bindings",
		"Who could use a reference, a store or a binding; what a principal or an agent could use"), h.exposedBindings)
	huma.Register(h.api, h.sheetOperation(reflect.TypeFor[SeenPeople](), "list-seen-people", "/exposure/people",
		"Who used a reference, a store or a binding; what a principal or an agent used, and when"), h.seenPeople)
}

func (h *Handler) exposedBindings(ctx context.Context, in *struct {
	Table
	Subject
}) (*sheet, error) {
	of, wrong := in.Subject.parse()
	if err := h.askAudit(ctx, "list-exposed-bindings", of.about()); err != nil {
		return nil, err
	}
	at, err := placeOf(in.After, h.question("list-exposed-bindings", string(of.kind), of.id))
	if err = cmp.Or(wrong, err); err != nil {
		return nil, fault(err)
	}
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	out := ExposedBindings{Items: []ExposedBinding{}, Unknown: []string{}}
	if out.SignsIn, err = h.signsIn(ctx, of.reference); err != nil {
		return nil, fault(err)
	}
	if out.Clients, err = h.clients(ctx, of.reference); err != nil {
		return nil, fault(err)
	}
	if out.Items, at.after, err = h.exposed(ctx, of, at.after, in.Limit); err != nil {
		return nil, fault(err)
	}
	if of.kind == broker.SeenReference {
		out.Unknown = append(out.Unknown, otherSpellings)
	}
	rows := [][]string{}
	for _, v := range out.Items {
		out.Unknown = addSentence(out.Unknown, v.Unknown)
		rows = append(rows, v.cells())
	}
	out.Next = at.token()
	return newSheet(in.Format, out, out.Next, nil, 0, exposedHeader(), rows), nil
}

// exposed gives one page of bindings, each with what a call through it meets.
func (h *Handler) exposed(ctx context.Context, of subject, after string, limit int) ([]ExposedBinding, string, error) {
	items, next, err := h.exposedRows(ctx, of, after, limit)
	if err == nil {
		h.seenByCalls(ctx, items)
	}
	return items, next, err
}

// exposedRows gives one page of bindings. A store, a reference and a binding are
// looked up; for a principal or an agent all cards are gone through.
func (h *Handler) exposedRows(ctx context.Context, of subject, after string, limit int) (items []ExposedBinding, next string, err error) {
	switch of.kind {
	case broker.SeenReference:
		return h.exposedByUse(ctx, after, limit, func(after string, limit int) ([]broker.Use, string, error) {
			return h.uses.UsesOfReference(ctx, h.environment, of.reference, after, limit)
		})
	case broker.SeenStore:
		return h.exposedByUse(ctx, after, limit, func(after string, limit int) ([]broker.Use, string, error) {
			return h.uses.UsesOfStore(ctx, h.environment, of.id, after, limit)
		})
	case broker.SeenBinding:
		server, binding, _ := strings.Cut(of.id, "/")
		items, err = h.exposedOf(ctx, []broker.Use{{Route: h.route(server), Binding: binding}})
		return items, "", err
	case broker.SeenPrincipal, broker.SeenAgent:
	}
	items = []ExposedBinding{}
	next, err = h.tourPage(ctx, after, func(broker.Server) bool { return true }, func(s broker.Server, b broker.Binding) bool {
		by := of.through(b.Actor)
		if by != "" && len(items) == limit {
			return false
		}
		if by != "" {
			items = append(items, viewExposed(s, b, broker.Reference{}))
		}
		return true
	})
	return items, next, err
}

// exposedStep is how many cards are read side by side.
const exposedStep = 25

// exposedByUse follows an index of uses, and reads the card of each: the index
// may name cards that no longer have the reference.
func (h *Handler) exposedByUse(ctx context.Context, after string, limit int, read func(string, int) ([]broker.Use, string, error)) (items []ExposedBinding, next string, err error) {
	items, next = []ExposedBinding{}, after
	for range pageReads {
		uses, further, err := read(next, min(exposedStep, limit-len(items)))
		var found []ExposedBinding
		if err == nil {
			found, err = h.exposedOf(ctx, uses)
		}
		if err != nil && over(ctx, next != after) {
			return items, next, nil
		}
		if err != nil {
			return nil, "", err
		}
		items, next = append(items, found...), further
		if next == "" || len(items) == limit {
			break
		}
	}
	return items, next, nil
}

// exposedOf reads the cards of some uses, in their order.
func (h *Handler) exposedOf(ctx context.Context, uses []broker.Use) ([]ExposedBinding, error) {
	type card struct {
		server  broker.Server
		binding broker.Binding
		err     error
	}
	cards := make([]card, len(uses))
	var all sync.WaitGroup
	for i, u := range uses {
		all.Go(func() {
			c := &cards[i]
			if c.binding, c.err = h.reader.Binding(ctx, u.Route, u.Binding); c.err == nil {
				c.server, c.err = h.reader.Server(ctx, u.Route)
			}
		})
	}
	all.Wait()
	found := []ExposedBinding{}
	for i, c := range cards {
		switch {
		case c.err != nil && !isMissing(c.err):
			return nil, c.err
		case c.err != nil, c.binding.State == broker.Deleted, c.server.State == broker.Deleted:
		case uses[i].Reference.IsZero(), len(references(c.binding, uses[i].Reference)) > 0:
			found = append(found, viewExposed(c.server, c.binding, uses[i].Reference))
		}
	}
	return found, nil
}

// signsIn names the stores whose sign-in is a reference.
func (h *Handler) signsIn(ctx context.Context, r broker.Reference) ([]string, error) {
	names := []string{}
	if r.IsZero() {
		return names, nil
	}
	stores, err := h.storeList(ctx).all()
	for _, s := range stores {
		if s.State != broker.Deleted && s.Auth.Credential.WithoutKey() == r {
			names = append(names, s.Name)
		}
	}
	return names, err
}

// clients names the providers whose client secret is a reference.
func (h *Handler) clients(ctx context.Context, r broker.Reference) ([]string, error) {
	names := []string{}
	if r.IsZero() {
		return names, nil
	}
	providers, err := h.providerList(ctx).all()
	for _, p := range providers {
		if p.State != broker.Deleted && p.ClientSecret.WithoutKey() == r {
			names = append(names, p.Name)
		}
	}
	return names, err
}

func viewExposed(s broker.Server, b broker.Binding, of broker.Reference) ExposedBinding {
	view := viewBinding(b, s)
	by := actorForm(b.Actor)
	return ExposedBinding{Server: b.Server, Binding: b.Name, Version: b.Version, Environment: b.Environment, By: by, Actor: view.Actor,
		References: append([]string{}, references(b, of)...), Mode: view.Mode, Owner: b.Owner, State: view.State, ServerState: string(s.State),
		Pending: view.Pending, Expires: view.Expires, Unknown: strings.TrimSpace(unknown(by) + " " + ownCredentials(b)),
		Revoked: []string{}, card: card{s, b}}
}

func exposedHeader() []string {
	return []string{"server", "binding", "version", "environment", "by", "actor", "references", "mode", "owner", "state", "server_state",
		"pending", "expires", "cannot_enumerate", "calls", "revoked"}
}

func (v ExposedBinding) cells() []string {
	return []string{v.Server, v.Binding, number(v.Version), v.Environment, v.By, actorText(v.card.binding.Actor), several(v.References), v.Mode, v.Owner, v.State,
		v.ServerState, strconv.FormatBool(v.Pending), clock(v.Expires), v.Unknown, v.Calls, several(v.Revoked)}
}
