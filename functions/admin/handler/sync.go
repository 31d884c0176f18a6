package handler

import (
	"context"
	"slices"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
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
	Bindings  []SyncedBinding `json:"bindings" doc:"Live bindings that use it; one may get it where another does not: a sealed value opens for one origin"`
}

// SyncList is one page of a sync.
type SyncList struct {
	Items []SyncedView `json:"items"`
	Next  string       `json:"next,omitempty" doc:"after for the next page; absent at the end. A reference with many bindings may go on there"`
}

var syncResults = map[broker.Reason]string{
	"": "ok", broker.SecretMissing: "missing", broker.SecretMalformed: "malformed", broker.StoreDenied: "denied",
	broker.KeyUnavailable: "key", broker.StoreUnavailable: "unavailable",
}

func (h *Handler) syncStore(ctx context.Context, in *struct {
	StorePath
	StorePage
}) (*struct{ Body SyncList }, error) {
	_, stores, wrong := h.usableStore(ctx, in.Store)
	at, err := placeOf(in.After, h.question("sync-store", in.Store))
	if wrong == nil {
		wrong = err
	}
	out := &struct{ Body SyncList }{SyncList{Items: []SyncedView{}}}
	op := admin.Operation{ID: "sync-store", Needs: []admin.Need{need(policy.Sync, storeObject(in.Store))}}
	err = h.desk.Use(ctx, callerOf(ctx), op, admin.Use{Fault: wrong, Ask: func(ctx context.Context) (admin.Used, error) {
		s := &syncing{Handler: h, stores: stores, done: map[string]result{}}
		err := s.page(ctx, in.Store, &at, in.Limit)
		if s.items != nil {
			out.Body.Items = s.items
		}
		return s.used, err
	}})
	if err != nil {
		return nil, fault(err)
	}
	out.Body.Next = at.token()
	return out, nil
}

// syncing is one page of a sync under way.
type syncing struct {
	*Handler
	stores []broker.Store
	done   map[string]result // by everything that a result depends on
	items  []SyncedView
	used   admin.Used
}

type result struct {
	word   string
	reason broker.Reason
}

// page resolves what the uses of one page need, until its time is up.
func (s *syncing) page(ctx context.Context, store string, at *place, limit int) error {
	uses, next, err := s.uses.UsesOfStore(ctx, s.environment, store, at.after, limit)
	if err != nil {
		return err
	}
	until := s.now().Add(syncTime)
	for i, u := range uses {
		if i > 0 && !s.now().Before(until) {
			next = uses[i-1].Token()
			break
		}
		if err := s.use(ctx, u); err != nil {
			return err
		}
	}
	at.after = next
	return nil
}

// use resolves the reference for one binding, if that is live and has it now.
func (s *syncing) use(ctx context.Context, u broker.Use) error {
	b, now, err := s.usedNow(ctx, u)
	if err != nil || !now || b.State != broker.Active || ended(b, s.now()) {
		return err
	}
	server, err := s.liveServer(ctx, u.Route.Server)
	if isMissing(err) {
		return nil
	}
	if err != nil || !madeFor(b, server) {
		return err // a card of another origin gets nothing until it is approved again
	}
	b.Fields = slices.DeleteFunc(slices.Clone(b.Fields), func(f broker.Field) bool { return f.Reference.WithoutKey() != u.Reference })
	got := s.resolve(ctx, b)
	name := u.Reference.String()
	if len(s.items) == 0 || s.items[len(s.items)-1].Reference != name {
		s.items = append(s.items, SyncedView{Reference: name, Result: "ok"})
	}
	last := &s.items[len(s.items)-1]
	last.Bindings = append(last.Bindings, SyncedBinding{BindingName{u.Route.Server, u.Binding}, got.word})
	if last.Result == "ok" {
		last.Result = got.word
	}
	if s.used.Reason == "" {
		s.used.Reason = got.reason
	}
	return nil
}

// resolve reads the secret as a call would, once for all bindings that would get
// the same, and drops it.
func (s *syncing) resolve(ctx context.Context, b broker.Binding) result {
	parts := []string{b.Origin, string(b.Source)}
	for _, f := range b.Fields {
		parts = append(parts, f.Reference.String())
	}
	key := broker.Digest(append([]string{"sync"}, parts...)...)
	if known, done := s.done[key]; done {
		return known
	}
	r := result{reason: broker.ModeUnknown}
	if source := s.registry.Sources[b.Source]; source != nil {
		c, err := source.Obtain(ctx, broker.Ask{Binding: b, Stores: s.stores})
		s.used.Accesses = append(s.used.Accesses, c.Access...)
		r.reason = broker.ReasonOf(err)
	}
	var known bool
	if r.word, known = syncResults[r.reason]; !known {
		r.word = "malformed"
	}
	s.done[key] = r
	return r
}
