package handler

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/identity"
	"bindery/shared/mask"
	"bindery/shared/memory"
	"bindery/shared/policy"
	"bindery/shared/revoke"
	"bindery/shared/secret"
	"bindery/shared/wire"
)

const corpIssuer = "https://login.corp.example.com"

const canary = "canary-3kT9wQzLmV7xBn2RcY5s"

// people are the callers of the tests, by their token.
var people = map[string]broker.Principal{
	"root":    {ID: "p-root", Kind: broker.User, Groups: []string{"roots"}},
	"admin":   {ID: "p-admin", Kind: broker.User, Groups: []string{"admins"}},
	"auditor": {ID: "p-auditor", Kind: broker.User, Groups: []string{"auditors"}},
	"second":  {ID: "p-second", Kind: broker.User, Groups: []string{"approvers"}},
	"owner":   {ID: "p-owner", Kind: broker.User, Groups: []string{"team-notes"}},
	"other":   {ID: "p-other", Kind: broker.User, Groups: []string{"team-other"}},
	"nobody":  {ID: "p-nobody", Kind: broker.User},
}

func rolesOf(groups []string) []string {
	var roles []string
	for group, role := range map[string]string{"roots": "super_admin", "admins": "mcp_admin", "auditors": "auditor", "approvers": "approver"} {
		if slices.Contains(groups, group) {
			roles = append(roles, role)
		}
	}
	return roles
}

// tokens stands in for the issuer: the token is the person's name.
type tokens struct{}

func (tokens) VerifyAdmin(_ context.Context, r *http.Request) (broker.Principal, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p, known := people[name]
	switch {
	case !ok:
		return p, identity.ErrMissingToken
	case !known:
		return p, identity.ErrInvalidToken
	}
	return p, nil
}
func (tokens) AdminMetadata() []byte       { return []byte(`{}`) }
func (tokens) AdminChallenge(error) string { return "Bearer" }

// vault is a secret store with one usable secret under two names.
type vault struct{}

func (vault) Fetch(_ context.Context, w broker.Want) (broker.Secret, error) {
	switch w.Reference.String() {
	case "aws-sm:prod/notes", "sealed:token-1":
		return broker.Secret{Values: map[string]secret.Value{"token": secret.New(canary)}, Version: "v1"}, nil
	case "aws-sm:prod/short":
		return broker.Secret{Values: map[string]secret.Value{"token": secret.New("short")}, Version: "v1"}, nil
	}
	return broker.Secret{}, broker.ErrSecretMissing
}

// sealedValues counts versions and keeps nothing.
type sealedValues struct{ versions map[string]int64 }

func (s *sealedValues) Put(_ context.Context, _, id, _ string, _ secret.Value) (int64, error) {
	s.versions[id]++
	return s.versions[id], nil
}

func (s *sealedValues) Delete(_ context.Context, _, id string) error {
	if s.versions[id] == 0 {
		return broker.ErrNotFound
	}
	return nil
}

// rules are the real ones, of a production deployment.
func rules(t testing.TB) admin.Gate {
	t.Helper()
	r, err := policy.NewAdministration("prod", true)
	if err != nil {
		t.Fatal(err)
	}
	return gate{r, "prod"}
}

func issuers() *identity.Document {
	return &identity.Document{Issuers: []identity.Issuer{{Name: "corp", Issuer: corpIssuer, Claims: identity.Claims{Groups: "groups"},
		Groups: map[string]string{"1": "dev", "2": "ops", "3": "team-x", "4": "team-other"}}}}
}

type fixture struct {
	*Handler
	tables *memory.DB
	woken  int
	log    *bytes.Buffer

	mu       sync.Mutex
	seen     bytes.Buffer    // every answer, headers and body
	recorded bytes.Buffer    // every audit record
	untold   broker.FactKind // the kind of fact that cannot be recorded
}

