//go:build e2e && !nonode

// Package e2e takes whole calls through the whole product on real parts: an
// AWS-compatible endpoint, a certified OpenID provider, MCP servers and clients
// of the official SDK, and hostile upstreams on real sockets.
//
// Each test has a deployment of its own (tables, key, handler on loopback). In
// every one of them the credentials are canaries, and when it ends everything
// that came out of it is searched for them: answers, logs, audit records, every
// item of every table. And for every request that an upstream got, the audit
// table must hold the intent of the receipt that came with it.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/brokertest/enforce"
	"bindery/shared/secret"
)

const (
	issuerName    = "oidc"     // of the OpenID provider, in the issuer document
	shell         = "shell"    // the public client with which people log in
	reporter      = "reporter" // the confidential client: an agent of its own
	connectClient = "bindery"  // Bindery itself, as people log in at its connect page
	audience      = "https://bindery.example.com"
	adminAudience = "https://bindery.example.com/admin/v1"
	ownAudience   = "https://bindery.example.com/connections"

	alice, bob, carol = "alice", "bob", "carol"
)

// shell and reporter as agents.
const shellAgent, reporterAgent = issuerName + ":" + shell, issuerName + ":" + reporter

// The parts that all tests share, because they are slow to start.
var shared struct {
	moto, everything *parts.Process
	stateless        *parts.Process // the official server of the current revision
	clients          *parts.Clients
	oidc             *parts.OIDC
	reporterSecret   secret.Value
	front, scoped    net.Listener // where the deployments whose resources the provider knows will listen
	tokens           sync.Map     // by account, so that each logs in once
	acme             acme         // another company's provider, for those who ask for it
	tally            enforce.Tally
}

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // as the function's main does
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // most of the time somebody waits for somebody
		panic(err)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	say := func(format string, args ...any) { fmt.Printf("  "+format+"\n", args...) }
	var err error
	if shared.moto, err = parts.Moto(ctx, say); err != nil {
		return 0, err
	}
	defer shared.moto.Stop()
	if shared.everything, err = parts.EverythingServer(ctx, say, true); err != nil {
		return 0, err
	}
	defer shared.everything.Stop()
	if shared.stateless, err = parts.EverythingServer(ctx, say, false); err != nil {
		return 0, err
	}
	defer shared.stateless.Stop()
	if shared.clients, err = parts.MCPClients(ctx, say); err != nil {
		return 0, err
	}
	if shared.front, err = stack.Listen(0); err != nil {
		return 0, err
	}
	defer shared.front.Close()
	if shared.scoped, err = stack.Listen(0); err != nil {
		return 0, err
	}
	defer shared.scoped.Close()
	shared.reporterSecret = secret.New(stack.RandomSecret("client-"))
	if shared.oidc, err = parts.OIDCProvider(ctx, say, provider()); err != nil {
		return 0, err
	}
	defer shared.oidc.Stop()
	if err := shared.acme.prepare(ctx, say); err != nil {
		return 0, err
	}
	defer shared.acme.stop()
	return checkRights(m.Run()), nil
}

// provider is what the OpenID provider knows. carol is in both groups.
func provider() parts.OIDCConfig {
	person := func(name string, groups ...string) parts.OIDCUser {
		return parts.OIDCUser{Subject: name, Email: name + "@example.com", EmailVerified: true, Groups: groups}
	}
	return parts.OIDCConfig{
		AccessTokenTTL: 30 * time.Minute, // each account logs in once for all tests, on a machine that may be slow
		Users:          []parts.OIDCUser{person(alice, "g-dev"), person(bob, "g-ops"), person(carol, "g-dev", "g-ops")},
		Clients: []parts.OIDCClient{{ID: shell}, {ID: reporter, Secret: shared.reporterSecret},
			{ID: connectClient, RedirectURI: "http://127.0.0.1:9/connect/login"}}, // and any other port
		Resources: []parts.OIDCResource{{Audience: audience}, {Audience: adminAudience}, {Audience: ownAudience}, {Audience: frontResource("notes"), Scope: "mcp"},
			{Audience: frontResource("other"), Scope: "mcp"}, {Audience: scopedResource(), Scope: "mcp mcp:files"}},
	}
}

// frontResource is the resource URL of a server at the front's deployment.
func frontResource(server string) string {
	return "http://" + shared.front.Addr().String() + "/mcp/" + frontEnvironment + "/" + server
}

// token is an access token for the shared audience: a person's after a login
// with PKCE, or the agent's own.
func token(t *testing.T, account string) string {
	t.Helper()
	got, _ := shared.tokens.LoadOrStore(account, sync.OnceValues(func() (parts.Tokens, error) {
		if account == reporter {
			return shared.oidc.ClientToken(context.Background(), reporter, shared.reporterSecret, audience)
		}
		return shared.oidc.UserToken(context.Background(), account, shell, audience)
	}))
	tokens, err := got.(func() (parts.Tokens, error))()
	if err != nil {
		t.Fatal(err)
	}
	return tokens.Access.Reveal()
}
