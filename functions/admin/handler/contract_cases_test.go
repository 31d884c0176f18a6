package handler

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/identity"
	"bindery/shared/memory"
	"bindery/shared/policy"
	"bindery/shared/secret"
)

const (
	environmentBody = `{"state":"active","policies":"","shadow":""}`
	storeBody       = `{"kind":"aws-sm","paths":["prod/*"],"state":"active"}`
	agentBody       = `{"team":"team-notes","ceiling":"medium","state":"active","limits":{"calls_per_minute":60}}`
	toolBody        = `{"owner":"team-notes","risk":"low","teams":["team-notes"],"state":"active"}`
	valueBody       = `{"server":"notes","value":"` + canary + `"}`
	lookupBody      = `{"issuer":"corp","claims":["alice@example.com"]}`
	revocationBody  = `{"kind":"binding","subject":"notes/dev-notes","reason":"found in a public repository"}`
	planBody        = `{"reference":"aws-sm:prod/notes#token","maker":"recipe","every_seconds":86400,"grace_seconds":3600,"server":"notes","binding":"dev-notes","owner":"team-notes","state":"active","recipe":{"issue":{"method":"POST","url":"https://notes.example.com/keys","headers":[{"header":"Authorization","template":"Bearer {token}"}],"body":"{}"},"value_at":"/value","name_at":"/id","retire":{"method":"DELETE","url":"https://notes.example.com/keys/{old}"}}}`
	rotationBody    = `{"plan":"notes"}`
	repointBody     = `{"server":"notes","binding":"dev-notes","fields":[{"name":"token","reference":"aws-sm:prod/spare#token"}]}`
	incidentBody    = `{"reference":"aws-sm:prod/spare#token","reason":"found in a public repository"}`
	liftBody        = `{"reason":"it has been replaced"}`
	question        = `{"server":"notes","principal":"p-aliceaaaaaaaaaaaaaaaaaaaaa","kind":"user","groups":["dev"],"action":"call_tool","target":"whoami","arguments":{"repoName":"bindery"}}`
)

// step is one request of an administrator.
type step struct{ method, path, body, condition, version string }

