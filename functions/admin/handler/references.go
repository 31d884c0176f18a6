package handler

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// StorePage is one page of what a store holds or is used for.
type StorePage struct {
	After string `query:"after" doc:"next of the page before" maxLength:"8192"`
	Limit int    `query:"limit" doc:"Most references of a page; a page may hold fewer and not be the last" minimum:"1" maximum:"100" default:"50"`
}

// BindingName names a card.
type BindingName struct {
	Server  string `json:"server"`
	Binding string `json:"binding"`
}

// ReferenceView is a reference and who uses it now.
type ReferenceView struct {
	Reference string        `json:"reference" example:"aws-sm:prod/github" doc:"Without a key: members of a secret are not named"`
	Bindings  []BindingName `json:"bindings" doc:"Bindings whose card has it now"`
	More      bool          `json:"more,omitempty" doc:"More bindings use it than are named"`
	Revoked   string        `json:"revoked,omitempty" doc:"Case that has revoked it"`
}

// ReferenceList is one page of references.
type ReferenceList struct {
	Items    []ReferenceView `json:"items"`
	Listable bool            `json:"listable" doc:"false: the store does not let Bindery list; these are the references that bindings use"`
	Next     string          `json:"next,omitempty" doc:"after for the next page; absent at the end"`
}

func (h *Handler) references() {
	huma.Register(h.api, operation("list-references", http.MethodGet, "/stores/{store}/references",
		"List the names that a store holds inside its registered paths, and the bindings that use each", 404), h.listReferences)
	huma.Register(h.api, operation("sync-store", http.MethodPost, "/stores/{store}/sync",
		"Resolve every reference of a store that a live binding uses, now", 404), h.syncStore)
}

// How a list of references goes on: by what the store holds, or by what is used.
const (
	heldPages = "h"
	usedPages = "u"
)

func (h *Handler) listReferences(ctx context.Context, in *struct {
	StorePath
	StorePage
}) (*struct{ Body ReferenceList }, error) {
	store, stores, wrong := h.usableStore(ctx, in.Store)
	at, err := placeOf(in.After, h.question("list-references", in.Store))
	if wrong == nil {
		wrong = err
	}
	out := &struct{ Body ReferenceList }{ReferenceList{Items: []ReferenceView{}}}
	op := admin.Operation{ID: "list-references", Needs: []admin.Need{need(policy.ListNames, storeObject(in.Store))}}
	err = h.desk.Use(ctx, callerOf(ctx), op, admin.Use{Fault: wrong, Ask: func(ctx context.Context) (_ admin.Used, err error) {
		used, isUsed := strings.CutPrefix(at.after, usedPages)
		held := strings.TrimPrefix(at.after, heldPages)
		if !isUsed {
			var names []broker.Reference
			names, held, err = h.holders.ListStore(ctx, store, stores, held, in.Limit)
			out.Body.Listable = err == nil
			if err == nil {
				out.Body.Items, err = h.usersOf(ctx, names)
				at.after = following(heldPages, held)
				return admin.Used{}, err
			}
			if !errors.Is(err, broker.ErrStoreDenied) || held != "" {
				return admin.Used{}, err
			}
		}
		out.Body.Items, used, err = h.usedOf(ctx, in.Store, used, in.Limit)
		at.after = following(usedPages, used)
		return admin.Used{}, err
	}})
	if err != nil {
		return nil, fault(err)
	}
	out.Body.Next = at.token()
	return out, nil
}

// markRevoked says of each reference whether it is revoked.
func (h *Handler) markRevoked(ctx context.Context, views []ReferenceView) error {
	keys := make([]broker.MarkerKey, len(views))
	for i, v := range views {
		keys[i] = broker.MarkerKey{Kind: broker.ReferenceMarker, ID: v.Reference}
	}
	found, err := h.marked.Markers(ctx, h.environment, keys)
	if err != nil {
		return err
	}
	cases := map[string]string{}
	for _, m := range found {
		if m.Revoked {
			cases[m.ID] = m.Revocation
		}
	}
	for i, v := range views {
		views[i].Revoked = cases[v.Reference]
	}
	return nil
}

// following is where the next page begins, or nothing where there is none.
func following(mode, next string) string {
	if next == "" {
		return ""
	}
	return mode + next
}

// Bounds of the bindings of a page.
const (
	maxUsers  = 20 // of one reference
	sideReads = 8  // references looked up side by side
)

// usersOf finds the bindings that use each reference now.
func (h *Handler) usersOf(ctx context.Context, names []broker.Reference) ([]ReferenceView, error) {
	views, faults := make([]ReferenceView, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	turns := make(chan struct{}, sideReads)
	for i, name := range names {
		turns <- struct{}{}
		all.Go(func() {
			views[i], faults[i] = h.users(ctx, name)
			<-turns
		})
	}
	all.Wait()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return views, h.markRevoked(ctx, views)
}

func (h *Handler) users(ctx context.Context, name broker.Reference) (ReferenceView, error) {
	v := ReferenceView{Reference: name.String(), Bindings: []BindingName{}}
	uses, next, err := h.uses.UsesOfReference(ctx, h.environment, name, "", maxUsers)
	if err != nil {
		return v, err
	}
	v.More = next != ""
	for _, u := range uses {
		_, now, err := h.usedNow(ctx, u)
		if err != nil {
			return v, err
		}
		if now {
			v.Bindings = append(v.Bindings, BindingName{u.Route.Server, u.Binding})
		}
	}
	return v, nil
}

// usedOf gives the references of a store that bindings use now. One whose
// bindings do not fit goes on on the next page.
func (h *Handler) usedOf(ctx context.Context, store, after string, limit int) (views []ReferenceView, next string, err error) {
	uses, next, err := h.uses.UsesOfStore(ctx, h.environment, store, after, limit)
	views = []ReferenceView{}
	for _, u := range uses {
		_, now, err := h.usedNow(ctx, u)
		if err != nil {
			return nil, "", err
		}
		name := u.Reference.String()
		if !now {
			continue
		}
		if len(views) == 0 || views[len(views)-1].Reference != name {
			views = append(views, ReferenceView{Reference: name})
		}
		last := &views[len(views)-1]
		last.Bindings = append(last.Bindings, BindingName{u.Route.Server, u.Binding})
	}
	if err == nil {
		err = h.markRevoked(ctx, views)
	}
	return views, next, err
}
