// Package config turns environment variables into typed settings, once, at
// start. All faults are reported together, each with the variable's name and
// what it should hold. Nothing else in the product reads the environment, and
// no setting ever holds a secret.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bindery/shared/broker"
)

// Setting documents one variable; the table in docs/settings.md and the template
// are tested against Settings.
type Setting struct {
	Name     string
	Required bool
	Default  string
	ReadBy   string // the functions, each a word; "proxy" stands for admin and callback too
	Help     string
}

// For reports whether a function reads the setting.
func (s Setting) For(function string) bool {
	return slices.Contains(strings.Fields(s.ReadBy), function)
}

// Names of the variables.
const (
	Environment      = "BINDERY_ENVIRONMENT"
	PublicURL        = "BINDERY_PUBLIC_URL"
	Issuers          = "BINDERY_ISSUERS"
	CatalogueTable   = "BINDERY_CATALOGUE_TABLE"
	RevocationsTable = "BINDERY_REVOCATIONS_TABLE"
	GrantsTable      = "BINDERY_GRANTS_TABLE"
	TransientTable   = "BINDERY_TRANSIENT_TABLE"
	AuditTable       = "BINDERY_AUDIT_TABLE"
	AuditIndexTable  = "BINDERY_AUDIT_INDEX_TABLE"
	ValuesKey        = "BINDERY_VALUES_KEY"
	FormerKeys       = "BINDERY_FORMER_KEYS"
	ResponseMode     = "BINDERY_RESPONSE_MODE"
	CallTimeout      = "BINDERY_CALL_TIMEOUT"
	StreamTimeout    = "BINDERY_STREAM_TIMEOUT"
	MaxAnswerBytes   = "BINDERY_MAX_ANSWER_BYTES"
	UseLimits        = "BINDERY_LIMITS"
	Hosts            = "BINDERY_HOSTS"
	Origins          = "BINDERY_ORIGINS"
	PrivateNetworks  = "BINDERY_PRIVATE_NETWORKS"
	EventBus         = "BINDERY_EVENT_BUS"
	Revocation       = "BINDERY_REVOCATION_FUNCTION"
	Rotation         = "BINDERY_ROTATION_FUNCTION"
	Production       = "BINDERY_PRODUCTION"
	Local            = "BINDERY_LOCAL"
)

// Settings lists every variable, in the order of the docs. Load reads those for
// "proxy", and each of the other functions has a Load of its own.
func Settings() []Setting {
	return []Setting{
		{Environment, true, "", "proxy authorizer ledger rotation outbox revocation cleanup", "name of the one environment this deployment serves"},
		{PublicURL, true, "", "proxy authorizer rotation cleanup", "https://host under which clients reach Bindery; base of every resource URL"},
		{Issuers, true, "", "proxy authorizer revocation", "issuer document: inline JSON, or the absolute path of a file"},
		{CatalogueTable, true, "", "proxy rotation cleanup", "DynamoDB table of servers, bindings, agents, tools, stores"},
		{RevocationsTable, true, "", "proxy rotation revocation cleanup", "DynamoDB table of revocation markers"},
		{GrantsTable, true, "", "proxy rotation cleanup", "DynamoDB table of sealed values"},
		{TransientTable, true, "", "proxy authorizer cleanup", "DynamoDB table of short-lived rows"},
		{AuditTable, true, "", "proxy ledger rotation revocation cleanup", "DynamoDB table of audit records"},
		{AuditIndexTable, true, "", "proxy ledger rotation", "DynamoDB table of the audit index"},
		{ValuesKey, true, "", "proxy authorizer rotation cleanup", "KMS key of sealed values, shared issuer keys, session keys: id, ARN or alias ARN"},
		{FormerKeys, false, "", "proxy authorizer rotation cleanup", "comma-separated ARNs of keys that were BINDERY_VALUES_KEY before, until everything is sealed under the present one"},
		{ResponseMode, false, "stream", "proxy", "stream, or buffered where the platform cannot stream"},
		{CallTimeout, false, "60s", "proxy", "longest upstream call, 1s to 14m"},
		{StreamTimeout, false, "5m", "proxy", "longest lasting stream (GET, subscriptions/listen), 10s to 14m; 0: none"},
		{MaxAnswerBytes, false, "10485760", "proxy", "largest JSON answer or single event from an upstream, in bytes"},
		{UseLimits, false, "principal:streams=20;agent:streams=200;server:streams=500", "proxy", "what one principal, agent or server may use"},
		{Hosts, false, "", "proxy", "comma-separated further names (host or host:port) in the Host header of requests"},
		{Origins, false, "", "proxy", "comma-separated web origins whose pages may call, such as https://app.example.com"},
		{PrivateNetworks, false, "", "proxy authorizer", "comma-separated private CIDRs in which issuers may live"},
		{EventBus, true, "", "outbox", "name of the EventBridge bus that gets the events"},
		{Revocation, true, "", "admin", "name of the function that revokes"},
		{Rotation, false, "", "admin", "name of the function that rotates; empty: what is ordered waits for its schedule"},
		{Production, false, "", "proxy", "true or false: whether administration is judged as production; empty: true, but on one machine"},
		{Local, false, "false", "proxy authorizer ledger rotation outbox revocation cleanup", "true allows plain http to loopback; refused inside Lambda, except under sam local"},
	}
}

