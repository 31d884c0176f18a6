//go:build e2e && !nonode

// Package connect takes people through the connect page on real parts: tables
// and keys at an AWS-compatible endpoint, a certified OpenID provider as the
// company's issuer and another one as the provider of an upstream, and a real
// browser that is driven by its keyboard.
package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/connect"
	"bindery/shared/credential"
)

const environment, upstream = "connect", "https://acme.example.com/mcp"

// world is a deployment with a server that needs each person's own consent, at a
// provider that knows Bindery only by registering it.
type world struct {
	*stack.Deployment
	t          *testing.T
	corp, acme *parts.OIDC
	browser    *parts.Browser
	desk       *connect.Desk
	log        *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(stop)
	w := &world{t: t, log: &bytes.Buffer{}}
	listener, err := stack.Listen(0)
	w.must(err)
	url := "http://" + listener.Addr().String()
	moto, err := parts.Moto(ctx, t.Logf)
	w.must(err)
	t.Cleanup(moto.Stop)
	w.browser, err = parts.Chromium(ctx, t.Logf)
	w.must(err)
	people := []parts.OIDCUser{{Subject: "alice", Email: "alice@corp.example", EmailVerified: true}, {Subject: "bob", Email: "bob@corp.example", EmailVerified: true}}
	w.corp, err = parts.OIDCProvider(ctx, t.Logf, parts.OIDCConfig{Users: people,
		Clients: []parts.OIDCClient{{ID: "bindery", RedirectURI: url + "/connect/login"}}})
	w.must(err)
	t.Cleanup(w.corp.Stop)
	w.acme, err = parts.OIDCProvider(ctx, t.Logf, parts.OIDCConfig{Users: []parts.OIDCUser{{Subject: "alice-at-acme"}},
		Resources: []parts.OIDCResource{{Audience: upstream, Scope: "files:read files:write"}}, Registration: true})
	w.must(err)
	t.Cleanup(w.acme.Stop)
	document, err := json.Marshal(map[string]any{"issuers": []any{map[string]any{"name": "corp", "issuer": w.corp.URL, "kind": "user",
		"environments": []string{environment}, "algorithms": []string{"RS256"}, "claims": map[string]any{"email": "email"},
		"login": map[string]any{"client_id": "bindery", "scopes": []string{"openid", "email"}}}}})
	w.must(err)
	w.Deployment, err = stack.Provision(ctx, stack.AWS(moto.URL), environment, url, document)
	w.must(err)
	w.desk = &connect.Desk{Handles: w.DB, Environment: environment, PublicURL: url, Now: time.Now}
	w.seed()
	front, err := w.Front(slog.New(slog.NewJSONHandler(w.log, nil)))
	w.must(err)
	served := stack.Serve(listener, front)
	t.Cleanup(served.Stop)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) seed() {
	ctx := w.t.Context()
	w.must(w.DB.PutAgent(ctx, broker.Agent{Environment: environment, ID: "corp:desk", State: broker.Active, Team: "tools", Ceiling: broker.High}))
	w.must(w.DB.PutProvider(ctx, broker.Provider{Environment: environment, Name: "acme", State: broker.Active, Issuer: w.acme.URL,
		Registration: broker.Dynamic, ClientAuth: broker.ClientNone, Quirks: broker.Quirks{AuthorizationParameters: map[string]string{"prompt": "consent"}}}))
	attach := func(template ...string) (all []broker.Attachment) {
		for i, t := range template {
			all = append(all, broker.Attachment{In: broker.InHeader, Name: "X-Key-" + string(rune('A'+i)), Template: t})
		}
		return all
	}
	for _, s := range []broker.Server{
		{Name: "acme", URL: upstream, Description: "shared files", Attach: attach("Bearer {token}")},
		{Name: "keyed", URL: "https://keyed.example.com/mcp", Attach: attach("{key}", "{signing}")},
	} {
		s.Environment, s.State, s.Owner = environment, broker.Active, "tools"
		w.must(w.DB.PutServer(ctx, s))
		origin, err := broker.OriginDigest(s.URL)
		w.must(err)
		card := broker.Binding{Environment: environment, Server: s.Name, Name: "own", State: broker.Active, Actor: broker.Actor{Anyone: true},
			Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.PersonalKey, Origin: origin, Owner: "tools"}
		if s.Name == "acme" {
			card.Source, card.Provider, card.Scopes = broker.AuthorizationCode, "acme", []string{"files:read", "offline_access"}
		}
		w.must(w.DB.PutBinding(ctx, card))
	}
}

// link is what Alice gets when a call of hers lacks her consent.
func (w *world) link(server string) (string, broker.GrantKey) {
	w.t.Helper()
	card, err := w.DB.Binding(w.t.Context(), broker.Route{Environment: environment, Server: server}, "own")
	w.must(err)
	alice := broker.Principal{ID: broker.PrincipalID(w.corp.URL, "alice"), Kind: broker.User, Issuer: w.corp.URL, Agent: "corp:desk"}
	key := broker.GrantKey{Environment: environment, Principal: alice.ID, Server: server, Origin: card.Origin}
	link, err := w.desk.Issue(w.t.Context(), &broker.ConsentNeeded{Why: broker.ConsentNone, Grant: key, Provider: card.Provider, Scopes: card.Scopes},
		&broker.Decision{Call: broker.Call{Principal: alice}, Binding: card})
	w.must(err)
	return link, key
}