// whole is each operation of the document once, in an order that works.
var whole = []step{
	{"GET", "/me", "", "", ""},
	{"POST", "/principals/lookup", lookupBody, "", ""},
	{"GET", "/environment", "", "", ""},
	{"PUT", "/environment", environmentBody, "If-Match", `"v1"`},
	{"POST", "/policy-sets", setBody(noDeletion, deletionTests), "", ""},
	{"GET", "/policy-sets?limit=1", "", "", ""},
	{"GET", "/policy-sets/" + policy.DocumentID(noDeletion, deletionTests), "", "", ""},
	{"PUT", "/stores/aws-sm", storeBody, "If-None-Match", "*"},
	{"GET", "/stores/aws-sm", "", "", ""},
	{"GET", "/stores?limit=1", "", "", ""},
	{"PUT", "/providers/acme", providerBody, "If-None-Match", "*"},
	{"PUT", "/providers/acme?dry_run=true", providerBody, "If-Match", `"v1"`},
	{"GET", "/providers/acme", "", "", ""},
	{"GET", "/providers?limit=1", "", "", ""},
	{"GET", "/principals/p-aliceaaaaaaaaaaaaaaaaaaaaa/grants?limit=1", "", "", ""},
	{"PUT", "/servers/notes", serverBody, "If-None-Match", "*"},
	{"PUT", "/servers/notes?dry_run=true", serverBody, "If-Match", `"v1"`},
	{"GET", "/servers/notes", "", "", ""},
	{"POST", "/servers/notes/approve", "", "If-Match", `"v1"`},
	{"GET", "/servers?after=a&limit=200", "", "", ""},
	{"PUT", "/assignments/ours", assignmentBody, "If-None-Match", "*"},
	{"GET", "/assignments/ours", "", "", ""},
	{"GET", "/assignments", "", "", ""},
	{"DELETE", "/assignments/ours", "", "If-Match", `"v1"`},
	{"PUT", "/agents/oidc:reporter", agentBody, "If-None-Match", "*"},
	{"GET", "/agents/oidc:reporter", "", "", ""},
	{"GET", "/agents", "", "", ""},
	{"DELETE", "/agents/oidc:reporter", "", "If-Match", `"v1"`},
	{"PUT", "/servers/notes/tools/whoami", toolBody, "If-None-Match", "*"},
	{"GET", "/servers/notes/tools/whoami", "", "", ""},
	{"GET", "/servers/notes/tools", "", "", ""},
	{"PUT", "/servers/notes/bindings/dev-notes", bindingBody, "If-None-Match", "*"},
	{"GET", "/servers/notes/bindings/dev-notes", "", "", ""},
	{"GET", "/servers/notes/bindings/dev-notes/versions/1", "", "", ""},
	{"GET", "/servers/notes/bindings", "", "", ""},
	{"GET", "/servers/notes/own-bindings", "", "", ""},
	{"POST", "/servers/notes/bindings/dev-notes/verify", "", "", ""},
	{"POST", "/stores/aws-sm/check", "", "", ""},
	{"GET", "/stores/aws-sm/references?limit=100", "", "", ""},
	{"POST", "/stores/aws-sm/sync?limit=1", "", "", ""},
	{"POST", "/explain", question, "", ""},
	{"PUT", "/rotation-plans/notes", planBody, "If-None-Match", "*"},
	{"GET", "/rotation-plans/notes", "", "", ""},
	{"GET", "/rotation-plans?limit=1", "", "", ""},
	{"POST", "/rotations?dry_run=true", repointBody, "", ""},
	{"POST", "/rotations", rotationBody, "", ""},
	{"GET", "/rotations?limit=1&subject=reference/aws-sm:prod/notes", "", "", ""},
	{"GET", "/rotations/{run}", "", "", ""},
	{"POST", "/rotations/{run}/cancel", "", "", ""},
	{"DELETE", "/rotation-plans/notes", "", "If-Match", `"v1"`},
	{"POST", "/revocations?dry_run=true", revocationBody, "", ""},
	{"POST", "/revocations", revocationBody, "", ""},
	{"GET", "/revocations?limit=1", "", "", ""},
	{"GET", "/revocations/{case}", "", "", ""},
	{"POST", "/revocations/{case}/lift", liftBody, "", ""},
	{"POST", "/incidents?dry_run=true", incidentBody, "", ""},
	{"POST", "/incidents", incidentBody, "", ""},
	{"GET", "/incidents?limit=1", "", "", ""},
	{"GET", "/incidents/{incident}", "", "", ""},
	{"GET", "/incidents/{incident}/report", "", "", ""},
	{"PUT", "/values/token-1", valueBody, "", ""},
	{"GET", "/notices?kind=missing&state=open&server=notes&limit=1", "", "", ""},
	{"GET", "/notices/" + missingNotice.ID, "", "", ""},
	{"POST", "/notices/" + missingNotice.ID + "/acknowledge?dry_run=true", noteBody, "If-Match", `"v1"`},
	{"POST", "/notices/" + missingNotice.ID + "/acknowledge", noteBody, "If-Match", `"v1"`},
	{"GET", "/export", "", "", ""},
	{"GET", "/export?server=notes", "", "", ""},
	{"POST", "/apply?dry_run=true", catalogueBody, "", ""},
	{"POST", "/apply", catalogueBody, "", ""},
	{"PUT", "/stores/sealed", sealedBody, "If-None-Match", "*"},
	{"POST", "/import?dry_run=true", importBody, "", ""},
	{"POST", "/import", importBody, "", ""},
	{"DELETE", "/values/token-1", "", "", ""},
	{"PUT", "/servers/notes/bindings/own-notes", ownBody, "If-None-Match", "*"},
	{"DELETE", "/servers/notes/bindings/dev-notes", "", "If-Match", `"v1"`},
	{"DELETE", "/providers/acme", "", "If-Match", `"v1"`},
	{"DELETE", "/servers/notes/tools/whoami", "", "If-Match", `"v1"`},
	{"DELETE", "/servers/notes", "", "If-Match", `"v2"`},
	{"DELETE", "/stores/aws-sm", "", "If-Match", `"v1"`},
}

// exercise makes each operation of the document, as an administrator would.
func (c *contract) exercise(t *testing.T) {
	t.Helper()
	c.notice(t, missingNotice)
	for _, step := range whole {
		who := "root"
		if strings.HasSuffix(step.path, "/approve") { // nobody approves their own
			who = "admin"
		}
		var header []string
		if step.condition != "" {
			header = []string{step.condition, step.version}
		}
		c.good(t, who, step.method, strings.NewReplacer("{case}", c.newestCase(t), "{run}", c.newestRun(t), "{incident}", c.newestIncident(t)).Replace(step.path), step.body, header...)
	}
}