// Config is what Load gives.
type Config struct {
	Environment     string
	PublicURL       string // no trailing slash
	Issuers         []byte // the document itself
	Tables          Tables
	ValuesKey       string
	FormerKeys      []string
	Stream          bool
	CallTimeout     time.Duration
	StreamTimeout   time.Duration // 0: no lasting streams
	MaxAnswerBytes  int64
	Limits          Limits
	Hosts           []string // as a Host header names them, lower case; first the public URL's own
	Origins         []string // as an Origin header names them; first the public URL's own
	PrivateNetworks []netip.Prefix
	EventBus        string
	Revocation      string
	Rotation        string
	Production      bool // stricter rules of administration
	Local           bool
	Memory          int64 // bytes the function may use; 0: unknown, outside Lambda
}

// Tables are the DynamoDB table names.
type Tables struct {
	Catalogue, Revocations, Grants, Transient, Audit, AuditIndex string
}

// Limits are the limits of the deployment: the same for every principal, every
// agent, every server.
type Limits struct {
	Principal, Agent, Server broker.Limits
}

// Load reads the process environment through getenv (os.Getenv in production).
func Load(getenv func(string) string) (Config, error) {
	l := newLoader(getenv)
	c := l.shared()
	c.Tables = Tables{l.text(CatalogueTable), l.text(RevocationsTable), l.text(GrantsTable), c.Tables.Transient, l.text(AuditTable), l.text(AuditIndexTable)}
	c.Stream = l.oneOf(ResponseMode, "stream", "buffered") == "stream"
	c.CallTimeout = l.duration(CallTimeout, time.Second, 14*time.Minute)
	c.StreamTimeout = l.durationOrNone(StreamTimeout, 10*time.Second, 14*time.Minute)
	c.MaxAnswerBytes = l.number(MaxAnswerBytes, 1<<10, 1<<30)
	c.Limits = l.limits()
	c.Production = l.production(c.Local)
	c.Hosts, c.Origins = l.hosts(c.PublicURL), l.origins(c.PublicURL)
	if !c.Stream {
		c.StreamTimeout = 0 // nothing of a stream arrives before its end
	}
	if mb, err := strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 32); err == nil {
		c.Memory = mb << 20
	}
	if c.Memory > 0 && c.MaxAnswerBytes > c.Memory/MemoryPerAnswer {
		l.fault(MaxAnswerBytes, fmt.Sprintf("must be at most 1/%d of the function's memory", MemoryPerAnswer))
	}
	return c, errors.Join(l.faults...)
}

// LoadAuthorizer reads those settings that functions/authorizer needs; the
// rest of Config stays empty.
func LoadAuthorizer(getenv func(string) string) (Config, error) {
	l := newLoader(getenv)
	c := l.shared()
	return c, errors.Join(l.faults...)
}

// LoadLedger reads those settings that functions/ledger needs; the rest of
// Config stays empty.
func LoadLedger(getenv func(string) string) (Config, error) {
	l := newLoader(getenv)
	c := l.environment()
	c.Tables = Tables{Audit: l.text(AuditTable), AuditIndex: l.text(AuditIndexTable)}
	return c, errors.Join(l.faults...)
}

