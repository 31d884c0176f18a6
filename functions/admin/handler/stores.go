package handler

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

// StoreBody registers a secret store.
type StoreBody struct {
	Kind            string     `json:"kind" enum:"aws-sm,sealed,vault,env" doc:"What kind of store it is"`
	Paths           []string   `json:"paths" minItems:"1" maxItems:"64" doc:"What may be read there: exact, or a prefix followed by *; of env each variable by its whole name"`
	Address         string     `json:"address,omitempty" format:"uri" maxLength:"2048" doc:"Of a vault: https, without a path"`
	Namespace       string     `json:"namespace,omitempty" maxLength:"256" doc:"Of a vault"`
	Networks        []string   `json:"networks,omitempty" maxItems:"16" doc:"Private ranges opened for it (CIDR); super_admin only"`
	Auth            *StoreAuth `json:"auth,omitempty" doc:"How Bindery signs in at a vault"`
	MaxValueAgeDays int        `json:"max_value_age_days,omitempty" minimum:"0" maximum:"3650" doc:"A value that is older is a notice; 0: it may grow as old as it likes"`
	State           string     `json:"state" enum:"active,suspended"`
}

// StoreAuth is how Bindery signs in at a store. It never holds a secret.
type StoreAuth struct {
	Method     string `json:"method" enum:"token,jwt,aws-iam"`
	Mount      string `json:"mount,omitempty" maxLength:"128" doc:"Where the method is mounted, if not under its own name"`
	Role       string `json:"role,omitempty" maxLength:"128"`
	Credential string `json:"credential,omitempty" maxLength:"1024" doc:"Reference of the token or JWT, in another store" example:"aws-sm:prod/vault#token"`
	ServerID   string `json:"server_id,omitempty" maxLength:"256" doc:"X-Vault-AWS-IAM-Server-ID"`
}

// StoreView is a store as it is read.
type StoreView struct {
	Name        string `json:"name" doc:"The scheme of its references"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	Revoked     string `json:"revoked,omitempty" doc:"Case that has revoked it; said when it is read alone"`
	StoreBody
}

type StorePath struct {
	Store string `path:"store" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) stores() {
	huma.Register(h.api, operation("list-stores", http.MethodGet, "/stores", "List stores"), h.listStores)
	huma.Register(h.api, operation("get-store", http.MethodGet, "/stores/{store}", "Read a store", 404), h.getStore)
	huma.Register(h.api, operation("delete-store", http.MethodDelete, "/stores/{store}", "Delete a store: its references are refused, and its name is never used again", 404, 409, 412, 413, 422, 428), h.deleteStore)
	huma.Register(h.api, operation("put-store", http.MethodPut, "/stores/{store}", "Register or change a store", 409, 412, 413, 415, 422, 428), h.putStore)
}

func (h *Handler) listStores(ctx context.Context, in *struct{ Page }) (*listing[StoreView], error) {
	if err := h.askList(ctx, "list-stores", admin.Object{Kind: storeKind}); err != nil {
		return nil, err
	}
	return listed(in.Page, h.storeList(ctx),
		func(s broker.Store) (StoreView, bool) {
			return viewStore(s), h.shows(ctx, s.State, storeObject(s.Name))
		})
}

func storeObject(name string) admin.Object { return admin.Object{Kind: storeKind, Name: name} }

