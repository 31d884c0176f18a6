// Package stack puts a whole broker together on one machine: tables, key and
// secrets at an AWS-compatible endpoint, and the very handler that Lambda runs,
// served on loopback. `make run`, `make demo` and the end-to-end tests use it;
// a deployment uses template.yaml instead.
package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	callback "bindery/functions/callback/handler"
	"bindery/functions/proxy/handler"
	"bindery/shared/awsclient"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/dynamo"
	"bindery/shared/seal"
	"bindery/shared/stores/sealed"
	"bindery/shared/wire"
)

// Region is where the local endpoint pretends to be.
const Region = "us-east-1"

// AWS is a configuration for a local endpoint that asks for no credentials.
func AWS(endpoint string) aws.Config {
	return aws.Config{
		Region: Region, BaseEndpoint: aws.String(endpoint), HTTPClient: awsclient.Whole(nil),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// Deployment is one environment's tables and key, with what an administrator
// needs to fill them.
type Deployment struct {
	Config   config.Config
	AWS      aws.Config
	DB       *dynamo.DB
	Registry *broker.Registry
	Secrets  *secretsmanager.Client
	Sealer   *seal.Envelope
	Sealed   *sealed.Store
}

// Provision creates what template.yaml creates in an account, for one
// environment, and opens the environment for calls.
func Provision(ctx context.Context, a aws.Config, environment, publicURL string, issuers []byte) (*Deployment, error) {
	name := func(table string) string { return "bindery-" + environment + "-" + table }
	tables := config.Tables{Catalogue: name("catalogue"), Revocations: name("revocations"), Grants: name("grants"),
		Transient: name("transient"), Audit: name("audit"), AuditIndex: name("audit-index")}
	if err := dynamo.Create(ctx, dynamodb.NewFromConfig(a), wire.TableNames(tables)); err != nil {
		return nil, fmt.Errorf("create the tables: %w", err)
	}
	key, err := kms.NewFromConfig(a).CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String("sealed values of " + environment)})
	if err != nil {
		return nil, fmt.Errorf("create the KMS key: %w", err)
	}
	settings := map[string]string{
		config.Environment: environment, config.PublicURL: publicURL, config.Issuers: string(issuers), config.Local: "true",
		config.CatalogueTable: tables.Catalogue, config.RevocationsTable: tables.Revocations, config.GrantsTable: tables.Grants,
		config.TransientTable: tables.Transient, config.AuditTable: tables.Audit, config.AuditIndexTable: tables.AuditIndex, config.ValuesKey: *key.KeyMetadata.Arn,
	}
	loaded, err := config.Load(func(name string) string { return settings[name] })
	if err != nil {
		return nil, err
	}
	loaded.EventBus = "default" // which every account has
	d := &Deployment{Config: loaded, AWS: a, Secrets: secretsmanager.NewFromConfig(a)}
	d.Administer()
	if err := d.DB.PutEnvironment(ctx, broker.Environment{Name: environment, State: broker.Active}); err != nil {
		return nil, fmt.Errorf("open the environment: %w", err)
	}
	return d, nil
}

// outcomeTime is how long the outcome of a call that is over may be missing.
const outcomeTime = 20 * time.Second

// patience of what an administrator does: no caller waits for it, so a busy
// machine may answer late.
const patience = time.Minute

// Administer joins DB, Sealer, Sealed and Registry as Config says; whoever changes
// Config afterwards calls it again. They are the adapters that serve calls,
// without the time limits of the hot path.
func (d *Deployment) Administer() {
	parts := wire.Join(d.Config, d.AWS, wire.Limits{
		Tables:  func(o *dynamodb.Options) { o.HTTPClient = awsclient.Within(o.HTTPClient, patience) },
		Secrets: patience, Keys: patience,
	})
	d.DB, d.Sealer, d.Sealed = parts.DB, parts.Sealer, parts.Sealed
	d.Registry = parts.Registry(d.Config)
}

// as is the configuration of one function. No local endpoint knows roles, so the
// access key id says which function asks: whoever stands before the endpoint can
// hold each function to its role.
func (d *Deployment) as(function string) aws.Config {
	own := d.AWS.Copy()
	own.Credentials = credentials.NewStaticCredentialsProvider(function, "local", "")
	return own
}

// Handler is the proxy function of the deployment.
func (d *Deployment) Handler(log *slog.Logger) (*handler.Handler, error) {
	return handler.New(d.Config, d.as("proxy"), log)
}

// Callback is the callback function of the deployment.
func (d *Deployment) Callback(log *slog.Logger) (*callback.Handler, error) {
	return callback.New(d.Config, d.as("callback"), log)
}

// Front is the proxy, the admin and the callback function at one address, as API
// Gateway puts them: each path has one of them.
func (d *Deployment) Front(log *slog.Logger) (http.Handler, error) {
	proxy, err := d.Handler(log)
	if err != nil {
		return nil, err
	}
	api, err := d.Admin(log)
	if err != nil {
		return nil, err
	}
	pages, err := d.Callback(log)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		switch {
		case strings.HasPrefix(path, "/admin/v1/"), path == "/.well-known/oauth-protected-resource/admin/v1":
			api.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/connect/"), path == "/connections", strings.HasPrefix(path, "/connections/"),
			path == "/.well-known/oauth-protected-resource/connections":
			pages.ServeHTTP(w, r)
		default:
			proxy.ServeHTTP(w, r)
		}
	}), nil
}

// PutSecret creates a secret in Secrets Manager, with the tag that a deployment's
// roles ask for.
func (d *Deployment) PutSecret(ctx context.Context, name, value string) error {
	tag := types.Tag{Key: aws.String("bindery-environment"), Value: &d.Config.Environment}
	_, err := d.Secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value, Tags: []types.Tag{tag}})
	if err != nil {
		return fmt.Errorf("create the secret %s: %w", name, err)
	}
	return nil
}

// Audit reads the records of one call. A streamed answer reaches its caller
// before the outcome is stored, so it waits for a final record, and as long as a
// busy machine may need.
func (d *Deployment) Audit(ctx context.Context, receipt string) ([]broker.Record, error) {
	for began := time.Now(); ; {
		records, err := d.DB.Receipt(ctx, receipt)
		if err != nil {
			return nil, fmt.Errorf("read the audit table: %w", err)
		}
		final := slices.ContainsFunc(records, func(r broker.Record) bool { return r.Phase != broker.Intent })
		if final || time.Since(began) > outcomeTime {
			return records, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// RandomSecret makes material for a demonstration: 26 unpredictable characters
// behind a prefix that says what it is.
func RandomSecret(prefix string) string { return prefix + rand.Text() }

// Served is a handler on a loopback address.
type Served struct {
	URL    string
	server *http.Server
}

// Listen takes a loopback port; 0 means any.
func Listen(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("port %d is taken: stop what listens there, or choose another with PORT=N: %w", port, err)
	}
	return listener, nil
}

// Serve serves h on the listener until Stop.
func Serve(listener net.Listener, h http.Handler) *Served {
	s := &Served{URL: "http://" + listener.Addr().String(), server: &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}}
	go func() { _ = s.server.Serve(listener) }()
	return s
}

// Stop ends open calls after a short grace.
func (s *Served) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
}
