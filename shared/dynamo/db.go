package dynamo

import (
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/shared/awsclient"
	"bindery/shared/broker"
)

// Tables are the names of the six tables.
type Tables struct {
	Catalogue   string
	Revocations string
	Grants      string
	Transient   string
	Audit       string
	AuditIndex  string
}

// DB implements every storage interface of package broker. It is safe for
// concurrent use and keeps nothing between calls.
type DB struct {
	client *dynamodb.Client
	tables Tables
	now    func() time.Time // decides only whether a key set, a rolling key or an attempt is past its life
	shard  func() int       // which copy of an environment's rows to read
}

var (
	_ broker.Catalogue       = (*DB)(nil)
	_ broker.CatalogueWriter = (*DB)(nil)
	_ broker.CatalogueReader = (*DB)(nil)
	_ broker.Attempts        = (*DB)(nil)
	_ broker.Markers         = (*DB)(nil)
	_ broker.MarkerReader    = (*DB)(nil)
	_ broker.AuditLog        = (*DB)(nil)
	_ broker.SealedValues    = (*DB)(nil)
	_ broker.SealedRows      = (*DB)(nil)
	_ broker.KeySets         = (*DB)(nil)
	_ broker.RollingKeys     = (*DB)(nil)
	_ broker.Quotas          = (*DB)(nil)

	_ broker.AuditReader      = (*DB)(nil)
	_ broker.AuditIndexWriter = (*DB)(nil)
	_ broker.IntentWatch      = (*DB)(nil)
	_ broker.PolicySets       = (*DB)(nil)
	_ broker.Assignments      = (*DB)(nil)
	_ broker.Uses             = (*DB)(nil)
	_ broker.SealedLister     = (*DB)(nil)
	_ broker.Providers        = (*DB)(nil)
	_ broker.Grants           = (*DB)(nil)
	_ broker.Handles          = (*DB)(nil)
	_ broker.Revocations      = (*DB)(nil)
	_ broker.Incidents        = (*DB)(nil)
	_ broker.Rotations        = (*DB)(nil)
	_ broker.RotationPlans    = (*DB)(nil)
	_ broker.Notices          = (*DB)(nil)
	_ broker.Scans            = (*DB)(nil)
)

// New makes a DB. The client should have been made with Configure.
func New(client *dynamodb.Client, tables Tables, now func() time.Time) *DB {
	return &DB{client: client, tables: tables, now: now, shard: func() int { return rand.IntN(shards) }} //nolint:gosec // spreads load, guards nothing
}

// The hot path's patience. DynamoDB answers in single-digit milliseconds; an
// attempt that has no answer after attemptTime is repeated on a connection of
// its own. All attempts together stay under three seconds.
const (
	attempts    = 3
	attemptTime = 900 * time.Millisecond
	firstPause  = 20 * time.Millisecond
)

// Configure sets retries and timeouts for a client that serves the hot path:
//
//	dynamodb.NewFromConfig(cfg, dynamo.Configure)
//
// Throttling, 5xx, lost connections and timeouts are retried by the SDK, and
// every write here may be repeated. The pauses are set here because the SDK's
// own are made for seconds. Configure replaces the HTTP client, so that the
// time limit of one attempt does not bind other services.
func Configure(o *dynamodb.Options) {
	o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts = attempts
		s.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return jitter(firstPause << attempt), nil
		})
	})
	o.RetryMaxAttempts = attempts
	o.RetryMode = aws.RetryModeStandard
	o.HTTPClient = awsclient.Within(o.HTTPClient, attemptTime)
}

// jitter is between half of d and d, so that those who failed together do not
// come back together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) } //nolint:gosec // spreads load, guards nothing