func (h *Handler) getStore(ctx context.Context, in *StorePath) (*one[StoreView], error) {
	s, err := h.reader.Store(ctx, h.environment, in.Store)
	err = live(s.State, err)
	if asked := h.ask(ctx, "get-store", storeObject(in.Store)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	view := viewStore(s)
	if view.Revoked, err = h.stoppedBy(ctx, broker.StoreMarker, s.Name); err != nil {
		return nil, fault(err)
	}
	return &one[StoreView]{tag(s.Version), view}, nil
}

func (h *Handler) deleteStore(ctx context.Context, in *struct {
	StorePath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.reader.Store(ctx, h.environment, in.Store)
	if err == nil {
		err = erasable(ctx, version, current.Version, current.State)
	}
	op := admin.Operation{ID: "delete-store", Needs: []admin.Need{need(policy.Delete, storeObject(in.Store))}}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, op, viewStore(current), in.DryRun, err, func(ctx context.Context) error { return h.registry.Writer.PutStore(ctx, next) })
}

type putStoreInput struct {
	StorePath
	Condition
	Body StoreBody
}

func (h *Handler) putStore(ctx context.Context, in *putStoreInput) (*one[StoreView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.reader.Store(ctx, h.environment, in.Store)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	next, err := in.Body.row(h.environment, in.Store, version)
	if err != nil {
		return nil, fault(err)
	}
	op := admin.Operation{ID: "put-store", Needs: storeNeeds(current, next)}
	wrong := stale(ctx, version, current.Version, current.State)
	if wrong == nil && in.DryRun {
		wrong = h.registry.ValidStore(next)
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewStore(current)), After: viewStore(next), Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error { return h.registry.PutStore(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[StoreView]{tag(next.Version), viewStore(next)}, nil
}

// storeNeeds is what a change takes: where Bindery signs in, with which
// credential, and which private networks are open, are more than the rest.
func storeNeeds(current, next broker.Store) []admin.Need {
	on := storeObject(next.Name)
	needs := append([]admin.Need{put(current.Version > 0, on)}, stateNeeds(string(current.State), string(next.State), on)...)
	if current.Address != next.Address { // also of a new store: the first address gets a credential as any other does
		needs = append(needs, need(policy.SetOrigin, on))
	}
	if credential := next.Auth.Credential; !credential.IsZero() && credential != current.Auth.Credential {
		needs = append(needs, need(policy.Bind, admin.Object{Kind: referenceKind, Name: credential.String()}))
	}
	if fmt.Sprint(current.Networks) != fmt.Sprint(next.Networks) || current.Address != next.Address && len(next.Networks) > 0 {
		needs = append(needs, need(policy.OpenNetworks, on))
	}
	return needs
}

func (b StoreBody) row(environment, name string, version int64) (s broker.Store, err error) {
	s = broker.Store{Environment: environment, Name: name, Kind: b.Kind, Paths: broker.Scope(b.Paths), Version: version, State: broker.State(b.State),
		Address: b.Address, Namespace: b.Namespace, MaxValueAge: time.Duration(b.MaxValueAgeDays) * 24 * time.Hour}
	if s.Networks, err = networks(b.Networks); err != nil || b.Auth == nil {
		return s, err
	}
	s.Auth = broker.StoreAuth{Method: broker.AuthMethod(b.Auth.Method), Mount: b.Auth.Mount, Role: b.Auth.Role, ServerID: b.Auth.ServerID}
	if b.Auth.Credential != "" {
		if s.Auth.Credential, err = broker.ParseReference(b.Auth.Credential); err != nil {
			err = fmt.Errorf("credential of the store: it does not parse, and is never taken literally: %w", err)
		}
	}
	return s, err
}

func viewStore(s broker.Store) StoreView {
	v := StoreView{Name: s.Name, Environment: s.Environment, Version: s.Version, StoreBody: StoreBody{Kind: s.Kind, Paths: append([]string{}, s.Paths...),
		Address: s.Address, Namespace: s.Namespace, MaxValueAgeDays: int(s.MaxValueAge / (24 * time.Hour)), State: string(s.State)}}
	for _, n := range s.Networks {
		v.Networks = append(v.Networks, n.String())
	}
	if s.Auth != (broker.StoreAuth{}) {
		v.Auth = &StoreAuth{Method: string(s.Auth.Method), Mount: s.Auth.Mount, Role: s.Auth.Role, ServerID: s.Auth.ServerID}
		if !s.Auth.Credential.IsZero() {
			v.Auth.Credential = s.Auth.Credential.String()
		}
	}
	return v
}
