package handler

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/policy"
)

const providerKind = string(policy.ProviderKind)

type ProviderPath struct {
	Provider string `path:"provider" pattern:"^[a-z0-9-]{1,40}$"`
}

func (h *Handler) providerOperations() {
	const path = "/providers/{provider}"
	huma.Register(h.api, operation("list-providers", http.MethodGet, "/providers", "List providers"), h.listProviders)
	huma.Register(h.api, operation("get-provider", http.MethodGet, path, "Read a provider", 404), h.getProvider)
	huma.Register(h.api, operation("put-provider", http.MethodPut, path, "Register or change a provider of tokens: the secret of a client is resolved, and nothing of it is kept", 409, 412, 413, 415, 422, 428), h.putProvider)
	huma.Register(h.api, operation("delete-provider", http.MethodDelete, path, "Delete a provider: bindings that name it are refused, and its name is never used again", 404, 409, 412, 413, 422, 428), h.deleteProvider)
}

func providerObject(name string) admin.Object { return admin.Object{Kind: providerKind, Name: name} }

func (h *Handler) listProviders(ctx context.Context, in *struct{ Page }) (*listing[ProviderView], error) {
	if err := h.askList(ctx, "list-providers", admin.Object{Kind: providerKind}); err != nil {
		return nil, err
	}
	return listed(in.Page, h.providerList(ctx),
		func(p broker.Provider) (ProviderView, bool) {
			return viewProvider(p), h.shows(ctx, p.State, providerObject(p.Name))
		})
}

func (h *Handler) getProvider(ctx context.Context, in *ProviderPath) (*one[ProviderView], error) {
	p, err := h.providers.Provider(ctx, h.environment, in.Provider)
	err = live(p.State, err)
	if asked := h.ask(ctx, "get-provider", providerObject(in.Provider)); asked != nil {
		return nil, asked
	}
	if err != nil {
		return nil, fault(err)
	}
	return &one[ProviderView]{tag(p.Version), viewProvider(p)}, nil
}

type putProviderInput struct {
	ProviderPath
	Condition
	Body ProviderBody
}

func (h *Handler) putProvider(ctx context.Context, in *putProviderInput) (*one[ProviderView], error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.providers.Provider(ctx, h.environment, in.Provider)
	if err != nil && !isMissing(err) {
		return nil, fault(err)
	}
	next, err := in.Body.row(h.environment, in.Provider, version)
	if err != nil {
		return nil, fault(err)
	}
	op := admin.Operation{ID: "put-provider", Needs: providerNeeds(current, next)}
	wrong := stale(ctx, version, current.Version, current.State)
	if wrong == nil && in.DryRun && h.permits(ctx, op.Needs) {
		wrong = h.registerable(ctx, next)
	}
	err = h.desk.Change(ctx, callerOf(ctx), op, admin.Change{
		Before: viewOf(current.Version > 0, viewProvider(current)), After: viewProvider(next), Dry: in.DryRun, Fault: wrong,
		Apply: func(ctx context.Context) error {
			stores, err := h.storeList(ctx).all()
			if err != nil {
				return err
			}
			return h.registry.PutProvider(ctx, next, stores)
		},
	})
	if err != nil {
		return nil, fault(err)
	}
	next.Version++
	return &one[ProviderView]{tag(next.Version), viewProvider(next)}, nil
}

// registerable fails where a provider would be refused, but for what its client
// secret leads to.
func (h *Handler) registerable(ctx context.Context, p broker.Provider) error {
	stores, err := h.storeList(ctx).all()
	if err != nil {
		return err
	}
	return h.registry.ValidProvider(ctx, p, stores)
}

// providerNeeds is what a change takes: where client secrets and refresh tokens
// go, which secret it is, and which private networks are open, are more than the
// rest. For whom an assertion is made is an address too: one made for another
// provider could be used there in Bindery's name.
func providerNeeds(current, next broker.Provider) []admin.Need {
	on := providerObject(next.Name)
	needs := append([]admin.Need{put(current.Version > 0, on)}, stateNeeds(string(current.State), string(next.State), on)...)
	moved := current.Issuer != next.Issuer || current.Endpoints != next.Endpoints
	if moved || current.Quirks.AssertionAudience != next.Quirks.AssertionAudience { // also of a new provider
		needs = append(needs, need(policy.SetOrigin, on))
	}
	if r := next.ClientSecret; !r.IsZero() && (moved || r != current.ClientSecret) {
		needs = append(needs, need(policy.Bind, admin.Object{Kind: referenceKind, Name: r.String()}))
	}
	if fmt.Sprint(current.Networks) != fmt.Sprint(next.Networks) || moved && len(next.Networks) > 0 {
		needs = append(needs, need(policy.OpenNetworks, on))
	}
	return needs
}

func (h *Handler) deleteProvider(ctx context.Context, in *struct {
	ProviderPath
	Condition
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, fault(err)
	}
	current, err := h.providers.Provider(ctx, h.environment, in.Provider)
	if err == nil {
		err = erasable(ctx, version, current.Version, current.State)
	}
	op := admin.Operation{ID: "delete-provider", Needs: []admin.Need{need(policy.Delete, providerObject(in.Provider))}}
	next := current
	next.State, next.Version = broker.Deleted, version
	return nil, h.erase(ctx, op, viewProvider(current), in.DryRun, err, func(ctx context.Context) error { return h.providers.PutProvider(ctx, next) })
}
