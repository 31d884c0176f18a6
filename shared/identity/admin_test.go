package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
)

const adminURL = publicURL + "/admin/v1"

// newAdminWorld is newWorld with administrators: edit changes the issuer's
// entry, top the document.
func newAdminWorld(t *testing.T, edit, top map[string]any) *world {
	t.Helper()
	w := newWorld(t, nil)
	d := map[string]any{"issuers": []any{entry(w.idp, edit)}, "admin_agents": []string{"corp:cli"}}
	maps.Copy(d, top)
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if w.doc, err = Parse(raw, true); err != nil {
		t.Fatal(err)
	}
	w.Verifier = w.process(nil)
	return w
}

// adminToken is a good token for the admin API.
func (w *world) adminToken(edit map[string]any) string {
	all := map[string]any{"aud": adminURL}
	maps.Copy(all, edit)
	return w.token(all)
}

func (w *world) askAdmin(token string) (broker.Principal, error) {
	return w.VerifyAdmin(context.Background(), request("Bearer "+token))
}

func (w *world) admits(token string) broker.Principal {
	w.Helper()
	p, err := w.askAdmin(token)
	if err != nil {
		w.Fatalf("refused at the admin API: %v", err)
	}
	return p
}

func (w *world) turnsAway(token string, want Reason) {
	w.Helper()
	p, err := w.askAdmin(token)
	if !errors.Is(err, ErrInvalidToken) || ReasonOf(err) != want || p.ID != "" {
		w.Errorf("at the admin API: got %q, %v; want refused with reason %s", p.ID, err, want)
	}
}

func TestAdministratorIsTheSamePrincipalAsCaller(t *testing.T) {
	w := newAdminWorld(t, map[string]any{"email_trusted": true}, nil)
	p := w.admits(w.adminToken(map[string]any{"groups": []string{"eng"}}))
	if p.ID != w.doc.Issuers[0].PrincipalID("alice") || p.Kind != broker.User || p.Agent != "corp:cli" ||
		p.Email != "alice@corp.example" || len(p.Groups) != 1 || p.Groups[0] != "corp:eng" {
		t.Errorf("principal %+v", p)
	}
}

func TestServerTokenAtTheAdminAPI(t *testing.T) {
	listed := []map[string]any{{"audience": "api://all", "servers": []string{"*"}}}
	for name, edit := range map[string]map[string]any{
		"defaults": nil, "listed for servers": {"audiences": listed},
		"listed for admin": {"admin_audiences": []string{"api://admin"}},
		"listed for both":  {"audiences": listed, "admin_audiences": []string{"api://admin"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAdminWorld(t, edit, nil)
			for _, aud := range []any{
				publicURL + "/mcp/prod/github", publicURL + "/mcp/prod/admin", publicURL + "/mcp/admin/v1", "api://all",
				publicURL, publicURL + "/", publicURL + "/admin", adminURL + "/", adminURL + "/servers", publicURL + "/admin/V1", "*", "", nil, []string{},
			} {
				w.turnsAway(w.token(map[string]any{"aud": aud}), AudienceWrong)
			}
		})
	}
}

