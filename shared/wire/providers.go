package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/egress"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

// providerPools is how many distinct sets of networks that providers open are
// kept warm.
const providerPools = 8

// Known finds the providers of the deployment, through clients of their own.
func (p Parts) Known(c config.Config) *oauth.Known {
	pool := egress.NewPool(egress.Policy{Loopback: c.Local}, providerPools)
	return &oauth.Known{
		Registered: p.DB, Sealer: p.Sealer,
		Secret: func(ctx context.Context, row broker.Provider, stores []broker.Store) (secret.Value, error) {
			address := row.Issuer
			if address == "" {
				address = row.Endpoints.Token
			}
			return p.ClientSecret(ctx, row.Environment, address, row.ClientSecret, stores)
		},
		Sign:     newSigners(p.kms).key,
		HTTP:     func(networks []netip.Prefix) *http.Client { return pool.For(networks).HTTP() },
		Redirect: func(provider string) string { return c.PublicURL + "/connect/callback/" + provider },
		Document: func(provider string) string { return c.PublicURL + "/connect/client/" + provider + ".json" },
		Now:      time.Now, Loopback: c.Local,
	}
}

// ClientSecret reads the secret with which Bindery is a client at an address. A
// sealed one opens for that address and no other.
func (p Parts) ClientSecret(ctx context.Context, environment, address string, r broker.Reference, stores []broker.Store) (secret.Value, error) {
	const field = "secret"
	origin, err := broker.OriginDigest(address)
	if err != nil {
		return secret.Value{}, err
	}
	got, err := p.Static.Obtain(ctx, broker.Ask{Stores: stores, Binding: broker.Binding{
		Environment: environment, Origin: origin, Fields: []broker.Field{{Name: field, Reference: r}}}})
	if err != nil {
		return secret.Value{}, fmt.Errorf("read the client's secret: %w", err)
	}
	return got.Fields[field], nil
}