// logIn are the two pages of an OpenID provider.
func logIn(who string) []parts.Step {
	return []parts.Step{
		{Wait: `input[name="login"]`, Type: map[string]string{`input[name="login"]`: who, `input[name="password"]`: "any"}, Press: `button[type="submit"]`},
		{Wait: `input[name="prompt"][value="consent"]`, Press: `button[type="submit"]`},
	}
}

func TestAPersonConnectsWithTheKeyboardOfARealBrowser(t *testing.T) {
	w := newWorld(t)
	link, key := w.link("acme")
	steps := slices.Concat(logIn("alice"),
		[]parts.Step{{Wait: `button[value="allow"]`, Look: true, Press: `button[value="allow"]`}},
		logIn("alice-at-acme"), []parts.Step{{Wait: "main", Look: true}})
	walk, err := w.browser.Walk(t.Context(), link, steps...)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.log)
	}
	accessible(t, walk, "Let an agent use acme as you?", "acme is connected")
	view, err := w.DB.Grant(t.Context(), key)
	w.must(err)
	set, err := credential.OpenTokens(t.Context(), w.Sealer, key, view.Grant.Sealed)
	if err != nil || set.Access.IsZero() || set.Refresh.IsZero() || len(view.Consents) != 1 || view.Consents[0].Agent != "corp:desk" {
		t.Errorf("the grant is %+v, %v", view.Grant, err)
	}
	for _, c := range walk.Cookies {
		if !c.Secure || !c.HTTPOnly || c.SameSite != "Lax" || c.Path != "/" {
			t.Errorf("cookie %+v", c)
		}
	}
	if len(walk.Cookies) != 1 {
		t.Errorf("%d cookies are left", len(walk.Cookies))
	}
	bob, err := w.browser.Walk(t.Context(), w.another("acme"), slices.Concat(logIn("bob"), []parts.Step{{Wait: "main", Look: true}})...)
	w.must(err)
	accessible(t, bob, "This link was made for somebody else")
	w.leaksNothing(set.Access.Reveal(), set.Refresh.Reveal())
}

func (w *world) another(server string) string {
	link, _ := w.link(server)
	return link
}

const typed = "made-up-key-0123456789"

func TestAPersonTypesInKeys(t *testing.T) {
	w := newWorld(t)
	link, key := w.link("keyed")
	walk, err := w.browser.Walk(t.Context(), link, slices.Concat(logIn("alice"), []parts.Step{
		{Wait: "#field-key", Look: true, Type: map[string]string{"#field-key": typed, "#field-signing": typed + "-2"}, Press: `button[value="allow"]`},
		{Wait: "main:not(:has(form))", Look: true},
	})...)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.log)
	}
	accessible(t, walk, "Let an agent use keyed as you?", "keyed is connected")
	view, err := w.DB.Grant(t.Context(), key)
	if err != nil || len(view.Grant.Sealed) == 0 {
		t.Errorf("nothing was stored: %v", err)
	}
	w.leaksNothing(typed)
}

// accessible holds each page to its heading, to what axe-core finds, and to a
// focus that can be seen; and the browser must have had nothing to complain of.
func accessible(t *testing.T, walk parts.Walk, headings ...string) {
	t.Helper()
	if len(walk.Pages) != len(headings) || walk.Script != 0 {
		t.Fatalf("saw %d pages, the last with %d scripts", len(walk.Pages), walk.Script)
	}
	for _, complaint := range walk.Complaints {
		if !strings.Contains(complaint, "favicon") && !strings.Contains(complaint, "404") && !strings.Contains(complaint, "403") { // browsers ask for an icon by themselves
			t.Errorf("the browser complains: %s", complaint)
		}
	}
	for i, p := range walk.Pages {
		if p.Heading != headings[i] || len(p.Findings) > 0 {
			t.Errorf("%q, want %q; axe-core finds %q", p.Heading, headings[i], p.Findings)
		}
		roles := map[string]int{}
		for _, n := range p.Tree {
			roles[n.Role]++
			if (n.Role == "button" || n.Role == "textbox") && n.Name == "" {
				t.Errorf("%s: a %s without a name", p.Heading, n.Role)
			}
		}
		if roles["main"] != 1 || roles["heading"] != 1 || roles["button"] > 0 && !p.Outlined {
			t.Errorf("%s: the tree has %v, the focus is seen: %t", p.Heading, roles, p.Outlined)
		}
	}
}

// leaksNothing searches the log and every table.
func (w *world) leaksNothing(secrets ...string) {
	w.t.Helper()
	tables := w.Config.Tables
	rows, err := leak.Tables(w.t.Context(), dynamodb.NewFromConfig(w.AWS), tables.Catalogue, tables.Revocations, tables.Grants, tables.Transient, tables.Audit)
	if err != nil || !bytes.Contains(rows, []byte("corp:desk")) {
		w.t.Fatal("the tables hold nothing: the test would prove nothing", err)
	}
	for _, s := range secrets {
		if bytes.Contains(rows, []byte(s)) || bytes.Contains(w.log.Bytes(), []byte(s)) {
			w.t.Error("a secret is in a table or in the log")
		}
	}
}