// LoadRotation reads those settings that functions/rotation needs; the rest of
// Config stays empty.
func LoadRotation(getenv func(string) string) (Config, error) {
	l := newLoader(getenv)
	c := l.sealing()
	c.Tables = Tables{Catalogue: l.text(CatalogueTable), Revocations: l.text(RevocationsTable), Grants: l.text(GrantsTable), Audit: l.text(AuditTable),
		AuditIndex: l.text(AuditIndexTable)}
	return c, errors.Join(l.faults...)
}

// LoadAdmin is Load for functions/admin.
func LoadAdmin(getenv func(string) string) (Config, error) {
	c, err := Load(getenv)
	l := newLoader(getenv)
	c.Revocation, c.Rotation = l.text(Revocation), getenv(Rotation)
	return c, errors.Join(append([]error{err}, l.faults...)...)
}

// LoadRevocation reads those settings that functions/revocation needs; the rest of
// Config stays empty.
func LoadRevocation(getenv func(string) string) (Config, error) {
	l := newLoader(getenv)
	c := l.environment()
	c.Issuers = l.document(Issuers)
	c.Tables = Tables{Revocations: l.text(RevocationsTable), Audit: l.text(AuditTable)}
	return c, errors.Join(l.faults...)
}

// LoadCleanup reads those settings that functions/cleanup needs; the rest of
// Config stays empty.
func LoadCleanup(getenv func(string) string) (Config, error) {
	l := newLoader(getenv)
	c := l.sealing()
	c.Tables = Tables{Catalogue: l.text(CatalogueTable), Revocations: l.text(RevocationsTable), Grants: l.text(GrantsTable),
		Transient: l.text(TransientTable), Audit: l.text(AuditTable)}
	return c, errors.Join(l.faults...)
}

// LoadOutbox reads those settings that functions/outbox needs; the rest of
// Config stays empty.
func LoadOutbox(getenv func(string) string) (Config, error) {
	l := newLoader(getenv)
	c := l.environment()
	c.EventBus = l.text(EventBus)
	return c, errors.Join(l.faults...)
}

// shared reads what every function that judges tokens needs.
func (l *loader) shared() Config {
	c := l.sealing()
	c.Issuers = l.document(Issuers)
	c.Tables = Tables{Transient: l.text(TransientTable)}
	c.PrivateNetworks = l.networks(PrivateNetworks)
	return c
}

// sealing reads what every function needs that seals or opens anything.
func (l *loader) sealing() Config {
	c := l.environment()
	c.PublicURL = l.publicURL()
	c.ValuesKey, c.FormerKeys = l.text(ValuesKey), slices.Collect(l.parts(FormerKeys))
	if strings.HasPrefix(c.PublicURL, "http:") && !c.Local {
		l.fault(PublicURL, "must be https")
	}
	return c
}

// environment reads what every function needs that serves one.
func (l *loader) environment() Config {
	c := l.place()
	c.Environment = l.text(Environment)
	if c.Environment != "" {
		l.check(Environment, broker.CheckName("environment", c.Environment))
	}
	return c
}

// place reads what every function must know: whether it runs on this machine.
func (l *loader) place() Config {
	c := Config{Local: l.oneOf(Local, "false", "true") == "true"}
	if l.getenv("AWS_LAMBDA_FUNCTION_NAME") != "" && l.getenv("AWS_SAM_LOCAL") != "true" {
		l.insideLambda(c)
	}
	return c
}

// MemoryPerAnswer is how much memory the largest answer may need, as a multiple
// of its size: hostile escapes are decoded several times over to be masked.
const MemoryPerAnswer = 25

// insideLambda refuses what would send calls or secrets elsewhere.
func (l *loader) insideLambda(c Config) {
	if c.Local {
		l.fault(Local, "must not be true inside Lambda")
	}
	for _, service := range []string{"", "_DYNAMODB", "_KMS", "_SECRETS_MANAGER", "_STS", "_EVENTBRIDGE", "_LAMBDA"} { // as the AWS SDK reads them
		if name := "AWS_ENDPOINT_URL" + service; l.getenv(name) != "" {
			l.faults = append(l.faults, errors.New(name+" must not be set inside Lambda (it would send secrets elsewhere)"))
		}
	}
}
