package handler

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bindery/shared/brokertest/idp"
	"bindery/shared/brokertest/plainseal"
	"bindery/shared/egress"
	"bindery/shared/identity"
	"bindery/shared/memory"
)

const (
	publicURL = "https://mcp.example.com"
	route     = "/mcp/prod/github"
)

// fixture is the real handler over memory tables and a fake issuer whose
// tokens need the scope mcp.
type fixture struct {
	*Handler
	issuer *idp.Server
	log    *strings.Builder
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{issuer: idp.New(tb), log: &strings.Builder{}}
	f.issuer.Add("rsa", "RS256")
	text, err := json.Marshal(map[string]any{"issuers": []any{map[string]any{
		"name": "corp", "issuer": f.issuer.Issuer(), "kind": "user", "environments": []string{"prod"}, "algorithms": []string{"RS256"},
		"claims": map[string]any{"principal": []string{"sub"}, "email": "email"}, "agents": "ignored", "scopes": []string{"mcp"},
	}}})
	if err != nil {
		tb.Fatal(err)
	}
	document, err := identity.Parse(text, true)
	if err != nil {
		tb.Fatal(err)
	}
	verifier, err := identity.New(identity.Config{Document: document, Environment: "prod", PublicURL: publicURL,
		HTTP: egress.New(egress.Policy{Loopback: true}).HTTP(), KeySets: memory.New(time.Now), Sealer: plainseal.Sealer{}, Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	f.Handler = &Handler{verifier: verifier, log: slog.New(slog.NewJSONHandler(f.log, nil))}
	return f
}

// token is one for route, with the given scopes.
func (f *fixture) token(scope string) string {
	return f.issuer.Sign("rsa", map[string]any{"typ": "at+jwt"}, map[string]any{
		"iss": f.issuer.Issuer(), "aud": publicURL + route, "sub": "alice", "email": "alice@corp.example", "scope": scope,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	})
}

// asks is an event as API Gateway makes it.
func asks(path string, authorization ...string) request {
	e := request{Type: "REQUEST", MethodArn: "arn:aws:execute-api:eu-central-1:111122223333:a1b2c3d4e5/live/POST" + path, Path: path, HTTPMethod: "POST"}
	if len(authorization) > 0 {
		e.MultiValueHeaders = map[string][]string{"authorization": authorization}
	}
	return e
}
