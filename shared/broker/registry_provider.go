package broker

import (
	"context"
	"fmt"
)

// PutProvider checks and registers a provider. p.Version is the version it
// replaces. The secret of a client is resolved, to see that it is there and can
// be read for the address that gets it, and nothing of it is kept. A provider
// that is stopped is stored without: stopping needs no store.
func (r *Registry) PutProvider(ctx context.Context, p Provider, stores []Store) error {
	if err := r.ValidProvider(ctx, p, stores); err != nil {
		return err
	}
	if !p.ClientSecret.IsZero() && p.State == Active {
		if err := r.clientSecret(ctx, &p, stores); err != nil {
			return err
		}
	}
	return r.Providers.PutProvider(ctx, p)
}

// ValidProvider fails where PutProvider would refuse a provider, but for what its
// client secret leads to: no secret is read.
func (r *Registry) ValidProvider(ctx context.Context, p Provider, stores []Store) error {
	if err := p.Check(); err != nil {
		return err
	}
	if r.CheckProvider == nil || r.Providers == nil {
		return fmt.Errorf("%w provider: its addresses cannot be checked here", ErrInvalid)
	}
	if err := r.CheckProvider(p); err != nil {
		return err
	}
	if !p.ClientSecret.IsZero() && p.Address() == "" {
		return fmt.Errorf("%w provider: a client secret needs its issuer or endpoints, and goes to none that an upstream names", ErrInvalid)
	}
	if p.ClientSecret.IsZero() || p.State != Active {
		return nil
	}
	if err := inScope(Field{Name: clientField, Reference: p.ClientSecret}, stores); err != nil {
		return err
	}
	return ClientWithheld(ctx, r.Markers, &p, stores)
}

// Address is where the provider is: its issuer, or else its token endpoint.
// Empty: only an upstream's metadata say it.
func (p *Provider) Address() string {
	if p.Issuer != "" {
		return p.Issuer
	}
	return p.Endpoints.Token
}

const clientField = "client_secret"

func (r *Registry) clientSecret(ctx context.Context, p *Provider, stores []Store) error {
	origin, err := OriginDigest(p.Address())
	if err != nil {
		return err
	}
	_, err = r.Sources[Static].Obtain(ctx, Ask{Stores: stores, Binding: Binding{
		Environment: p.Environment, Origin: origin, Fields: []Field{{Name: clientField, Reference: p.ClientSecret}}}})
	if err != nil {
		return fmt.Errorf("resolve the client secret of the provider: %w", err)
	}
	return nil
}
