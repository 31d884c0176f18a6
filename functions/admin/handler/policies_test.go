package handler

import (
	"encoding/json"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/policy"
)

const (
	noDeletion = `@id("no-deletion")
forbid (principal, action == Action::"call_tool", resource)
when { context.tool == "delete" };
`
	noSecretRepo = `@id("no-secret-repo")
forbid (principal, action == Action::"call_tool", resource)
when { context has arguments && context.arguments has repoName && context.arguments.repoName == "secrets" };

@id("ask-first")
@demand("approval")
forbid (principal, action == Action::"call_tool", resource)
when { context.tool == "publish" };
`
	deletionTests = `[{"name":"a deletion","server":{"name":"notes"},"tool":"delete","expect":"forbid"},
{"name":"anything else","server":{"name":"notes"},"tool":"whoami","expect":"allow"}]`
	brokenTests = `[{"name":"anything","server":{"name":"notes"},"tool":"whoami","expect":"forbid"}]`
)

func setBody(text, tests string) string {
	body, _ := json.Marshal(PolicySetBody{text, tests})
	return string(body)
}

// stored stores a set and gives its id.
func (f *fixture) stored(t *testing.T, text, tests string) string {
	t.Helper()
	a := f.call(t, "root", "POST", "/policy-sets", setBody(text, tests)).want(t, 200, "")
	id, _ := a.body["id"].(string)
	if id != policy.DocumentID(text, tests) {
		t.Fatalf("%s", a.Body)
	}
	return id
}

// inForce puts sets into force and into shadow.
func (f *fixture) inForce(t *testing.T, policies, shadow string) answer {
	t.Helper()
	e := f.call(t, "root", "GET", "/environment", nil).want(t, 200, "")
	return f.call(t, "root", "PUT", "/environment", EnvironmentBody{"active", policies, shadow}, "If-Match", e.Header().Get("ETag"))
}

// TestAPolicySetIsCheckedStoredAndPutIntoForce, and the older one again.
func TestAPolicySetIsCheckedStoredAndPutIntoForce(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	a := f.call(t, "root", "POST", "/policy-sets?dry_run=true", setBody(noDeletion, deletionTests)).want(t, 200, "")
	for _, part := range []string{`"passed":true`, `{"id":"no-deletion","effect":"forbid","arguments":false}`,
		`{"name":"a deletion","expected":"forbid","got":"forbid","policies":["no-deletion"],"passed":true}`} {
		if !strings.Contains(a.Body.String(), part) {
			t.Errorf("%s is not in %s", part, a.Body)
		}
	}
	f.call(t, "root", "GET", "/policy-sets/"+a.body["id"].(string), nil).want(t, 404, "not_found")
	first, second := f.stored(t, noDeletion, deletionTests), f.stored(t, noSecretRepo, "")
	if again := f.stored(t, noDeletion, deletionTests); again != first {
		t.Errorf("the same set again is %s", again)
	}
	if got := f.call(t, "auditor", "GET", "/policy-sets/"+first, nil).want(t, 200, ""); got.body["text"] != noDeletion || got.body["tests"] != deletionTests || got.body["by"] != "p-root" {
		t.Errorf("%s", got.Body)
	}
	list := f.call(t, "admin", "GET", "/policy-sets", nil).want(t, 200, "")
	if items := list.body["items"].([]any); len(items) != 2 || strings.Contains(list.Body.String(), "forbid") {
		t.Errorf("%s", list.Body)
	}
	for _, c := range []struct{ policies, shadow string }{{first, second}, {second, first}, {first, ""}, {"", ""}} {
		a := f.inForce(t, c.policies, c.shadow).want(t, 200, "")
		e := f.call(t, "auditor", "GET", "/environment", nil).want(t, 200, "")
		if e.Body.String() != a.Body.String() || e.body["policies"] != c.policies || e.body["shadow"] != c.shadow {
			t.Errorf("it stands at %s", e.Body)
		}
		if r := f.records(a); c.policies != "" && !strings.Contains(r[0].After, c.policies) {
			t.Errorf("recorded %+v", r)
		}
	}
}

