package handler

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/plainseal"
	"bindery/shared/credential"
	"bindery/shared/mask"
	"bindery/shared/memory"
	"bindery/shared/revoke"
	"bindery/shared/secret"
	"bindery/shared/session"
	"bindery/shared/stores/sealed"
)

const (
	canary = "made-up-canary-7Yq2vJx9LmZt"
	leader = "p-aaaaaaaaaaaaaaaaaaaaaaaaaa" // who revokes
	apiURL = "https://api.example.com/mcp"
)

// person is somebody's id.
func person(n int) string {
	return broker.PrincipalID("https://issuer.example", fmt.Sprint("person-", n))
}

// world is a deployment in memory, its upstream and its provider.
type world struct {
	*testing.T
	tables   *memory.DB
	revoker  *revoke.Revoker
	sessions *session.Sessions
	upstream *upstream
	provider *provider
	log      *strings.Builder
	grants   *credential.Grants

	mu   sync.Mutex
	now  time.Time
	n    int // receipts
	life life
}

// life counts the steps of a process, and ends it at one of them.
type life struct {
	steps, dies int
	applied     bool // the step at which it dies is applied
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), log: &strings.Builder{}}
	w.tables = memory.New(w.time)
	w.upstream, w.provider = &upstream{w: w, status: http.StatusNoContent}, &provider{w: w, revoked: map[string]int{}}
	w.sessions = session.New(w.tables, plainseal.Sealer{}, "prod", w.time)
	w.revoker = &revoke.Revoker{Environment: "prod", Markers: w.tables, Reader: w.tables, Cases: w.tables, Journal: w.journal(), Now: w.time}
	for _, err := range []error{
		w.tables.PutEnvironment(t.Context(), broker.Environment{Name: "prod", State: broker.Active}),
		w.tables.PutStore(t.Context(), broker.Store{Environment: "prod", Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{"prod/*"}, State: broker.Active}),
		w.tables.PutStore(t.Context(), broker.Store{Environment: "prod", Name: "sealed", Kind: "sealed", Paths: broker.Scope{"*"}, State: broker.Active}),
		w.tables.PutProvider(t.Context(), broker.Provider{Environment: "prod", Name: "acme", State: broker.Active, Issuer: "https://acme.example",
			Registration: broker.Preregistered, ClientID: "bindery", ClientAuth: "none"}),
	} {
		w.must(err)
	}
	w.server("github", broker.Static, "aws-sm:prod/github#token")
	w.server("files", broker.AuthorizationCode, "")
	return w
}

