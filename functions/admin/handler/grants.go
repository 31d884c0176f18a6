package handler

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/broker"
)

// GrantView is what is known of one person's consent at one upstream. What it
// seals is never read for it.
type GrantView struct {
	Principal    string     `json:"principal"`
	Server       string     `json:"server"`
	Origin       string     `json:"origin" doc:"Digest of the server's origin that it was given for: at another it is of no use"`
	State        string     `json:"state" enum:"active,dead,expired,revoked" doc:"dead: the provider no longer honours it, and the person is asked again"`
	Provider     string     `json:"provider,omitempty" doc:"Absent: a key that the person typed in"`
	Scopes       []string   `json:"scopes" doc:"That the person granted"`
	Generation   int64      `json:"generation" doc:"Counts the consents"`
	Consented    time.Time  `json:"consented" doc:"When this one was given"`
	Until        *time.Time `json:"until,omitempty" doc:"End of the consent"`
	TokenExpires *time.Time `json:"token_expires,omitempty" doc:"Of the access token that is stored"`
	Refreshes    bool       `json:"refreshes" doc:"There is a refresh token"`
	DeadSince    *time.Time `json:"dead_since,omitempty"`
	CoolingUntil *time.Time `json:"cooling_until,omitempty" doc:"The provider was in trouble: it is not asked before"`
	Failures     int        `json:"failures,omitempty" doc:"Refreshes in a row that failed and may pass"`
	Fault        string     `json:"fault,omitempty" doc:"A word for the last failure"`
	Ended        *time.Time `json:"ended,omitempty" doc:"Since when it is revoked"`
}

// Grants is one page.
type Grants struct {
	Items []GrantView `json:"items"`
	Next  string      `json:"next,omitempty" doc:"after for the next page; absent at the end"`

	Unreadable int `json:"unreadable,omitempty" doc:"Grants of this page that do not decode: no call uses them"`
}

func (h *Handler) grantOperations() {
	huma.Register(h.api, operation("list-grants", http.MethodGet, "/principals/{principal}/grants",
		"What a person has consented to: where, with which scopes, and how it stands"), h.listGrants)
}

// listGrants says nothing of whether the person exists: nobody has consented to
// nothing in the same words.
func (h *Handler) listGrants(ctx context.Context, in *struct {
	Principal string `path:"principal" minLength:"1" maxLength:"256" doc:"Id (p-...), as in audit records"`
	Page
}) (*struct{ Body Grants }, error) {
	about := "grants"
	wrong := broker.CheckPrincipal(in.Principal)
	if wrong == nil {
		about += "/" + in.Principal
	}
	if err := h.askAudit(ctx, "list-grants", about); err != nil {
		return nil, err
	}
	if wrong != nil {
		return nil, fault(wrong)
	}
	found, next, err := h.grants.GrantsOf(ctx, h.environment, in.Principal, in.After, in.Limit)
	unreadable, err := h.passedOver(ctx, "grants", err)
	if err != nil {
		return nil, fault(err)
	}
	out := Grants{Items: []GrantView{}, Next: next, Unreadable: unreadable}
	for _, g := range found {
		out.Items = append(out.Items, viewGrant(g, h.now()))
	}
	return &struct{ Body Grants }{out}, nil
}

func viewGrant(g broker.Grant, now time.Time) GrantView {
	v := GrantView{Principal: g.Principal, Server: g.Server, Origin: g.Origin, State: grantState(g, now), Provider: g.Provider,
		Scopes: append([]string{}, g.Scopes...), Generation: g.Generation, Consented: g.Consented.UTC(), Until: instant(g.Until),
		TokenExpires: instant(g.Expires), Refreshes: g.Refreshes, DeadSince: instant(g.Dead), Failures: g.Failures, Fault: g.Fault, Ended: instant(g.Ended)}
	if now.Before(g.CoolUntil) {
		v.CoolingUntil = instant(g.CoolUntil)
	}
	slices.Sort(v.Scopes)
	return v
}

func grantState(g broker.Grant, now time.Time) string {
	switch {
	case g.State != broker.Active:
		return "revoked"
	case !g.Until.IsZero() && !now.Before(g.Until):
		return "expired"
	case !g.Dead.IsZero():
		return "dead"
	}
	return "active"
}