// provoke brings about every kind of error.
func (c *contract) provoke(t *testing.T) {
	t.Helper()
	c.fixture = newFixture(t)
	c.seed(t)
	c.evidence(t)
	const server, card = "/servers/notes", "/servers/notes/bindings/dev-notes"
	match := []string{"If-Match", `"v1"`}
	put := func(kind Kind, who, path, body string, header ...string) {
		t.Helper()
		c.bad(t, kind, who, http.MethodPut, path, body, header...)
	}
	c.bad(t, notFound, "root", "GET", "/servers/none", "")
	c.bad(t, wrongMethod, "root", "PATCH", server, "")
	c.bad(t, notFound, "root", "GET", "/nothing", "")
	c.bad(t, forbidden, "nobody", "GET", card, "")
	c.bad(t, badToken, "stranger", "GET", server, "")
	c.bad(t, noToken, "root", "GET", server, "", "Authorization", "Basic cm9vdA==")
	put(malformed, "root", server, "{", match...)
	put(invalid, "root", server, strings.Replace(serverBody, "active", "sleeping", 1), match...)
	put(literalSecret, "root", server, strings.Replace(serverBody, "Bearer {token}", "Bearer "+canary, 1), match...)
	put(conflict, "root", server, serverBody, "If-None-Match", "*")
	put(noCondition, "root", server, serverBody)
	put(notMediaType, "root", server, serverBody, append(match, "Content-Type", "text/plain")...)
	broken := policy.DocumentID(noDeletion, brokenTests)
	c.good(t, "root", "POST", "/policy-sets", setBody(noDeletion, brokenTests))
	put(testsFailed, "root", "/environment", `{"state":"active","policies":"`+broken+`","shadow":""}`, match...)
	put(unresolved, "root", card, strings.Replace(bindingBody, "prod/notes#token", "prod/none#token", 1), match...)
	large := strings.Replace(serverBody, `"state"`, `"description":"`+strings.Repeat("a", int(largestBody(base+server)))+`","state"`, 1)
	put(tooLarge, "root", server, large, match...)
	put(tooLarge, "root", server, large, append(match, "Idempotency-Key", "large")...)
	c.bad(t, tooLarge, "root", "DELETE", server, large, append(match, "Idempotency-Key", "large")...)
	c.foreignHost(t)
	c.keys(t)
	c.broken(t)
}

func (c *contract) foreignHost(t *testing.T) {
	t.Helper()
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "https://evil.example.com"+base+"/me", nil))
	c.is(t, w, foreignHost)
}

// keys: one key for two requests; and for one that has not ended.
func (c *contract) keys(t *testing.T) {
	t.Helper()
	const path = "/servers/notes/tools/whoami"
	header := []string{"If-None-Match", "*", "Idempotency-Key", "k1"}
	first := c.good(t, "root", "PUT", path, toolBody, header...)
	if again := c.good(t, "root", "PUT", path, toolBody, header...); again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replay") != "true" {
		t.Errorf("the retry was answered %v %s", again.Header(), again.Body)
	}
	c.bad(t, keyReused, "root", "PUT", path, strings.Replace(toolBody, "low", "high", 1), header...)
	waiting := make(chan struct{})
	c.tables.Inject(memory.ReadTool, memory.Fault{Wait: func(context.Context) {
		close(waiting)
		c.bad(t, underWay, "root", "PUT", path, toolBody, "If-Match", `"v1"`, "Idempotency-Key", "k2")
	}})
	c.good(t, "root", "PUT", path, toolBody, "If-Match", `"v1"`, "Idempotency-Key", "k2")
	<-waiting
}

// broken: what the API stands on does not work.
func (c *contract) broken(t *testing.T) {
	t.Helper()
	const path = "/servers/notes"
	c.tables.Inject(memory.ReadServer, memory.Refuse())
	c.bad(t, unavailable, "root", "GET", path, "")
	c.tables.Inject(memory.ReadServer, memory.Fault{Before: broker.ErrUndecodable})
	c.bad(t, undecodable, "root", "GET", path, "")
	c.tables.Inject(memory.Append, slices.Repeat([]memory.Fault{memory.Refuse()}, 8)...)
	c.bad(t, unrecorded, "root", "PUT", path, serverBody, "If-Match", `"v1"`)
	c.tables.Clear()
	c.good(t, "root", "PUT", path, serverBody, "If-Match", `"v1"`) // nothing had been changed
	c.tables.Inject(memory.PutServer, memory.Fault{Wait: func(context.Context) {
		c.tables.Inject(memory.Append, slices.Repeat([]memory.Fault{memory.Refuse()}, 8)...)
	}})
	c.bad(t, unavailable, "root", "PUT", path, serverBody, "If-Match", `"v2"`) // it was made: only its end is not recorded
	c.tables.Clear()
	c.good(t, "root", "PUT", path, serverBody, "If-Match", `"v3"`)
	c.values = brokenValues{}
	c.bad(t, internal, "root", "PUT", "/values/token-1", valueBody)
	c.verifier = refusing{identity.ErrInsufficientScope}
	c.bad(t, smallScope, "root", "GET", path, "")
	c.verifier = refusing{identity.ErrIssuerUnavailable}
	c.bad(t, noIssuer, "root", "GET", path, "")
}

// brokenValues fails in a way that nobody foresaw, and says too much.
type brokenValues struct{}

func (brokenValues) Put(context.Context, string, string, string, secret.Value) (int64, error) {
	return 0, errors.New("unforeseen: " + canary)
}
func (brokenValues) Delete(context.Context, string, string) error { return broker.ErrUnavailable }

// refusing is a verifier that has one answer.
type refusing struct{ err error }

func (r refusing) VerifyAdmin(context.Context, *http.Request) (broker.Principal, error) {
	return broker.Principal{}, r.err
}
func (refusing) AdminMetadata() []byte       { return []byte(`{}`) }
func (refusing) AdminChallenge(error) string { return "Bearer" }
