package handler

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/dynamo"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/lambdahttp"
	"bindery/shared/mask"
	"bindery/shared/seal"
	"bindery/shared/session"
	"bindery/shared/stores/awssm"
	"bindery/shared/stores/sealed"
)

// upstreamPools is how many distinct sets of opened networks are kept warm.
const upstreamPools = 64

// Limits are how long the adapters wait for AWS.
type Limits struct {
	Tables  func(*dynamodb.Options)
	Secrets time.Duration
	Keys    time.Duration
}

// HotPath are the limits while a caller waits.
func HotPath() Limits {
	return Limits{Tables: dynamo.Configure, Secrets: 3 * time.Second, Keys: 3 * time.Second}
}

// Parts are the adapters over AWS, joined; the local stack fills a catalogue
// through the same ones that serve calls.
type Parts struct {
	DB      *dynamo.DB
	Sealer  *seal.Envelope
	Sealed  *sealed.Store
	Sources map[broker.SourceKind]broker.Source
}

// TableNames hands the configured names to the tables' adapter.
func TableNames(t config.Tables) dynamo.Tables {
	return dynamo.Tables{Catalogue: t.Catalogue, Revocations: t.Revocations, Grants: t.Grants, Transient: t.Transient, Audit: t.Audit}
}

// Adapters joins the adapters to one AWS configuration.
func Adapters(c config.Config, a aws.Config, limits Limits) Parts {
	p := Parts{
		DB:     dynamo.New(dynamodb.NewFromConfig(a, limits.Tables), TableNames(c.Tables), time.Now),
		Sealer: seal.New(kms.NewFromConfig(a), c.ValuesKey, limits.Keys),
	}
	p.Sealed = sealed.New(p.DB, p.Sealer, time.Now)
	static := credential.NewStatic(map[string]broker.SecretStore{
		"aws-sm": awssm.New(secretsmanager.NewFromConfig(a), limits.Secrets, time.Now),
		"sealed": p.Sealed,
	}, mask.Check)
	p.Sources = map[broker.SourceKind]broker.Source{broker.Static: static}
	return p
}

// New builds the handler from settings.
func New(c config.Config, a aws.Config, log *slog.Logger) (*Handler, error) {
	document, err := identity.Parse(c.Issuers, c.Local)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Issuers, err)
	}
	p := Adapters(c, a, HotPath())
	policy := egress.Policy{Loopback: c.Local, Networks: c.PrivateNetworks}
	verifier, err := identity.New(identity.Config{
		Document: document, Environment: c.Environment, PublicURL: c.PublicURL, HTTP: egress.New(policy).HTTP(),
		KeySets: p.DB, Sealer: p.Sealer, Now: time.Now,
		Report: func(issuer string, err error) { log.Warn("issuer keys", "issuer", issuer, "cause", err.Error()) },
	})
	if err != nil {
		return nil, err
	}
	return &Handler{
		environment: c.Environment,
		issuers:     document.Digest(),
		broker: broker.New(broker.Parts{Catalogue: p.DB, Audit: p.DB, Sources: p.Sources,
			Now: time.Now, Nonce: rand.Text, Status: statusOf,
			Quotas: p.DB, Allowances: broker.Allowances(c.Limits), StreamTime: c.StreamTimeout + deadlineMargin}),
		verifier:  verifier,
		upstreams: upstreams{egress.NewPool(egress.Policy{Loopback: c.Local}, upstreamPools), egress.Policy{Loopback: c.Local}},
		sessions:  session.New(p.DB, p.Sealer, c.Environment, time.Now),
		door:      door{c.Hosts, c.Origins, c.Local},
		timeout:   c.CallTimeout, streamTimeout: c.StreamTimeout, maxAnswer: maxAnswer(c),
		now: time.Now, log: log,
	}, nil
}

// maxAnswer is the configured limit, or what a buffered answer can hold.
func maxAnswer(c config.Config) int64 {
	if c.Stream {
		return c.MaxAnswerBytes
	}
	return min(c.MaxAnswerBytes, lambdahttp.MaxBufferedBytes/2) // a masked answer may be longer than it came
}

// CheckServer is what a server must meet to be registered in this deployment.
func CheckServer(c config.Config) func(broker.Server) error {
	return func(s broker.Server) error {
		if _, err := egress.ParseURL(s.URL, egress.Policy{Loopback: c.Local, Networks: s.Networks}); err != nil {
			return fmt.Errorf("%w upstream URL: %w", broker.ErrInvalid, err)
		}
		return credential.CheckServer(s)
	}
}

// upstreams is the pool of clients, one for each set of opened networks.
type upstreams struct {
	pool   *egress.Pool
	policy egress.Policy
}

// For checks the server's URL and gives the client for its networks.
func (u upstreams) For(server *broker.Server) (Upstream, error) {
	policy := u.policy
	policy.Networks = server.Networks
	if _, err := egress.ParseURL(server.URL, policy); err != nil {
		return nil, err
	}
	return u.pool.For(server.Networks), nil
}
