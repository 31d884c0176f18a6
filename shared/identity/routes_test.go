package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
)

func TestStagingIssuerInProduction(t *testing.T) {
	w := newWorld(t, nil)
	staging := idp.New(t)
	w.doc = document(t, entry(w.idp, nil), entry(staging, map[string]any{"name": "staging", "environments": []string{"staging"}}))
	w.Verifier = w.process(nil)
	token := staging.Sign("k1", nil, w.claims(map[string]any{"iss": staging.Issuer()}))
	w.refuses(token, IssuerUnknown)
	if strings.Contains(string(w.Metadata(github)), staging.Issuer()) {
		t.Error("production advertises a staging issuer")
	}
	if _, err := New(Config{Document: document(t, entry(staging, map[string]any{"environments": []string{"staging"}})), Environment: "prod",
		PublicURL: publicURL, HTTP: w.idp.Client(), KeySets: w.rows, Sealer: sealer{}, Now: w.clock.now}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a deployment that trusts nobody started: %v", err)
	}
}

func TestRouteOfAnotherEnvironment(t *testing.T) {
	w := newWorld(t, nil)
	other := broker.Route{Environment: "staging", Server: "github"}
	token := w.token(map[string]any{"aud": publicURL + "/mcp/staging/github"})
	if _, err := w.Verify(context.Background(), request("Bearer "+token), other); ReasonOf(err) != IssuerUnknown {
		t.Error(err)
	}
}

func TestCachedTokenOnAnotherRoute(t *testing.T) {
	w := newWorld(t, nil)
	token := w.token(nil)
	w.accepts(token)
	jira := broker.Route{Environment: "prod", Server: "jira"}
	if _, err := w.Verify(context.Background(), request("Bearer "+token), jira); ReasonOf(err) != AudienceWrong {
		t.Errorf("a token for github opened jira: %v", err)
	}
}

func TestAudiencesMappedToServers(t *testing.T) {
	w := newWorld(t, map[string]any{"audiences": []map[string]any{
		{"audience": "api://tickets", "servers": []string{"jira", "github"}}, {"audience": "api://all", "servers": []string{"*"}},
		{"audience": "api://mail", "servers": []string{"mail"}},
	}})
	w.accepts(w.token(map[string]any{"aud": "api://tickets"}))
	w.accepts(w.token(map[string]any{"aud": "api://all"}))
	w.refuses(w.token(map[string]any{"aud": "api://mail"}), AudienceWrong)
	w.refuses(w.token(nil), AudienceWrong) // the list replaces the resource URL
}

func TestCachedResultEndsWithTheToken(t *testing.T) {
	w := newWorld(t, map[string]any{"max_age": "5m"})
	token := w.token(nil)
	first := w.accepts(token)
	if got := first.Expires.Sub(w.clock.now()); got.Minutes() != 5 {
		t.Errorf("good for %s, max_age is 5m", got)
	}
	w.clock.pass(5*60e9 + 31e9)
	w.refuses(token, TokenTooOld)
}

func TestCacheIsBoundedAndCallersCannotChangeIt(t *testing.T) {
	w := newWorld(t, map[string]any{"claims": map[string]any{"groups": "groups", "attributes": map[string]any{"team": "team"}}})
	token := w.token(map[string]any{"groups": []string{"eng"}, "team": "red"})
	p := w.accepts(token)
	p.Groups[0], p.Attributes["team"] = "admins", "blue"
	if p = w.accepts(token); p.Groups[0] != "corp:eng" || p.Attributes["team"] != "red" {
		t.Errorf("a caller changed what the next one gets: %+v", p)
	}
	c := newCache(2)
	now := w.clock.now()
	for n := range 10 {
		c.put(idOf(fmt.Sprint(n), resource{Route: github}), &result{until: now.Add(1e9)})
		c.get(idOf("0", resource{Route: github}), now)
	}
	if len(c.byID) != 2 || c.order.Len() != 2 || c.get(idOf("0", resource{Route: github}), now) == nil || c.get(idOf("9", resource{Route: github}), now) == nil {
		t.Errorf("%d entries; the one used last must stay", len(c.byID))
	}
	if c.get(idOf("9", resource{Route: github}), now.Add(1e9)) != nil || len(c.byID) != 1 {
		t.Error("an entry outlived its time")
	}
}

func TestInsufficientScope(t *testing.T) {
	w := newWorld(t, map[string]any{"scopes": []string{"mcp", "mcp:call"}})
	for name, scope := range map[string]map[string]any{
		"none": nil, "one of two": {"scope": "mcp"}, "prefix": {"scope": "mcp mcp:calls"}, "as object": {"scope": map[string]any{"mcp": true}},
		"roles of a person": {"roles": []string{"mcp", "mcp:call"}},
	} {
		_, err := w.verify(w.token(scope))
		if !errors.Is(err, ErrInsufficientScope) || errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.accepts(w.token(map[string]any{"scope": "openid mcp:call mcp"}))
	w.accepts(w.token(map[string]any{"scp": []string{"mcp:call", "mcp"}}))
	thief := idp.New(t)
	w.refuses(thief.Sign("k1", nil, w.claims(nil)), SignatureWrong) // not a word about scopes before the signature
}

func TestMetadataOfARoute(t *testing.T) {
	a, b := idp.New(t), idp.New(t)
	w := newWorld(t, nil)
	w.doc = document(t,
		entry(w.idp, map[string]any{"scopes": []string{"mcp", "b"}}),
		entry(a, map[string]any{"name": "jira-only", "scopes": []string{"jira"}, "audiences": []map[string]any{{"audience": "j", "servers": []string{"jira"}}}}),
		entry(b, map[string]any{"name": "cluster", "kind": "workload"}))
	v := w.process(nil)
	want := `{"resource":"https://bindery.example/mcp/prod/github","authorization_servers":["` + w.idp.Issuer() +
		`"],"scopes_supported":["b","mcp"],"bearer_methods_supported":["header"]}`
	if got := string(v.Metadata(github)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	jira := string(v.Metadata(broker.Route{Environment: "prod", Server: "jira"}))
	if !strings.Contains(jira, a.Issuer()) || !strings.Contains(jira, `"scopes_supported":["b","jira","mcp"]`) || strings.Contains(jira, b.Issuer()) {
		t.Error(jira)
	}
}

func TestChallengesTellWhatToDoAndNotWhy(t *testing.T) {
	w := newWorld(t, map[string]any{"scopes": []string{"mcp", "b"}})
	const rest = `scope="b mcp", resource_metadata="https://bindery.example/.well-known/oauth-protected-resource/mcp/prod/github"`
	for want, err := range map[string]error{
		"Bearer " + rest:                             ErrMissingToken,
		`Bearer error="invalid_token", ` + rest:      invalid(TokenExpired),
		`Bearer error="insufficient_scope", ` + rest: &fault{ErrInsufficientScope, ScopeMissing},
	} {
		if got := w.Challenge(github, err); got != want {
			t.Errorf("%v:\ngot  %s\nwant %s", err, got, want)
		}
	}
	for _, err := range []error{errKeysUnavailable, errors.New("other"), nil} {
		if got := w.Challenge(github, err); got != "" {
			t.Errorf("%v: %s", err, got)
		}
	}
}