// TestASetWhoseTestsFailIsStoredAndNeverPutIntoForce, nor into shadow.
func TestASetWhoseTestsFailIsStoredAndNeverPutIntoForce(t *testing.T) {
	f := newFixture(t)
	a := f.call(t, "root", "POST", "/policy-sets", setBody(noDeletion, brokenTests)).want(t, 200, "")
	if a.body["passed"] != false {
		t.Errorf("%s", a.Body)
	}
	id := a.body["id"].(string)
	for _, sets := range [][2]string{{id, ""}, {"", id}, {id, id}} {
		if a := f.inForce(t, sets[0], sets[1]).want(t, 422, "policy_tests_failed"); !strings.Contains(a.Body.String(), "1 of 1 tests") {
			t.Errorf("%s", a.Body)
		}
	}
	f.call(t, "root", "PUT", "/environment?dry_run=true", EnvironmentBody{"active", id, ""}, "If-Match", `"v1"`).want(t, 422, "policy_tests_failed")
	unknown := strings.Repeat("a", 64)
	f.inForce(t, unknown, "").want(t, 422, "invalid")
	f.inForce(t, "", unknown).want(t, 422, "invalid")
	f.call(t, "auditor", "GET", "/policy-sets/"+unknown, nil).want(t, 404, "not_found")
	if e := f.call(t, "auditor", "GET", "/environment", nil); e.Header().Get("ETag") != `"v1"` {
		t.Errorf("%s", e.Body)
	}
}

// TestABadSetIsNotStored, and the answer repeats nothing of it.
func TestABadSetIsNotStored(t *testing.T) {
	f := newFixture(t)
	for name, body := range map[string]string{
		"no Cedar":              setBody("forbid everything "+canary, ""),
		"a permit":              setBody(strings.Replace(noDeletion, "forbid", "permit", 1), ""),
		"no id":                 setBody(strings.Replace(noDeletion, `@id("no-deletion")`, "", 1), ""),
		"an unknown attribute":  setBody(strings.Replace(noDeletion, "context.tool", "context.utensil", 1), ""),
		"tests that are no":     setBody(noDeletion, canary),
		"a test without expect": setBody(noDeletion, `[{"name":"`+canary+`"}]`),
		"longer than its limit": setBody("//"+strings.Repeat("ü", 131_072)+"\n"+noDeletion, ""),
		"one member too many":   `{"text":"","sets":"` + canary + `"}`,
	} {
		t.Run(name, func(t *testing.T) { f.call(t, "root", "POST", "/policy-sets", body).want(t, 422, "") })
	}
	if a := f.call(t, "root", "GET", "/policy-sets", nil).want(t, 200, ""); len(a.body["items"].([]any)) != 0 {
		t.Errorf("%s", a.Body)
	}
	f.clean(t)
}

// TestOnlyASuperAdminWritesPolicies, and whoever is bound by them does not put
// others into force.
func TestOnlyASuperAdminWritesPolicies(t *testing.T) {
	f := newFixture(t)
	id := f.stored(t, noDeletion, deletionTests)
	for _, who := range []string{"admin", "owner", "auditor", "second", "nobody"} {
		f.call(t, who, "POST", "/policy-sets", setBody(noDeletion, deletionTests)).want(t, 403, "forbidden")
		f.call(t, who, "POST", "/policy-sets?dry_run=true", setBody("no Cedar", "")).want(t, 403, "forbidden")
		for _, e := range []EnvironmentBody{{"active", id, ""}, {"active", "", id}, {"active", strings.Repeat("a", 64), ""}} {
			f.call(t, who, "PUT", "/environment", e, "If-Match", `"v1"`).want(t, 403, "forbidden")
		}
	}
	f.inForce(t, id, "").want(t, 200, "")
	f.call(t, "admin", "PUT", "/environment", EnvironmentBody{"active", "", ""}, "If-Match", `"v2"`).want(t, 403, "forbidden")
	for _, who := range []string{"owner", "nobody"} {
		f.call(t, who, "GET", "/policy-sets/"+id, nil).want(t, 403, "forbidden")
		f.call(t, who, "GET", "/policy-sets/"+strings.Repeat("a", 64), nil).want(t, 403, "forbidden")
		if a := f.call(t, who, "GET", "/policy-sets", nil).want(t, 200, ""); len(a.body["items"].([]any)) != 0 {
			t.Errorf("%s", a.Body)
		}
	}
}