// server registers a server with one card, called dev.
func (w *world) server(name string, source broker.SourceKind, reference string) {
	w.Helper()
	w.must(w.tables.PutServer(w.Context(), broker.Server{Environment: "prod", Name: name, State: broker.Active, Owner: "platform", URL: apiURL,
		Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	b := broker.Binding{Environment: "prod", Server: name, Name: "dev", State: broker.Active, Actor: broker.Actor{Group: "dev"}, Owner: "platform", Origin: w.origin(),
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: source}
	if source == broker.AuthorizationCode {
		b.Mode, b.Provider, b.Scopes = broker.UserDelegated, "acme", []string{"read"}
	} else {
		r, err := broker.ParseReference(reference)
		w.must(err)
		b.Fields = []broker.Field{{Name: "token", Reference: r}}
	}
	w.must(w.tables.PutBinding(w.Context(), b))
}

func (w *world) origin() string {
	origin, err := broker.OriginDigest(apiURL)
	w.must(err)
	return origin
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) journal() *broker.Journal { return broker.NewJournal(mortal{w.tables, w}, rand.Text) }

// handler is a new process.
func (w *world) handler() *Handler {
	db := mortal{w.tables, w}
	values := sealed.New(w.tables, plainseal.Sealer{}, w.time)
	static := credential.NewStatic(map[string]broker.SecretStore{"aws-sm": store{}, "sealed": values}, mask.Check)
	w.grants = credential.NewGrants(credential.GrantParts{Grants: w.tables, Providers: w.tables, Catalogue: w.tables, Markers: w.tables, Sealer: plainseal.Sealer{},
		Tokens: refresher{}, Events: quiet{}, Check: mask.Check, Now: w.time, Holder: rand.Text, Pause: func(context.Context, time.Duration) error { return errors.New("nobody waits") }})
	return &Handler{Parts{
		Environment: "prod", Cases: db, Markers: db, Catalogue: w.tables, Uses: w.tables, Sessions: db, Grants: db, Scanner: db, Values: values,
		Sources: map[broker.SourceKind]broker.Source{broker.Static: static, broker.AuthorizationCode: w.grants}, Sealer: plainseal.Sealer{},
		Wrapped: w.sessions, Upstreams: w.upstream, Journal: w.journal(), Now: w.time, Fresh: w.receipt, Log: slog.New(slog.NewJSONHandler(w.log, nil)),
		Providers: &Parties{Now: w.time, Find: func(context.Context, broker.Provider, []broker.Store) (Party, error) {
			return w.provider, w.provider.unfound
		}},
	}}
}

func (w *world) receipt() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	return broker.ReceiptOf(w.now, "test", fmt.Sprint(w.n))
}

// session begins a legacy session of somebody.
func (w *world) session(n int, server string, change ...func(*broker.LiveSession)) broker.LiveSession {
	w.Helper()
	s := broker.LiveSession{Environment: "prod", Server: server, Origin: w.origin(), Principal: person(n), Issuer: "https://issuer.example",
		Groups: []string{"dev"}, Binding: "dev", Expires: w.time().Add(session.Life)}
	for _, c := range change {
		c(&s)
	}
	w.upstream.begun(fmt.Sprint("up-", server, "-", n))
	id, err := w.sessions.Wrap(w.Context(), session.Owner{Server: server, Origin: s.Origin, Principal: s.Principal, Agent: s.Agent},
		session.Session{Upstream: fmt.Sprint("up-", server, "-", n), Binding: s.Binding, Version: "2025-11-25"})
	w.must(err)
	s.Wrapped, s.Digest = id, broker.Digest("session", id)
	w.must(w.tables.AddSession(w.Context(), s))
	return s
}

// grant stores somebody's consent at a server.
func (w *world) grant(n int, server string, change ...func(*broker.Grant)) broker.Grant {
	w.Helper()
	g := broker.Grant{GrantKey: broker.GrantKey{Environment: "prod", Principal: person(n), Server: server, Origin: w.origin()}, Provider: "acme",
		Authority: "https://acme.example", Resource: apiURL, Scopes: []string{"read"}, Consented: w.time().UTC(), Expires: w.time().Add(30 * time.Minute).UTC(), Refreshes: true}
	for _, c := range change {
		c(&g)
	}
	g.Sealed = w.tokens(g.GrantKey, fmt.Sprint(server, "-", n)).Sealed
	w.must(w.tables.BeginGrant(w.Context(), g, broker.Consent{At: w.time()}))
	v, err := w.tables.Grant(w.Context(), g.GrantKey)
	w.must(err)
	return v.Grant
}

func (w *world) tokens(k broker.GrantKey, name string) broker.Tokens {
	w.Helper()
	set := credential.TokenSet{Access: secret.New(canary + "-access-" + name), Refresh: secret.New(canary + "-refresh-" + name), Expires: w.time().Add(30 * time.Minute).UTC()}
	w.provider.issued(set)
	t, err := credential.SealTokens(w.Context(), plainseal.Sealer{}, k, set, []string{"read"})
	w.must(err)
	return t
}

// revoke stops something, and gives the id of the case.
func (w *world) revoke(kind broker.MarkerKind, subject string) string {
	w.Helper()
	a, err := w.revoker.Revoke(w.Context(), revoke.Order{ID: w.receipt(), Kind: kind, Subject: subject, By: leader, Reason: "a drill of the tests"})
	w.must(err)
	if a.Unrecorded != nil {
		w.Fatal(a.Unrecorded)
	}
	return a.Case
}

// goOn runs the schedule in a new process.
func (w *world) goOn() Report {
	w.Helper()
	answer, err := w.handler().Handle(w.Context(), json.RawMessage(`{"task":"continue"}`))
	w.must(err)
	return answer.(Report)
}

// finish runs the schedule each minute until the case is done.
func (w *world) finish(id string) broker.Revocation {
	w.Helper()
	for range 100 {
		w.goOn()
		if c := w.found(id); c.Work == broker.WorkDone {
			return c
		}
		w.pass(time.Minute)
	}
	w.Fatalf("it does not end: %+v", w.found(id))
	return broker.Revocation{}
}

func (w *world) found(id string) broker.Revocation {
	w.Helper()
	c, err := w.tables.Revocation(w.Context(), "prod", id)
	w.must(err)
	return c
}

// facts are what was told of a case.
func (w *world) facts(id string) (told []broker.FactKind) {
	w.Helper()
	c := w.found(id)
	for _, kind := range []broker.FactKind{broker.RevocationCompleted, broker.RevocationIncomplete} {
		if len(w.tables.Records(broker.ReceiptOf(c.At, "fact", "prod", id, string(kind)))) > 0 {
			told = append(told, kind)
		}
	}
	return told
}

func (w *world) clean() {
	w.Helper()
	if strings.Contains(w.log.String(), canary) || strings.Contains(w.log.String(), "up-github") {
		w.Errorf("the log shows a secret: %s", w.log)
	}
}
