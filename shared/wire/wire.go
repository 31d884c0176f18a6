// Package wire joins the adapters to one AWS configuration, the same way for
// every function and for whoever fills a catalogue locally. It is the one
// package under shared that knows several adapters; only functions and infra
// import it. It decides nothing.
package wire

import (
	"fmt"
	"log/slog"
	"os"
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
	"bindery/shared/mask"
	"bindery/shared/policy"
	"bindery/shared/seal"
	"bindery/shared/stores/awssm"
	"bindery/shared/stores/env"
	"bindery/shared/stores/sealed"
	"bindery/shared/stores/vault"
)

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
	Static  *credential.Static
	Rules   *policy.Calls // for the life of the process

	kms *kms.Client
}

// TableNames hands the configured names to the tables' adapter.
func TableNames(t config.Tables) dynamo.Tables {
	return dynamo.Tables{Catalogue: t.Catalogue, Revocations: t.Revocations, Grants: t.Grants, Transient: t.Transient, Audit: t.Audit,
		AuditIndex: t.AuditIndex}
}

// Join joins the adapters to one AWS configuration.
func Join(c config.Config, a aws.Config, limits Limits) Parts {
	p := Parts{
		DB:  dynamo.New(dynamodb.NewFromConfig(a, limits.Tables), TableNames(c.Tables), time.Now),
		kms: kms.NewFromConfig(a),
	}
	p.Sealer = seal.New(p.kms, c.ValuesKey, limits.Keys, c.FormerKeys...)
	p.Sealed, p.Rules = sealed.New(p.DB, p.Sealer, time.Now), policy.NewCalls(p.DB)
	p.Static = credential.NewStatic(map[string]broker.SecretStore{
		"aws-sm": awssm.New(secretsmanager.NewFromConfig(a), limits.Secrets, time.Now),
		"sealed": p.Sealed,
		"vault":  vault.New(vault.Parts{Client: storeClients(c), AWS: a.Credentials, Timeout: limits.Secrets, Now: time.Now}),
		"env":    env.New(os.LookupEnv),
	}, mask.Check)
	p.Sources = map[broker.SourceKind]broker.Source{broker.Static: p.Static}
	return p
}

// Verifier checks tokens on the issuer keys that all processes share.
func (p Parts) Verifier(c config.Config, document *identity.Document, log *slog.Logger) (*identity.Verifier, error) {
	return identity.New(identity.Config{
		Document: document, Environment: c.Environment, PublicURL: c.PublicURL,
		HTTP:    egress.New(egress.Policy{Loopback: c.Local, Networks: c.PrivateNetworks}).HTTP(),
		KeySets: p.DB, Sealer: p.Sealer, Now: time.Now,
		Report: func(issuer string, err error) { log.Warn("issuer keys", "issuer", issuer, "cause", err.Error()) },
	})
}

// Registry changes the catalogue through these adapters.
func (p Parts) Registry(c config.Config) *broker.Registry {
	return &broker.Registry{Writer: p.DB, Reader: p.DB, Markers: p.DB, Sources: p.Sources, Providers: p.DB,
		CheckServer: CheckServer(c), CheckStore: CheckStore(c), CheckProvider: CheckProvider(c), TryAttach: credential.Try}
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
