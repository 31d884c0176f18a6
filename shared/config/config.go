// Package config turns environment variables into typed settings, once, at
// start. All faults are reported together, each with the variable's name and
// what it should hold. Nothing else in the product reads the environment, and
// no setting ever holds a secret.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
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
	Help     string
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
	ValuesKey        = "BINDERY_VALUES_KEY"
	ResponseMode     = "BINDERY_RESPONSE_MODE"
	CallTimeout      = "BINDERY_CALL_TIMEOUT"
	MaxAnswerBytes   = "BINDERY_MAX_ANSWER_BYTES"
	PrivateNetworks  = "BINDERY_PRIVATE_NETWORKS"
	Local            = "BINDERY_LOCAL"
)

// Settings lists every variable that Load reads, in the order of the docs.
func Settings() []Setting {
	return []Setting{
		{Environment, true, "", "name of the one environment this deployment serves"},
		{PublicURL, true, "", "https://host under which clients reach Bindery; base of every resource URL"},
		{Issuers, true, "", "issuer document: inline JSON, or the absolute path of a file"},
		{CatalogueTable, true, "", "DynamoDB table of servers, bindings, agents, tools, stores"},
		{RevocationsTable, true, "", "DynamoDB table of revocation markers"},
		{GrantsTable, true, "", "DynamoDB table of sealed values"},
		{TransientTable, true, "", "DynamoDB table of short-lived rows"},
		{AuditTable, true, "", "DynamoDB table of audit records"},
		{ValuesKey, true, "", "KMS key of sealed values and shared issuer keys: id, ARN or alias ARN"},
		{ResponseMode, false, "stream", "stream, or buffered where the platform cannot stream"},
		{CallTimeout, false, "60s", "longest upstream call, 1s to 14m"},
		{MaxAnswerBytes, false, "10485760", "largest JSON answer or single event from an upstream, in bytes"},
		{PrivateNetworks, false, "", "comma-separated private CIDRs in which issuers may live"},
		{Local, false, "false", "true allows plain http to loopback; refused inside Lambda, except under sam local"},
	}
}

// Config is what Load gives.
type Config struct {
	Environment     string
	PublicURL       string // no trailing slash
	Issuers         []byte // the document itself
	Tables          Tables
	ValuesKey       string
	Stream          bool
	CallTimeout     time.Duration
	MaxAnswerBytes  int64
	PrivateNetworks []netip.Prefix
	Local           bool
	Memory          int64 // bytes the function may use; 0: unknown, outside Lambda
}

// Tables are the DynamoDB table names.
type Tables struct {
	Catalogue, Revocations, Grants, Transient, Audit string
}

// Load reads the process environment through getenv (os.Getenv in production).
func Load(getenv func(string) string) (Config, error) {
	l := &loader{getenv: getenv, defaults: map[string]Setting{}}
	for _, s := range Settings() {
		l.defaults[s.Name] = s
	}
	c := Config{
		Environment: l.text(Environment),
		PublicURL:   l.publicURL(),
		Issuers:     l.document(Issuers),
		Tables: Tables{l.text(CatalogueTable), l.text(RevocationsTable), l.text(GrantsTable),
			l.text(TransientTable), l.text(AuditTable)},
		ValuesKey:       l.text(ValuesKey),
		Stream:          l.oneOf(ResponseMode, "stream", "buffered") == "stream",
		CallTimeout:     l.duration(CallTimeout, time.Second, 14*time.Minute),
		MaxAnswerBytes:  l.number(MaxAnswerBytes, 1<<10, 1<<30),
		PrivateNetworks: l.networks(PrivateNetworks),
		Local:           l.oneOf(Local, "false", "true") == "true",
	}
	if c.Environment != "" {
		l.check(Environment, broker.CheckName("environment", c.Environment))
	}
	if getenv("AWS_LAMBDA_FUNCTION_NAME") != "" && getenv("AWS_SAM_LOCAL") != "true" {
		l.insideLambda(c)
	}
	if mb, err := strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 32); err == nil {
		c.Memory = mb << 20
	}
	if c.Memory > 0 && c.MaxAnswerBytes > c.Memory/MemoryPerAnswer {
		l.fault(MaxAnswerBytes, fmt.Sprintf("must be at most 1/%d of the function's memory", MemoryPerAnswer))
	}
	if strings.HasPrefix(c.PublicURL, "http:") && !c.Local {
		l.fault(PublicURL, "must be https")
	}
	return c, errors.Join(l.faults...)
}

// MemoryPerAnswer is how much memory the largest answer may need, as a multiple
// of its size: hostile escapes are decoded several times over to be masked.
const MemoryPerAnswer = 25

// insideLambda refuses what would send calls or secrets elsewhere.
func (l *loader) insideLambda(c Config) {
	if c.Local {
		l.fault(Local, "must not be true inside Lambda")
	}
	if l.getenv("AWS_ENDPOINT_URL") != "" {
		l.faults = append(l.faults, errors.New("AWS_ENDPOINT_URL must not be set inside Lambda (it would send secrets elsewhere)"))
	}
}

// loader collects faults instead of stopping at the first.
type loader struct {
	getenv   func(string) string
	defaults map[string]Setting
	faults   []error
}

func (l *loader) fault(name, what string) {
	l.faults = append(l.faults, fmt.Errorf("%s %s (%s)", name, what, l.defaults[name].Help))
}

func (l *loader) check(name string, err error) {
	if err != nil {
		l.fault(name, err.Error())
	}
}

func (l *loader) text(name string) string {
	s := strings.TrimSpace(l.getenv(name))
	if s == "" {
		s = l.defaults[name].Default
	}
	if s == "" && l.defaults[name].Required {
		l.fault(name, "is not set")
	}
	return s
}

func (l *loader) publicURL() string {
	s := strings.TrimSuffix(l.text(PublicURL), "/")
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		l.fault(PublicURL, "must be https://host without user, query or fragment")
	}
	return s
}

func (l *loader) document(name string) []byte {
	s := l.text(name)
	if s == "" || strings.HasPrefix(s, "{") {
		return []byte(s)
	}
	text, err := os.ReadFile(s)
	if err != nil {
		l.fault(name, "is neither inline JSON nor a readable file")
	}
	return text
}

func (l *loader) oneOf(name string, allowed ...string) string {
	s := l.text(name)
	for _, a := range allowed {
		if s == a {
			return s
		}
	}
	l.fault(name, "must be "+strings.Join(allowed, " or "))
	return ""
}

func (l *loader) duration(name string, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(l.text(name))
	if err != nil || d < low || d > high {
		l.fault(name, fmt.Sprintf("must be a duration from %s to %s", low, high))
	}
	return d
}

func (l *loader) number(name string, low, high int64) int64 {
	n, err := strconv.ParseInt(l.text(name), 10, 64)
	if err != nil || n < low || n > high {
		l.fault(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
	}
	return n
}

func (l *loader) networks(name string) []netip.Prefix {
	var list []netip.Prefix
	for part := range strings.SplitSeq(l.text(name), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil || !broker.Opens(p) {
			l.fault(name, "must list private ranges such as 10.1.0.0/16")
			continue
		}
		list = append(list, p)
	}
	return list
}
