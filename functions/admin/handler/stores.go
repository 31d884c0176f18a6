package handler

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
	"bindery/shared/secret"
)

// StoreBody registers a secret store.
type StoreBody struct {
	Kind  string   `json:"kind" enum:"aws-sm,sealed" doc:"What kind of store it is"`
	Paths []string `json:"paths" minItems:"1" maxItems:"64" doc:"What may be read there: exact, or a prefix followed by *"`
	State string   `json:"state" enum:"active,suspended"`
}

// StoreView is a store as it is read.
type StoreView struct {
	Name        string `json:"name" doc:"The scheme of its references"`
	Environment string `json:"environment"`
	Version     int64  `json:"version"`
	StoreBody
}

type StorePath struct {
	Store string `path:"store" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) stores() {
	huma.Register(h.api, operation("list-stores", http.MethodGet, "/stores", "List stores"), h.listStores)
	huma.Register(h.api, operation("put-store", http.MethodPut, "/stores/{store}", "Register or change a store", 409, 412, 413, 415, 422, 428), h.putStore)
	huma.Register(h.api, operation("put-value", http.MethodPut, "/values/{value}", "Seal a value; nobody reads it back", 404, 409, 413, 415, 422), h.putValue)
}

func (h *Handler) listStores(ctx context.Context, in *struct{ Page }) (*listing[StoreView], error) {
	if err := h.askList(ctx, "list-stores", admin.Object{Kind: storeKind}); err != nil {
		return nil, err
	}
	rows, err := h.reader.Stores(ctx, h.environment, in.rows())
	if err != nil {
		return nil, fault(err)
	}
	return listed(rows, in.Page, func(s broker.Store) string { return s.Name },
		func(s broker.Store) (StoreView, bool) {
			return viewStore(s), h.shows(ctx, s.State, admin.Object{Kind: storeKind, Name: s.Name})
		}), nil
}

func (h *Handler) putStore(ctx context.Context, in *struct {
	StorePath
	Condition
	Body StoreBody
}) (*one[StoreView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.reader.Store(ctx, h.environment, in.Store)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	next := broker.Store{Environment: h.environment, Name: in.Store, Kind: in.Body.Kind, Paths: broker.Scope(in.Body.Paths), Version: version, State: broker.State(in.Body.State)}
	on := admin.Object{Kind: storeKind, Name: in.Store}
	op := admin.Operation{ID: "put-store", Needs: []admin.Need{put(current.Version > 0, on)}}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewStore(current)), After: viewStore(next), Dry: in.DryRun,
		Fault: stale(ctx, version, current.Version, current.State),
		Apply: func(ctx context.Context) error { return h.registry.PutStore(ctx, next) },
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[StoreView]{tag(next.Version), viewStore(next)}, nil
}

func viewStore(s broker.Store) StoreView {
	return StoreView{Name: s.Name, Environment: s.Environment, Version: s.Version,
		StoreBody: StoreBody{Kind: s.Kind, Paths: append([]string{}, s.Paths...), State: string(s.State)}}
}

// ValueBody is a value and the server it is for. It is write-only.
type ValueBody struct {
	Server string `json:"server" pattern:"^[a-z0-9-]{1,40}$" doc:"The only server whose upstream can get it"`
	Value  string `json:"value" minLength:"1" maxLength:"65536" writeOnly:"true" doc:"The secret, or a JSON object of secrets"`
}

// ValueView says what was stored. It never holds the value.
type ValueView struct {
	Reference string `json:"reference" example:"sealed:github-token"`
	Version   int64  `json:"version"`
}

// valueRecord is what the audit record of a value says.
type valueRecord struct {
	Server string `json:"server"`
	Origin string `json:"origin"`
}

func (h *Handler) putValue(ctx context.Context, in *struct {
	Value string `path:"value" pattern:"^[A-Za-z0-9._-]{1,128}$"`
	Body  ValueBody
}) (*one[ValueView], error) {
	server, missing := h.liveServer(ctx, in.Body.Server)
	origin, _ := broker.OriginDigest(server.URL)
	on := admin.Object{Kind: valueKind, Name: in.Value} // assigned to nobody: owners cannot write it
	op := admin.Operation{ID: "put-value", Needs: []admin.Need{need(policy.PutValue, on)}}
	var version int64
	err := h.desk.Change(ctx, callerOf(ctx), op, admin.Change{After: valueRecord{in.Body.Server, origin}, Fault: missing,
		Apply: func(ctx context.Context) (err error) {
			version, err = h.values.Put(ctx, h.environment, in.Value, origin, secret.New(in.Body.Value))
			return err
		},
	})
	if err != nil {
		return nil, fault(err)
	}
	return &one[ValueView]{tag(version), ValueView{Reference: "sealed:" + in.Value, Version: version}}, nil
}