// Append is the audit log, which keeps a copy.
func (f *fixture) Append(ctx context.Context, r broker.Record) error {
	text, err := r.JSON()
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.recorded.Write(text)
	f.mu.Unlock()
	if f.untold != "" && r.Method == string(f.untold) {
		return broker.ErrUnavailable
	}
	return f.tables.Append(ctx, r)
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{tables: memory.New(time.Now), log: &bytes.Buffer{}}
	static := credential.NewStatic(map[string]broker.SecretStore{"aws-sm": vault{}, "sealed": vault{}}, mask.Check)
	f.Handler = &Handler{
		environment: "prod", production: true, hosts: []string{"mcp.example.com"}, verifier: tokens{}, roles: rolesOf, principalOf: issuers().PrincipalOf,
		desk:   &admin.Desk{Environment: "prod", Issuers: "digest", Gate: rules(t), Markers: f.tables, Journal: broker.NewJournal(f, rand.Text), Now: time.Now, Status: statusOf},
		reader: f.tables, attempts: f.tables, assignments: f.tables, sets: f.tables, providers: f.tables, grants: f.tables, evidence: f.tables, uses: f.tables, values: &sealedValues{map[string]int64{}}, now: time.Now, log: slog.New(slog.NewJSONHandler(f.log, nil)),
		registry: &broker.Registry{Writer: f.tables, Reader: f.tables, Markers: f.tables, Sources: map[broker.SourceKind]broker.Source{broker.Static: static},
			CheckServer: credential.CheckServer, CheckStore: func(broker.Store) error { return nil }, TryAttach: credential.Try,
			Providers: f.tables, CheckProvider: wire.CheckProvider(config.Config{})},
	}
	f.marked, f.cases, f.issuerOf, f.checkGroup = f.tables, f.tables, issuers().IssuerOf, issuers().CheckGroup
	f.sessions = f.tables
	f.RevokeThrough(&revoke.Revoker{Environment: "prod", Markers: f.tables, Reader: f.tables, Cases: f.tables, Journal: broker.NewJournal(f, rand.Text), Now: time.Now})
	f.holders, f.upstreams = &holding{held: []string{"prod/notes", "prod/spare"}}, &reaching{}
	f.judge = broker.New(broker.Parts{Catalogue: f.tables, Markers: f.tables, Audit: f, Rules: policy.NewCalls(f.tables), Now: time.Now, Nonce: rand.Text, Status: statusOf, Quotas: f.tables})
	f.incidents = f.tables
	f.notices, f.inspector = f.tables, static
	f.plans, f.runs, f.wake = f.tables, f.tables, func(context.Context) error { f.woken++; return nil }
	f.build()
	if err := f.tables.PutEnvironment(t.Context(), broker.Environment{Name: "prod", State: broker.Active}); err != nil {
		t.Fatal(err)
	}
	return f
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	body map[string]any
}

// call makes one request; body is JSON text or a value to encode.
func (f *fixture) call(t testing.TB, who, method, path string, body any, header ...string) answer {
	t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(encoded)
	}
	r := httptest.NewRequest(method, "https://mcp.example.com"+base+path, strings.NewReader(text))
	r.Header.Set("Authorization", "Bearer "+who)
	if text != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	f.ServeHTTP(a, r)
	f.mu.Lock()
	_ = a.Header().Write(&f.seen)
	f.seen.Write(a.Body.Bytes())
	f.mu.Unlock()
	f.truly(t, method+" "+path, a)
	if a.Body.Len() > 0 && !strings.HasPrefix(a.Header().Get("Content-Type"), "text/") {
		if err := json.Unmarshal(a.Body.Bytes(), &a.body); err != nil {
			t.Fatalf("%s %s answered %q", method, path, a.Body)
		}
	}
	return a
}

// want requires a status and, for an error, the problem's name.
func (a answer) want(t testing.TB, status int, problem string) answer {
	t.Helper()
	kind, _ := a.body["type"].(string)
	if a.Code != status || problem != "" && kind != "urn:bindery:problem:"+problem {
		t.Errorf("answered %d %s, want %d %s", a.Code, a.Body, status, problem)
	}
	return a
}

// truly wants the record of a request to say what was answered, whatever the test
// is about. What could not be recorded has none.
func (f *fixture) truly(t testing.TB, request string, a answer) {
	t.Helper()
	for _, r := range f.records(a) {
		if r.Phase != broker.Intent && r.Status != a.Code {
			t.Errorf("%s was answered %d, and its record says %d (%s %s)", request, a.Code, r.Status, r.Method, r.Reason)
		}
	}
}

func (f *fixture) records(a answer) []broker.Record {
	return f.tables.Records(a.Header().Get("Bindery-Receipt"))
}

const serverBody = `{"owner":"team-notes","url":"https://notes.example.com/mcp","attach":[{"in":"header","name":"Authorization","template":"Bearer {token}"}],"state":"active"}`

const bindingBody = `{"actor":{"group":"dev"},"allow":{"tools":["*"]},"mode":"service_account","source":"static",
	"fields":[{"name":"token","reference":"aws-sm:prod/notes#token"}],"owner":"team-notes","state":"active"}`

// seed registers a store, a server and a binding as an administrator would. The
// server's origin needs no approval any more.
func (f *fixture) seed(t testing.TB) {
	t.Helper()
	f.call(t, "root", "PUT", "/stores/aws-sm", `{"kind":"aws-sm","paths":["prod/*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.production = false
	f.call(t, "root", "PUT", "/servers/notes", serverBody, "If-None-Match", "*").want(t, 200, "")
	f.production = true
	f.call(t, "root", "PUT", "/servers/notes/bindings/dev-notes", bindingBody, "If-None-Match", "*").want(t, 200, "")
}