// TestASetThatWasTamperedWithIsNeitherShownNorPutIntoForce.
func TestASetThatWasTamperedWithIsNeitherShownNorPutIntoForce(t *testing.T) {
	f := newFixture(t)
	id := policy.DocumentID(noDeletion, "")
	tampered := broker.PolicySet{Environment: "prod", ID: id, Text: noSecretRepo, At: f.now().UTC(), By: "p-thief"}
	if err := f.tables.AddPolicySet(t.Context(), tampered); err != nil {
		t.Fatal(err)
	}
	f.call(t, "auditor", "GET", "/policy-sets/"+id, nil).want(t, 422, "invalid")
	f.inForce(t, id, "").want(t, 422, "invalid")
	f.tables.Inject(memory.ReadPolicySet, memory.Refuse())
	f.inForce(t, id, "").want(t, 503, "unavailable")
}

// TestExplainSaysWhatPoliciesDo with the arguments of a call, and what those do
// that are only tried out.
func TestExplainSaysWhatPoliciesDo(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	first, second := f.stored(t, noSecretRepo, ""), f.stored(t, noDeletion, deletionTests)
	f.inForce(t, first, second).want(t, 200, "")
	of := func(tool, arguments string) answer {
		body := strings.NewReplacer("whoami", tool, `{"repoName":"bindery"}`, arguments).Replace(question)
		return f.call(t, "admin", "POST", "/explain", body).want(t, 200, "")
	}
	in := `"policy_set":"` + first + `"`
	shadow := `"shadow":{"policy_set":"` + second + `","effect":`
	for name, c := range map[string]struct {
		a     answer
		parts []string
	}{
		"allowed":            {of("whoami", `{"repoName":"bindery"}`), []string{`"allowed":true`, in, shadow + `"none"}`}},
		"by an argument":     {of("whoami", `{"repoName":"secrets"}`), []string{`"reason":"policy_forbids"`, in, `"policies":["no-secret-repo"]`, `"missing":["other policies`}},
		"by an approval":     {of("publish", `{}`), []string{`"reason":"approval_required"`, `"policies":["ask-first"]`, `"missing":["an approval`}},
		"by those in shadow": {of("delete", `{}`), []string{`"allowed":true`, shadow + `"forbid","policies":["no-deletion"]}`}},
	} {
		for _, part := range c.parts {
			if !strings.Contains(c.a.Body.String(), part) {
				t.Errorf("%s: %s is not in %s", name, part, c.a.Body)
			}
		}
	}
	for _, arguments := range []string{`"text"`, `[1]`, `{"a":1,"a":2}`} {
		f.call(t, "admin", "POST", "/explain", strings.Replace(question, `{"repoName":"bindery"}`, arguments, 1))
		if a := f.call(t, "admin", "POST", "/explain", strings.Replace(question, `{"repoName":"bindery"}`, arguments, 1)); a.Code != 422 && a.Code != 400 {
			t.Errorf("%s is answered %d %s", arguments, a.Code, a.Body)
		}
	}
}

// TestExplainSaysWhatIsMissing for every reason for which a decision refuses.
func TestExplainSaysWhatIsMissing(t *testing.T) {
	for _, r := range []broker.Reason{broker.EnvironmentClosed, broker.ServerUnknown, broker.ServerClosed, broker.PrincipalRevoked, broker.AgentRevoked,
		broker.AgentUnknown, broker.AgentClosed, broker.AgentAboveCeiling, broker.AgentTeamMismatch, broker.ToolNotOfTeam, broker.ToolClosed,
		broker.PersonNotAllowed, broker.NoBinding, broker.NotOwnBinding, broker.BindingTie, broker.BindingClosed, broker.BindingExpired, broker.BindingPending,
		broker.ModeUnknown, broker.FieldsIncomplete, broker.ReferenceOutside, broker.StoreUnregistered, broker.PolicyForbids, broker.ApprovalRequired, broker.PoliciesUnread} {
		if got := missingFor(r, broker.Server{}); len(got) != 1 || got[0] == "" {
			t.Errorf("%s: %q", r, got)
		}
	}
	if got := missingFor(broker.ServerClosed, broker.Server{Proposer: "p-root"}); len(got) != 1 || got[0] != lacksApproval {
		t.Errorf("%q", got)
	}
}
