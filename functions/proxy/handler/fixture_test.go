package handler

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
	"bindery/shared/credential"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/mask"
	"bindery/shared/memory"
	"bindery/shared/policy"
	"bindery/shared/secret"
	"bindery/shared/session"
	"bindery/shared/telemetry"
)

const (
	canary    = "canary-7Yq2vJx9LmZtR4wKpN8s"
	publicURL = "https://mcp.example.com"
	route     = "/mcp/prod/github"
)

// vault is a secret store whose answer a test sets.
type vault struct {
	values   map[string]string
	previous []string
	version  string // v1 where it is empty
	err      error
}

func (v *vault) Fetch(_ context.Context, w broker.Want) (broker.Secret, error) {
	if v.err != nil {
		return broker.Secret{}, v.err
	}
	s := broker.Secret{Values: map[string]secret.Value{}, Version: cmp.Or(v.version, "v1"), RequestID: "req"}
	for _, key := range w.Keys {
		s.Values[key] = secret.New(v.values[key])
	}
	for _, p := range v.previous {
		s.Previous = append(s.Previous, secret.New(p))
	}
	return s, nil
}

// fixture is the real handler over memory tables, a fake issuer, and an
// upstream that the test writes.
type fixture struct {
	*Handler
	tables *memory.DB
	issuer *idp.Server
	vault  *vault
	log    *strings.Builder

	sources map[broker.SourceKind]broker.Source
}

// transport turns a function into the upstream.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type stubUpstreams struct{ client *http.Client }

func (s stubUpstreams) For(*broker.Server) (Upstream, error) { return s.client, nil }

// newFixture seeds one server with a binding for group dev.
func newFixture(tb testing.TB, upstream http.RoundTripper, cached bool) *fixture {
	tb.Helper()
	f := &fixture{tables: memory.New(time.Now), issuer: idp.New(tb), log: &strings.Builder{},
		vault: &vault{values: map[string]string{"token": canary}}}
	f.issuer.Add("rsa", "RS256")
	document, err := identity.Parse(document(tb, f.issuer.Issuer()), true)
	if err != nil {
		tb.Fatal(err)
	}
	verifier, err := identity.New(identity.Config{Document: document, Environment: "prod", PublicURL: publicURL,
		HTTP: egress.New(egress.Policy{Loopback: true}).HTTP(), KeySets: f.tables, Sealer: plainSealer{}, Now: time.Now, NoCache: !cached})
	if err != nil {
		tb.Fatal(err)
	}
	static := credential.NewStatic(map[string]broker.SecretStore{"aws-sm": f.vault}, mask.Check)
	f.sources = map[broker.SourceKind]broker.Source{broker.Static: static}
	var lines io.Writer = f.log
	if _, measured := tb.(*testing.B); measured {
		lines = io.Discard // what a log costs that is kept in memory is not the handler's
	}
	f.Handler = &Handler{
		environment: "prod", issuers: document.Digest(), verifier: verifier,
		broker: broker.New(broker.Parts{Catalogue: f.tables, Markers: f.tables, Audit: f.tables, Sources: f.sources, Rules: policy.NewCalls(f.tables), Now: time.Now, Nonce: rand.Text, Status: statusOf,
			Quotas: f.tables, StreamTime: time.Minute}),
		sessions: session.New(f.tables, plainSealer{}, "prod", time.Now), live: f.tables,
		door:          door{hosts: []string{"mcp.example.com"}, origins: []string{publicURL, "https://app.example.com"}},
		streamTimeout: time.Minute,
		upstreams:     stubUpstreams{&http.Client{Transport: upstream, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}},
		timeout:       time.Minute, maxAnswer: 1 << 20, now: time.Now, log: slog.New(telemetry.New(slog.NewJSONHandler(lines, nil), "prod")),
	}
	f.seed(tb)
	return f
}

func document(tb testing.TB, issuer string) []byte {
	text, err := json.Marshal(map[string]any{"issuers": []any{map[string]any{
		"name": "corp", "issuer": issuer, "kind": "user", "environments": []string{"prod"}, "algorithms": []string{"RS256"},
		"claims": map[string]any{"principal": []string{"sub"}, "email": "email", "groups": "groups"}, "groups": map[string]string{"g1": "dev"},
		"agents": "ignored", "email_trusted": true,
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func (f *fixture) seed(tb testing.TB) {
	tb.Helper()
	r := &broker.Registry{Writer: f.tables, Reader: f.tables, Markers: f.tables, Sources: f.sources, CheckServer: credential.CheckServer, TryAttach: credential.Try}
	reference, err := broker.ParseReference("aws-sm:prod/github#token")
	if err != nil {
		tb.Fatal(err)
	}
	for _, err := range []error{
		f.tables.PutEnvironment(tb.Context(), broker.Environment{Name: "prod", State: broker.Active}),
		r.PutStore(tb.Context(), broker.Store{Environment: "prod", Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}),
		r.PutServer(tb.Context(), broker.Server{Environment: "prod", Name: "github", State: broker.Active, Owner: "platform", URL: "https://upstream.example.com/mcp",
			Attach:    []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}},
			Propagate: []broker.Propagation{{Attribute: "email", Header: "X-User-Email"}}}),
		r.Bind(tb.Context(), broker.Binding{Environment: "prod", Server: "github", Name: "dev-github", State: broker.Active, Actor: broker.Actor{Group: "dev"},
			Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static, Owner: "platform",
			Fields: []broker.Field{{Name: "token", Reference: reference}}}),
	} {
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// token signs an access token for alice of group dev.
func (f *fixture) token(tb testing.TB) string {
	tb.Helper()
	return f.tokenFor(tb, route)
}

func (f *fixture) tokenFor(tb testing.TB, route string) string {
	tb.Helper()
	now := time.Now()
	return f.issuer.Sign("rsa", nil, map[string]any{"iss": f.issuer.Issuer(), "sub": "alice", "aud": publicURL + route, "email": "alice@example.com",
		"groups": []string{"g1"}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
}

const callBody = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"create_issue","arguments":{"title":"A bug","body":"It does not work."}}}`

func (f *fixture) request(token, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, publicURL+route, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	return r
}

// plainSealer stands in for KMS: key sets are public, and memory is no table.
type plainSealer struct{}

func (plainSealer) Seal(_ context.Context, _ broker.SealContext, v secret.Value) ([]byte, error) {
	return []byte(v.Reveal()), nil
}

func (plainSealer) Open(_ context.Context, _ broker.SealContext, sealed []byte) (secret.Value, error) {
	return secret.New(string(sealed)), nil
}

// respond makes an upstream that gives one answer.
func respond(status int, contentType, body string) transport {
	return func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		header := http.Header{}
		if contentType != "" {
			header.Set("Content-Type", contentType)
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}
