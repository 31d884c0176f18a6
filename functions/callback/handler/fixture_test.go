package handler

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/admin"
	"bindery/shared/broker"
	"bindery/shared/connect"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/mask"
	"bindery/shared/memory"
	"bindery/shared/oauth"
	"bindery/shared/secret"
)

const publicURL = "https://mcp.example.com"

// fixture is the real handler over memory tables, with a company's issuer and two
// providers.
type fixture struct {
	*Handler
	t      testing.TB
	tables *memory.DB
	corp   *op // the issuer
	acme   *op // the provider of the card
	other  *op // another provider, of another card
	log    *bytes.Buffer
	clock  func() time.Time
	untold broker.FactKind // the kind of fact that cannot be recorded

	mu       sync.Mutex
	shown    strings.Builder // every page
	recorded bytes.Buffer    // every audit record
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

// bound is a sealer that opens a text for what it was sealed for and nothing
// else, as KMS does.
type bound struct{}

func (bound) Seal(_ context.Context, c broker.SealContext, v secret.Value) ([]byte, error) {
	name := broker.Digest(c.Environment, c.Purpose, c.Origin, c.ID)
	return append([]byte(name), v.Reveal()...), nil
}

func (bound) Open(_ context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	rest, ok := bytes.CutPrefix(sealed, []byte(broker.Digest(c.Environment, c.Purpose, c.Origin, c.ID)))
	if !ok {
		return secret.Value{}, broker.ErrKeyUnavailable
	}
	return secret.New(string(rest)), nil
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, corp: newOP(t), acme: newOP(t), other: newOP(t), log: &bytes.Buffer{}, clock: time.Now}
	f.corp.idToken = true
	now := func() time.Time { return f.clock() }
	f.tables = memory.New(now)
	text, err := json.Marshal(map[string]any{"issuers": []any{map[string]any{
		"name": "corp", "issuer": f.corp.URL(), "kind": "user", "environments": []string{"prod"}, "algorithms": []string{"ES256"},
		"claims": map[string]any{"principal": []string{"sub"}, "email": "email"}, "login": map[string]any{"client_id": "bindery"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	document, err := identity.Parse(text, true)
	if err != nil {
		t.Fatal(err)
	}
	client := egress.New(egress.Policy{Loopback: true}).HTTP()
	verifier, err := identity.New(identity.Config{Document: document, Environment: "prod", PublicURL: publicURL,
		HTTP: client, KeySets: f.tables, Sealer: bound{}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	f.Handler = &Handler{
		environment: "prod", publicURL: publicURL, hosts: []string{"mcp.example.com"}, verifier: verifier,
		under: &connect.Desk{Handles: f.tables, Environment: "prod", PublicURL: publicURL, Now: now},
		reads: &connect.Reads{Catalogue: f.tables, Markers: f.tables, Providers: f.tables, Grants: f.tables}, grants: f.tables, sealer: bound{},
		known: &oauth.Known{Registered: f.tables, Sealer: bound{}, HTTP: func([]netip.Prefix) *http.Client { return client },
			Redirect: func(p string) string { return publicURL + "/connect/callback/" + p },
			Document: func(p string) string { return publicURL + "/connect/client/" + p + ".json" }, Now: now, Loopback: true},
		logins: oauth.New(client, now, true),
		desk: &admin.Desk{Environment: "prod", Issuers: "digest", Gate: own{}, Markers: f.tables, Journal: broker.NewJournal(f, rand.Text),
			Now: now, Status: statusOf},
		check: mask.Check, now: now, log: slog.New(slog.NewJSONHandler(f.log, nil)),
	}
	f.build()
	f.seed()
	return f
}

const upstream = "https://acme.example.com/mcp"

// seed registers what cards need: a card by OAuth at each provider, and one with
// keys that people type in.
func (f *fixture) seed() {
	f.must(f.tables.PutEnvironment(f.t.Context(), broker.Environment{Name: "prod", State: broker.Active}))
	f.must(f.tables.PutAgent(f.t.Context(), broker.Agent{Environment: "prod", ID: "corp:desk", State: broker.Active, Team: "tools", Ceiling: broker.High}))
	bearer := []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}
	keys := []broker.Attachment{{In: broker.InHeader, Name: "X-Key", Template: "{key}"}, {In: broker.InHeader, Name: "X-Sign", Template: "{signing}"}}
	for _, s := range []broker.Server{
		{Name: "acme", URL: upstream, Description: "files <b>& folders</b>", Attach: bearer},
		{Name: "other", URL: "https://other.example.com/mcp", Attach: bearer},
		{Name: "keyed", URL: "https://keyed.example.com/mcp", Attach: keys},
	} {
		s.Environment, s.State, s.Owner = "prod", broker.Active, "tools"
		f.must(f.tables.PutServer(f.t.Context(), s))
	}
	for name, o := range map[string]*op{"acme": f.acme, "other": f.other} {
		f.must(f.tables.PutProvider(f.t.Context(), broker.Provider{Environment: "prod", Name: name, State: broker.Active, Issuer: o.URL(),
			Registration: broker.Preregistered, ClientID: "bindery-" + name, ClientAuth: broker.ClientNone}))
	}
	f.must(f.tables.PutBinding(f.t.Context(), f.card("acme", "acme", broker.AuthorizationCode, "files:read", "files:write")))
	f.must(f.tables.PutBinding(f.t.Context(), f.card("other", "other", broker.AuthorizationCode, "mail")))
	f.must(f.tables.PutBinding(f.t.Context(), f.card("keyed", "", broker.PersonalKey)))
}

func (f *fixture) card(server, provider string, source broker.SourceKind, scopes ...string) broker.Binding {
	s, err := f.tables.Server(f.t.Context(), broker.Route{Environment: "prod", Server: server})
	f.must(err)
	origin, err := broker.OriginDigest(s.URL)
	f.must(err)
	return broker.Binding{Environment: "prod", Server: server, Name: "own", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: source, Provider: provider, Scopes: scopes, Origin: origin, Owner: "tools"}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) principal(subject string) string { return broker.PrincipalID(f.corp.URL(), subject) }

func (f *fixture) key(server, subject string) broker.GrantKey {
	return broker.GrantKey{Environment: "prod", Principal: f.principal(subject), Server: server, Origin: f.card(server, "", "").Origin}
}

// link is what a person gets whose call at a server lacked their consent.
func (f *fixture) link(server, subject string) string {
	f.t.Helper()
	return f.linkFor(server, subject, "corp:desk", broker.ConsentNone)
}

func (f *fixture) linkFor(server, subject, agent string, why broker.ConsentWhy) string {
	f.t.Helper()
	card, err := f.tables.Binding(f.t.Context(), broker.Route{Environment: "prod", Server: server}, "own")
	f.must(err)
	who := broker.Principal{ID: f.principal(subject), Kind: broker.User, Issuer: f.corp.URL(), Subject: subject, Agent: agent, Groups: []string{"corp:staff"}}
	d := &broker.Decision{Call: broker.Call{Principal: who}, Binding: card}
	link, err := f.under.Issue(f.t.Context(), &broker.ConsentNeeded{Why: why, Grant: broker.GrantKey{Environment: "prod",
		Principal: who.ID, Server: server, Origin: card.Origin}, Provider: card.Provider, Scopes: card.Scopes}, d)
	f.must(err)
	return link
}

// logIn opens a link and logs in at the company's issuer.
func (b *browser) logIn(link, subject string) page {
	b.t.Helper()
	sent := b.get(link).want(303, "")
	back := b.get(b.corp.agree(sent.Header().Get("Location"), subject)).want(303, "")
	if back.Header().Get("Location") != link {
		b.t.Fatalf("after the login the browser is sent to %s", back.Header().Get("Location"))
	}
	return b.get(link)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// yes is the form of a question with its answer.
func (p page) yes() url.Values {
	p.t.Helper()
	found := csrfField.FindStringSubmatch(p.Body.String())
	if found == nil {
		p.t.Fatalf("the page has no form:\n%s", p.Body)
	}
	return url.Values{"csrf": {found[1]}, "decision": {"allow"}}
}

// onward is where a yes leads.
func (p page) onward() string {
	p.t.Helper()
	address, ok := strings.CutPrefix(p.want(200, "").Header().Get("Refresh"), "0; url=")
	if !ok {
		p.t.Fatalf("the page leads nowhere:\n%s", p.Body)
	}
	return address
}

// consent goes all the way.
func (b *browser) consent(server, subject string) {
	b.t.Helper()
	link := b.link(server, subject)
	question := b.logIn(link, subject).want(200, "")
	address := b.post(link, question.yes()).onward()
	b.get(b.at(server).agree(address, "me-at-"+server)).want(200, "")
}

func (f *fixture) at(server string) *op {
	if server == "other" {
		return f.other
	}
	return f.acme
}

// grant gives a person's grant, if there is one.
func (f *fixture) grant(server, subject string) (broker.GrantView, bool) {
	view, err := f.tables.Grant(f.t.Context(), f.key(server, subject))
	return view, err == nil
}

// stored fails the test if anything was stored for anybody.
func (f *fixture) nothingStored() {
	f.t.Helper()
	for _, server := range []string{"acme", "other", "keyed"} {
		for _, subject := range []string{"alice", "bob", "mallory"} {
			if _, there := f.grant(server, subject); there {
				f.t.Errorf("%s has a grant at %s", subject, server)
			}
		}
	}
}