func TestAdminTokenAtAServer(t *testing.T) {
	for name, edit := range map[string]map[string]any{
		"defaults": nil, "listed for admin": {"admin_audiences": []string{"api://admin", adminURL}},
		"admin URL listed for servers": {"audiences": []map[string]any{{"audience": adminURL, "servers": []string{"*"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newAdminWorld(t, edit, nil)
			for _, aud := range []any{adminURL, []string{adminURL}, "api://admin"} {
				w.refuses(w.token(map[string]any{"aud": aud}), AudienceWrong)
			}
		})
	}
}

func TestTokenForServersAndAdminAtOnceOpensNeither(t *testing.T) {
	w := newAdminWorld(t, nil, nil)
	both := w.token(map[string]any{"aud": []string{adminURL, publicURL + "/mcp/prod/github"}})
	w.turnsAway(both, AudienceWrong)
	w.refuses(both, AudienceWrong)
	w.turnsAway(w.token(map[string]any{"aud": []string{adminURL, publicURL + "/mcp/prod/jira"}}), AudienceWrong)
	w = newAdminWorld(t, map[string]any{"admin_audiences": []string{"api://admin"},
		"audiences": []map[string]any{{"audience": "api://jira", "servers": []string{"jira"}}}}, nil)
	w.turnsAway(w.token(map[string]any{"aud": []string{"api://admin", "api://jira"}}), AudienceWrong)
	w = newAdminWorld(t, map[string]any{"admin_audiences": []string{"api://admin"}}, nil)
	w.refuses(w.token(map[string]any{"aud": []string{"api://admin", publicURL + "/mcp/prod/github"}}), AudienceWrong)
	w.admits(w.token(map[string]any{"aud": []string{"api://admin", "https://login.example/userinfo"}}))
}

func TestAdminAudiencesReplaceTheURL(t *testing.T) {
	w := newAdminWorld(t, map[string]any{"admin_audiences": []string{"api://admin", "api://console"}}, nil)
	w.admits(w.token(map[string]any{"aud": "api://admin"}))
	w.admits(w.token(map[string]any{"aud": "api://console"}))
	w.turnsAway(w.token(map[string]any{"aud": adminURL}), AudienceWrong)
	w.accepts(w.token(nil)) // servers keep their own
	w = newAdminWorld(t, map[string]any{"audiences": []map[string]any{{"audience": "api://all", "servers": []string{"*"}}}}, nil)
	w.admits(w.adminToken(nil)) // and the other way round
}

// A verdict is kept for the resource it was given for. The cache is also asked
// directly, because the audience would refuse what crosses over by mistake.
func TestCachedVerdictCrossesOver(t *testing.T) {
	w := newAdminWorld(t, nil, nil)
	admin, server := w.adminToken(nil), w.token(nil)
	for range 2 { // the second time from the cache
		w.admits(admin)
		w.accepts(server)
		w.refuses(admin, AudienceWrong)
		w.turnsAway(server, AudienceWrong)
	}
	now := w.clock.now()
	for _, r := range []broker.Route{{}, github, {Environment: "prod"}, {Environment: "admin"}, {Server: "admin"}, {Environment: "admin\n"}} {
		c := newCache(2)
		c.put(idOf("t", resource{Route: r}), &result{until: now.Add(1e9)})
		if c.get(idOf("t", w.admin()), now) != nil {
			t.Errorf("a verdict for %q serves the admin API", r)
		}
	}
}

func TestAdminVerdictEndsWithTheToken(t *testing.T) {
	w := newAdminWorld(t, nil, nil)
	token := w.adminToken(nil)
	w.admits(token)
	w.clock.pass(631e9)
	w.turnsAway(token, TokenExpired)
}

func TestAdminAPIHoldsEveryRuleOfServers(t *testing.T) {
	w := newAdminWorld(t, map[string]any{"scopes": []string{"mcp"}, "require": map[string]string{"org": "o1"}}, nil)
	good := map[string]any{"scope": "mcp", "org": "o1"}
	w.admits(w.adminToken(good))
	with := func(name string, v any) map[string]any { c := maps.Clone(good); c[name] = v; return c }
	w.turnsAway(w.adminToken(with("org", "o2")), RequirementUnmet)
	w.turnsAway(w.adminToken(with("nonce", "n")), NotAnAccessToken)
	w.turnsAway(w.adminToken(with("cnf", map[string]any{"jkt": "x"})), SenderConstrained)
	w.turnsAway(w.adminToken(with("hasgroups", true)), GroupsOverage)
	w.turnsAway(w.adminToken(with("iss", "https://evil.example")), IssuerUnknown)
	w.turnsAway(idp.New(t).Sign("k1", nil, w.claims(with("aud", adminURL))), SignatureWrong)
	if _, err := w.askAdmin(w.adminToken(with("scope", nil))); !errors.Is(err, ErrInsufficientScope) {
		t.Error(err)
	}
	if _, err := w.VerifyAdmin(context.Background(), request()); !errors.Is(err, ErrMissingToken) {
		t.Error(err)
	}
}

func TestStagingIssuerAtTheAdminAPIOfProduction(t *testing.T) {
	w, staging := newAdminWorld(t, nil, nil), idp.New(t)
	w.doc = document(t, entry(w.idp, nil), entry(staging, map[string]any{"name": "staging", "environments": []string{"staging"}, "agents": "ignored"}))
	w.Verifier = w.process(nil)
	w.turnsAway(staging.Sign("k1", nil, w.claims(map[string]any{"iss": staging.Issuer(), "aud": adminURL})), IssuerUnknown)
	if strings.Contains(string(w.AdminMetadata()), staging.Issuer()) {
		t.Error("the admin API of production advertises a staging issuer")
	}
}

func TestMetadataOfTheAdminAPI(t *testing.T) {
	w := newAdminWorld(t, map[string]any{"scopes": []string{"mcp", "b"}}, nil)
	want := `{"resource":"https://bindery.example/admin/v1","authorization_servers":["` + w.idp.Issuer() +
		`"],"scopes_supported":["b","mcp"],"bearer_methods_supported":["header"]}`
	if got := w.AdminMetadata(); !bytes.Equal(got, []byte(want)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAdminChallengeTellsWhatToDoAndNotWhy(t *testing.T) {
	w := newAdminWorld(t, map[string]any{"scopes": []string{"mcp"}}, nil)
	const rest = `scope="mcp", resource_metadata="https://bindery.example/.well-known/oauth-protected-resource/admin/v1"`
	for want, err := range map[string]error{
		"Bearer " + rest:                             ErrMissingToken,
		`Bearer error="invalid_token", ` + rest:      invalid(AgentRefused),
		`Bearer error="insufficient_scope", ` + rest: &fault{ErrInsufficientScope, ScopeMissing},
		"": errKeysUnavailable,
	} {
		if got := w.AdminChallenge(err); got != want {
			t.Errorf("%v:\ngot  %s\nwant %s", err, got, want)
		}
	}
}
