package handler

import (
	"context"
	"time"

	"bindery/shared/admin"
	"bindery/shared/drift"
	"bindery/shared/policy"
)

// syncTime is when a page of a sync ends with what it has.
const syncTime = 10 * time.Second

// SyncedBinding is what a reference came to for one binding.
type SyncedBinding struct {
	BindingName
	Result string `json:"result" enum:"ok,missing,malformed,denied,key,unavailable"`
}

// SyncedView is what a reference came to, now. It holds nothing of a value.
type SyncedView struct {
	Reference string          `json:"reference" doc:"Without a key"`
	Result    string          `json:"result" enum:"ok,missing,malformed,denied,key,unavailable" doc:"ok where it is for every binding, else the first that is not"`
	Deleting  *time.Time      `json:"deleting,omitempty" doc:"It is scheduled for deletion, and will be gone then"`
	Bindings  []SyncedBinding `json:"bindings" doc:"Live bindings that use it; one may get it where another does not: a sealed value opens for one origin"`
}

// SyncList is one page of a sync.
type SyncList struct {
	Items []SyncedView `json:"items"`
	Next  string       `json:"next,omitempty" doc:"after for the next page; absent at the end. A reference with many bindings may go on there"`
}

func (h *Handler) syncStore(ctx context.Context, in *struct {
	StorePath
	StorePage
}) (*struct{ Body SyncList }, error) {
	store, stores, wrong := h.usableStore(ctx, in.Store)
	at, err := placeOf(in.After, h.question("sync-store", in.Store))
	if wrong == nil {
		wrong = err
	}
	out := &struct{ Body SyncList }{SyncList{Items: []SyncedView{}}}
	op := admin.Operation{ID: "sync-store", Needs: []admin.Need{need(policy.Sync, storeObject(in.Store))}}
	err = h.desk.Use(ctx, callerOf(ctx), op, admin.Use{Fault: wrong, Ask: func(ctx context.Context) (admin.Used, error) {
		s := h.newSync(ctx, store, stores, at.after)
		next, err := s.page(ctx, in.Limit)
		at.after = next
		var used admin.Used
		for _, sight := range s.sights {
			used.Accesses = append(used.Accesses, sight.Accesses...)
			if used.Reason == "" {
				used.Reason = sight.Reason()
			}
			if len(sight.Cards) > 0 {
				out.Body.Items = append(out.Body.Items, viewSynced(sight))
			}
		}
		return used, err
	}})
	if err != nil {
		return nil, fault(err)
	}
	out.Body.Next = at.token()
	return out, nil
}

func viewSynced(s drift.Sight) SyncedView {
	v := SyncedView{Reference: s.Reference.String(), Result: s.Result(), Deleting: instant(s.Inspection.Deleting), Bindings: []SyncedBinding{}}
	for _, c := range s.Cards {
		v.Bindings = append(v.Bindings, SyncedBinding{BindingName{c.Server, c.Binding}, c.Result})
	}
	return v
}
