package handler

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/connect"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/mask"
	"bindery/shared/oauth"
	"bindery/shared/secret"
	"bindery/shared/wire"
)

// New builds the handler from settings.
func New(c config.Config, a aws.Config, log *slog.Logger) (*Handler, error) {
	document, err := identity.Parse(c.Issuers, c.Local)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Issuers, err)
	}
	p := wire.Join(c, a, wire.HotPath())
	verifier, err := p.Verifier(c, document, log)
	if err != nil {
		return nil, err
	}
	issuers := egress.New(egress.Policy{Loopback: c.Local, Networks: c.PrivateNetworks}).HTTP()
	h := &Handler{
		environment: c.Environment, publicURL: c.PublicURL, hosts: c.Hosts, verifier: verifier,
		under: &connect.Desk{Handles: p.DB, Environment: c.Environment, PublicURL: c.PublicURL, Now: time.Now},
		reads: &connect.Reads{Catalogue: p.DB, Markers: p.DB, Providers: p.DB, Grants: p.DB}, grants: p.DB, sealer: p.Sealer,
		known: p.Known(c), logins: oauth.New(issuers, time.Now, c.Local),
		loginSecret: func(ctx context.Context, of identity.Issuer) (secret.Value, error) {
			reference := of.Login.Secret()
			store, err := p.DB.Store(ctx, c.Environment, reference.Scheme())
			if err != nil {
				return secret.Value{}, fmt.Errorf("read the store: %w", err)
			}
			stores, err := broker.OpenStores(ctx, p.DB, c.Environment, []broker.Store{store})
			if err != nil {
				return secret.Value{}, err
			}
			if err := broker.ClientWithheld(ctx, p.DB, &broker.Provider{Environment: c.Environment, ClientSecret: reference}, stores); err != nil {
				return secret.Value{}, fmt.Errorf("the login's secret: %w", err)
			}
			return p.ClientSecret(ctx, c.Environment, of.Issuer, reference, stores)
		},
		desk: &admin.Desk{Environment: c.Environment, Issuers: document.Digest(), Gate: own{}, Markers: p.DB,
			Journal: broker.NewJournal(p.DB, rand.Text), Now: time.Now, Status: statusOf},
		check: mask.Check, now: time.Now, log: log,
	}
	h.build()
	return h, nil
}
