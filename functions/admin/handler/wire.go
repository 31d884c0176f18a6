package handler

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/identity"
	"bindery/shared/policy"
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
	rules, err := policy.NewAdministration(c.Environment, c.Production)
	if err != nil {
		return nil, err
	}
	p.Grant(c, log) // to verify: with the asking administrator's own
	judge := broker.New(broker.Parts{Catalogue: p.DB, Markers: p.DB, Audit: p.DB, Sources: p.Sources, Rules: p.Rules, Now: time.Now, Nonce: rand.Text, Status: statusOf,
		Quotas: p.DB, Allowances: broker.Allowances(c.Limits)})
	h := &Handler{
		environment: c.Environment, production: c.Production, hosts: c.Hosts, verifier: verifier, roles: document.Roles, principalOf: document.PrincipalOf,
		desk: &admin.Desk{Environment: c.Environment, Issuers: document.Digest(), Gate: gate{rules, c.Environment}, Markers: p.DB,
			Journal: broker.NewJournal(p.DB, rand.Text), Now: time.Now, Status: statusOf},
		reader: p.DB, registry: p.Registry(c), values: p.Sealed, assignments: p.DB, sets: p.DB, providers: p.DB, grants: p.DB, judge: judge, attempts: p.DB, evidence: p.DB, uses: p.DB, now: time.Now, log: log,
	}
	h.marked = p.DB
	h.plans, h.runs, h.wake = p.DB, p.DB, wire.Waker(c, a)
	h.incidents = p.DB
	h.notices, h.inspector = p.DB, p.Static
	h.sessions = p.DB
	h.revoker, h.cases, h.issuerOf, h.checkGroup = wire.Revoker(c, a), p.DB, document.IssuerOf, document.CheckGroup
	h.holders, h.upstreams = p.Static, wire.NewUpstreams(c, upstreamPools)
	h.build()
	return h, nil
}

// upstreamPools is how many distinct sets of opened networks are kept warm.
const upstreamPools = 16
