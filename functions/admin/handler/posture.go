package handler

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// PostureRow is how one binding stands, for a review of all of them.
type PostureRow struct {
	Server      string     `json:"server"`
	Binding     string     `json:"binding"`
	Version     int64      `json:"version"`
	Environment string     `json:"environment"`
	Owner       string     `json:"owner"`
	Stores      []string   `json:"stores" doc:"Where its secrets lie"`
	Material    string     `json:"material" enum:"reference,local_value,both,grant,token,none" doc:"local_value: entered by a person and sealed; grant: each person's own, sealed; token: a provider issues it"`
	Audience    string     `json:"audience" enum:"shared,per_person" doc:"per_person: the card names one principal, or each person uses their own"`
	Provider    string     `json:"provider,omitempty" doc:"Who issues the tokens"`
	Propagation bool       `json:"propagation" doc:"Verified attributes of the caller reach the upstream"`
	Masking     bool       `json:"masking" doc:"Always on: there is no switch"`
	State       string     `json:"state"`
	ServerState string     `json:"server_state"`
	Pending     bool       `json:"pending"`
	Expires     *time.Time `json:"expires,omitempty"`
	CardUse
}

// Posture is one page.
type Posture struct {
	Items []PostureRow `json:"items"`
	Next  string       `json:"next,omitempty" doc:"after for the next page; absent at the end"`

	Unreadable int `json:"unreadable,omitempty" doc:"Rows of the audit index on these cards that do not decode: what they say of a card's use is missing, and its health is unknown where it would follow from them"`
}

func (h *Handler) postures() {
	huma.Register(h.api, h.sheetOperation(reflect.TypeFor[Posture](), "list-posture", "/posture", "How each binding stands: where its secrets lie, for whom, and how it is used"), h.listPosture)
}

// listPosture shows the cards of the servers that the caller may see.
func (h *Handler) listPosture(ctx context.Context, in *Table) (*sheet, error) {
	if err := h.askList(ctx, "list-posture", admin.Object{Kind: bindingKind}); err != nil {
		return nil, err
	}
	at, err := placeOf(in.After, h.question("list-posture"))
	if err != nil {
		return nil, fault(err)
	}
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	stores, err := h.storeList(ctx).all()
	if err != nil {
		return nil, fault(err)
	}
	shown := func(s broker.Server) bool {
		return h.desk.Sees(callerOf(ctx), need(policy.Read, admin.Object{Kind: bindingKind, Server: s.Name, Owner: s.Owner}))
	}
	var cards []card
	at.after, err = h.tourPage(ctx, at.after, shown, func(s broker.Server, b broker.Binding) bool {
		if len(cards) == in.Limit {
			return false
		}
		cards = append(cards, card{s, b})
		return true
	})
	if err != nil {
		return nil, fault(err)
	}
	out := Posture{Items: []PostureRow{}, Next: at.token()}
	rows := [][]string{}
	uses, unreadable := h.usesOf(ctx, cards)
	out.Unreadable = unreadable
	for i, use := range uses {
		v := viewPosture(cards[i], stores, use)
		out.Items = append(out.Items, v)
		rows = append(rows, v.cells())
	}
	return newSheet(in.Format, out, out.Next, nil, unreadable, postureHeader(), rows), nil
}

func viewPosture(c card, stores []broker.Store, use CardUse) PostureRow {
	view := viewBinding(c.binding, c.server)
	v := PostureRow{Server: view.Server, Binding: view.Name, Version: view.Version, Environment: view.Environment, Owner: view.Owner, Stores: []string{},
		Audience: "shared", Provider: view.Provider, Propagation: len(c.server.Propagate) > 0, Masking: true, State: view.State, ServerState: string(c.server.State),
		Pending: view.Pending, Expires: view.Expires, CardUse: use}
	if c.binding.Actor.Principal != "" || c.binding.Mode == broker.UserDelegated {
		v.Audience = "per_person"
	}
	local, referred := false, false
	for _, f := range c.binding.Fields {
		name := f.Reference.Scheme()
		if !slices.Contains(v.Stores, name) {
			v.Stores = append(v.Stores, name)
		}
		sealed := slices.ContainsFunc(stores, func(s broker.Store) bool { return s.Name == name && s.Kind == "sealed" })
		local, referred = local || sealed, referred || !sealed
	}
	slices.Sort(v.Stores)
	v.Material = map[[2]bool]string{{true, false}: "local_value", {false, true}: "reference", {true, true}: "both", {false, false}: "none"}[[2]bool{local, referred}]
	switch c.binding.Source {
	case broker.AuthorizationCode, broker.PersonalKey:
		v.Material = "grant"
	case broker.ClientCredentials, broker.TokenExchange:
		v.Material = "token"
	case broker.Static:
	}
	return v
}

func postureHeader() []string {
	return []string{"server", "binding", "version", "environment", "owner", "stores", "material", "audience", "provider", "propagation", "masking", "state",
		"server_state", "pending", "expires", "last_used", "last_good", "last_rotated", "last_reason", "health"}
}

func (v PostureRow) cells() []string {
	return []string{v.Server, v.Binding, number(v.Version), v.Environment, v.Owner, several(v.Stores), v.Material, v.Audience, v.Provider,
		strconv.FormatBool(v.Propagation), strconv.FormatBool(v.Masking), v.State, v.ServerState, strconv.FormatBool(v.Pending), clock(v.Expires),
		clock(v.LastUsed), clock(v.LastGood), clock(v.LastRotated), v.LastReason, v.Health}
}
