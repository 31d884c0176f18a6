package handler

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// Holders asks registered stores about themselves.
type Holders interface {
	CheckStore(ctx context.Context, of broker.Store, stores []broker.Store, used []broker.Reference) (broker.StoreCheck, error)
	ListStore(ctx context.Context, of broker.Store, stores []broker.Store, after string, limit int) ([]broker.Reference, string, error)
}

// CheckView is how a store stands. It holds no secret, and nothing that the
// store said in words.
type CheckView struct {
	Connected   bool           `json:"connected" doc:"The store was reached and takes Bindery's identity"`
	Cause       string         `json:"cause,omitempty" enum:"missing,malformed,denied,key,unavailable" doc:"Why not; missing, malformed and key are about the credential with which Bindery signs in"`
	Detail      string         `json:"detail,omitempty"`
	Warnings    []StoreWarning `json:"warnings"`
	LeastPolicy string         `json:"least_policy" doc:"The rights that Bindery needs there and no more, in the store's own language"`
}

// StoreWarning is what should be otherwise at a store that works.
type StoreWarning struct {
	Word   string   `json:"word" enum:"reads_more,reads_all,writes,root,path_denied,unproven,not_set,key_unbound"`
	Detail string   `json:"detail"`
	Names  []string `json:"names,omitempty" doc:"Paths or variables that it is about, as they are registered or bound"`
}

var storeWarnings = map[string]string{
	broker.ReadsMore:   "Bindery's identity can read outside the registered paths: narrow its policy.",
	broker.ReadsAll:    "The registration allows every path: register those that are needed.",
	broker.Writes:      "Bindery's identity can change or delete secrets, which it never does: take that right away.",
	broker.IsRoot:      "Bindery signs in as root: nothing bounds what a mistake could read.",
	broker.PathDenied:  "Some registered paths are refused, others are not.",
	broker.Unproven:    "The store refuses what does not exist, as it does where rights are bounded to names or tags, and no secret is named that could be asked for. Bind a reference, or register a whole name, and check again.",
	broker.VariableOff: "Registered variables that are not set, or empty.",
	broker.KeyUnbound:  "The key also seals for another environment: bind it by its encryption context.",
}

var checkDetails = map[broker.Reason]cause{
	broker.SecretMissing:    {"missing", "The credential with which Bindery signs in is not there."},
	broker.SecretMalformed:  {"malformed", "The credential with which Bindery signs in cannot be used as one."},
	broker.StoreDenied:      {"denied", "The store refuses Bindery, or the credential with which it signs in."},
	broker.KeyUnavailable:   {"key", "The key cannot be used: disabled, deleted, denied, or another one."},
	broker.StoreUnavailable: {"unavailable", "The store cannot be reached, or does not answer in time."},
}

func (h *Handler) checks() {
	huma.Register(h.api, operation("check-store", http.MethodPost, "/stores/{store}/check",
		"Connect to a store: whether Bindery may read what is registered, whether it may do more, and the least policy to use", 404), h.checkStore)
}

func (h *Handler) checkStore(ctx context.Context, in *StorePath) (*struct{ Body CheckView }, error) {
	store, stores, wrong := h.usableStore(ctx, in.Store)
	out := &struct{ Body CheckView }{CheckView{Warnings: []StoreWarning{}}}
	op := admin.Operation{ID: "check-store", Needs: []admin.Need{need(policy.Verify, storeObject(in.Store))}}
	err := h.desk.Use(ctx, callerOf(ctx), op, admin.Use{Fault: wrong, Ask: func(ctx context.Context) (admin.Used, error) {
		used, err := h.someUsed(ctx, in.Store)
		if err != nil {
			return admin.Used{}, err
		}
		check, err := h.holders.CheckStore(ctx, store, stores, used)
		out.Body.LeastPolicy, out.Body.Connected = check.LeastPolicy, err == nil
		for _, w := range check.Warnings {
			out.Body.Warnings = append(out.Body.Warnings, StoreWarning{w.Word, storeWarnings[w.Word], w.Names})
		}
		if err == nil {
			return admin.Used{}, nil
		}
		reason := broker.ReasonOf(err)
		c, known := checkDetails[reason]
		if !known {
			return admin.Used{Reason: reason}, err
		}
		out.Body.Cause, out.Body.Detail = c.word, c.detail
		return admin.Used{Reason: reason}, nil
	}})
	if err != nil {
		return nil, fault(err)
	}
	return out, nil
}

// usableStore reads a store and, because its own credential may lie in another,
// all that are registered. One that is suspended is not asked: Bindery would
// sign in where somebody stopped it from doing so.
func (h *Handler) usableStore(ctx context.Context, name string) (store broker.Store, all []broker.Store, err error) {
	store, err = h.reader.Store(ctx, h.environment, name)
	switch {
	case err != nil:
		return store, nil, err
	case store.State == broker.Deleted:
		return store, nil, broker.ErrNotFound
	case store.State != broker.Active:
		return store, nil, &broker.Refusal{Reason: broker.StoreUnregistered}
	}
	all, err = h.storeList(ctx).all()
	return store, all, err
}

// maxSomeUsed is how many uses a check looks at.
const maxSomeUsed = 20

// someUsed gives a few references of a store that bindings use now.
func (h *Handler) someUsed(ctx context.Context, store string) (used []broker.Reference, err error) {
	uses, _, err := h.uses.UsesOfStore(ctx, h.environment, store, "", maxSomeUsed)
	for _, u := range uses {
		_, now, err := h.usedNow(ctx, u)
		if err != nil {
			return nil, err
		}
		if now && (len(used) == 0 || used[len(used)-1] != u.Reference) {
			used = append(used, u.Reference)
		}
	}
	return used, err
}

// usedNow reads the card of a use, and reports whether it still has the reference.
func (h *Handler) usedNow(ctx context.Context, u broker.Use) (broker.Binding, bool, error) {
	b, err := h.reader.Binding(ctx, u.Route, u.Binding)
	if isMissing(err) {
		return b, false, nil
	}
	if err != nil || b.State == broker.Deleted {
		return b, false, err
	}
	for _, f := range b.Fields {
		if f.Reference.WithoutKey() == u.Reference {
			return b, true, nil
		}
	}
	return b, false, nil
}
