package handler

import (
	"strings"
	"testing"
)

// TestADryRunAnswersAsTheRealOne, wherever no secret has to be read for it: what
// the rules of a row refuse it refuses in the same words.
func TestADryRunAnswersAsTheRealOne(t *testing.T) {
	const tool, agent, assignment, plan = "/servers/notes/tools/whoami", "/agents/oidc:bot", "/assignments/ours", "/rotation-plans/notes"
	long := strings.Repeat("a", 2049)
	for name, c := range map[string]struct{ path, body, from, to string }{
		"a provider":                           {acme, providerBody, "", ""},
		"a provider at an address of nobody":   {acme, providerBody, "https://login.acme.example", "http://login.acme.example"},
		"a provider of a store that is none":   {acme, providerBody, "aws-sm:", "other:"},
		"a secret outside of its store":        {acme, providerBody, "prod/notes", "elsewhere/notes"},
		"a client secret for nobody":           {acme, providerBody, `"issuer":"https://login.acme.example",`, ""},
		"a provider with a quirk that ends":    {acme, providerBody, `"state"`, `"quirks":{"dead_codes":["invalid_client"]},"state"`},
		"a provider with a key that is no key": {acme, providerBody, `"client_auth":"client_secret_basic"`, `"signing_key":"mine","client_auth":"private_key_jwt"`},
		"a store without paths":                {"/stores/sealed", sealedBody, `["*"]`, `["*","a**"]`},
		"a store of no kind":                   {"/stores/sealed", sealedBody, `"sealed"`, `"unsealed"`},
		"a server with a query":                {"/servers/wiki", serverBody, "/mcp", "/mcp?a=b"},
		"a server with two fields of a name":   {"/servers/wiki", serverBody, "Bearer {token}", "Bearer {token"},
		"a tool that is no text":               {"/servers/notes/tools/%ff", toolBody, "", ""},
		"a tool of no team":                    {tool, toolBody, `["team-notes"]`, `[""]`},
		"a tool of too long a team":            {tool, toolBody, `["team-notes"]`, `["` + long + `"]`},
		"an agent that is no text":             {"/agents/%ff", agentBody, "", ""},
		"an agent of too long a team":          {agent, agentBody, "team-notes", long},
		"an assignment of nothing":             {assignment, assignmentBody, `"paths"`, `"groups":[""],"paths"`},
		"an assignment of a path that is none": {assignment, assignmentBody, `prod/`, `prod/**/`},
		"a plan of nothing":                    {plan, planBody, "aws-sm:prod/notes#token", "aws-sm:prod/none"},
		"an environment under no policies":     {"/environment", environmentBody, `"policies":""`, `"policies":"` + strings.Repeat("a", 64) + `"`},
		"a card of a tool that is no text":     {"/servers/notes/bindings/more", bindingBody, `["*"]`, `["a*b*"]`},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.seed(t)
			body := changed(t, c.body, c.from, c.to)
			condition := []string{"If-None-Match", "*"}
			if c.path == "/environment" {
				condition = []string{"If-Match", `"v1"`}
			}
			dry := f.call(t, "root", "PUT", c.path+"?dry_run=true", body, condition...)
			made := f.call(t, "root", "PUT", c.path, body, condition...)
			if dry.Code != made.Code || dry.Body.String() != made.Body.String() {
				t.Errorf("the dry run was answered %d %s, the real one %d %s", dry.Code, dry.Body, made.Code, made.Body)
			}
		})
	}
}
