package handler

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// TestADetailNamesWhatIsWrong: the field and its store by name, in a sentence,
// and nothing else of a reference.
func TestADetailNamesWhatIsWrong(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	const card = "/servers/notes/bindings/one"
	for reference, words := range map[string]string{
		"other:prod/notes#token":    "store_not_registered: No active store is registered under the name of a reference. It is field token, of store other.",
		"aws-sm:elsewhere/x#token":  "reference_outside_scope: A reference lies outside the paths registered for its store. It is field token, of store aws-sm.",
		"aws-sm:prod/none#token":    "The store has no such secret, version or member. It is field token, of store aws-sm.",
		"aws-sm:prod/short#token":   "too short to mask, or cannot be sent in its place. It is field token, of store aws-sm.",
		"aws-sm:prod/notes#token\"": "fields_incomplete: ",
	} {
		body := strings.Replace(bindingBody, "aws-sm:prod/notes#token", reference, 1)
		if strings.HasSuffix(reference, `"`) {
			body = strings.Replace(bindingBody, `"name":"token"`, `"name":"another"`, 1)
		}
		f.mentions(t, f.call(t, "root", "PUT", card, body, "If-None-Match", "*").want(t, 422, ""), words, "elsewhere")
	}
	for _, tag := range []string{"*", `W/"v1"`, "1", `"v0"`} {
		f.mentions(t, f.call(t, "root", "PUT", "/servers/notes/bindings/dev-notes", bindingBody, "If-Match", tag).want(t, 412, "version_conflict"), "If-Match takes the ETag of a GET", "dev-notes")
	}
	f.mentions(t, f.call(t, "root", "PUT", card, strings.Replace(bindingBody, "service_account", "user_delegated", 1), "If-None-Match", "*").want(t, 422, "invalid"),
		"static and client_credentials go with service_account and agent_scoped", "prod/notes")
	f.call(t, "root", "DELETE", "/servers/notes/bindings/dev-notes", nil, "If-Match", `"v1"`).want(t, 204, "")
	for _, header := range [][]string{{"If-None-Match", "*"}, {"If-Match", `"v2"`}} {
		f.mentions(t, f.call(t, "root", "PUT", "/servers/notes/bindings/dev-notes", bindingBody, header...).want(t, 412, "version_conflict"), "belonged to a deleted row: take another", "dev-notes")
		if a := f.call(t, "other", "PUT", "/servers/notes/bindings/dev-notes", bindingBody, header...).want(t, 403, "forbidden"); a.body["detail"] != nil {
			t.Errorf("whoever may not is told %s", a.Body)
		}
	}
	f.clean(t)
}

// TestAValueSaysWhyItIsNotTaken, and is not repeated.
func TestAValueSaysWhyItIsNotTaken(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	const path = "/values/token-1"
	f.mentions(t, f.call(t, "admin", "PUT", path, strings.Replace(valueBody, "notes", "none", 1)).want(t, 404, "not_found"), "body.server", canary)
	f.call(t, "admin", "PUT", path, valueBody, "If-None-Match", "*").want(t, 422, "invalid")
	f.mentions(t, f.call(t, "admin", "PUT", path, valueBody, "If-Match", `"v1"`).want(t, 422, "invalid"), "takes neither If-Match nor If-None-Match", canary)
	f.mentions(t, f.call(t, "admin", "DELETE", path, nil, "If-Match", `"v1"`).want(t, 422, "invalid"), "takes neither", canary)
	for _, weak := range []string{"made-up", "aaaaaaaaaaaaaaaa"} {
		f.mentions(t, f.call(t, "admin", "PUT", path, strings.Replace(valueBody, canary, weak, 1)).want(t, 422, "invalid"), "body.value", weak)
	}
	if len(f.values.(*sealedValues).versions) != 0 {
		t.Error("a value was stored")
	}
	f.call(t, "admin", "PUT", path, `{"server":"notes","value":"{\"user\":\"bob\",\"token\":\"`+canary+`\"}"}`).want(t, 200, "")
	f.clean(t)
}

// TestWhatHasNoEffectIsNoticed when it is put.
func TestWhatHasNoEffectIsNoticed(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	noticed := func(a answer) bool { list, _ := a.body["notices"].([]any); return len(list) == 1 }
	body := strings.Replace(bindingBody, `{"group":"dev"}`, `{"agent":"oidc:bot"}`, 1)
	if a := f.call(t, "root", "PUT", "/servers/notes/bindings/bot", body, "If-None-Match", "*").want(t, 200, ""); !noticed(a) {
		t.Errorf("an agent that nobody registered: %s", a.Body)
	}
	f.call(t, "root", "PUT", "/agents/oidc:bot", agentBody, "If-None-Match", "*").want(t, 200, "")
	if a := f.call(t, "root", "PUT", "/servers/notes/bindings/bot", body, "If-Match", `"v1"`).want(t, 200, ""); noticed(a) {
		t.Errorf("a registered agent: %s", a.Body)
	}
	for n, c := range [][2]string{{`"state"`, `"expires":"2020-01-01T00:00:00Z","state"`}, {`{"tools":["*"]}`, `{}`}, {`{"tools":["*"]}`, `{"tools":[]}`}} {
		for _, query := range []string{"?dry_run=true", ""} {
			body := strings.Replace(bindingBody, c[0], c[1], 1)
			if a := f.call(t, "root", "PUT", "/servers/notes/bindings/idle-"+string(rune('a'+n))+query, body, "If-None-Match", "*").want(t, 200, ""); !noticed(a) {
				t.Errorf("a card that serves nothing: %s", a.Body)
			}
		}
	}
	for paths, want := range map[string]bool{`"*"`: true, `"dev/*"`: true, `"prod/*","prod"`: true, `"prod/*"`: false, `"prod/a","prod/b/*"`: false} {
		name := "/assignments/a" + strings.Trim(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return r
			}
			return '-'
		}, paths), "-")
		if a := f.call(t, "root", "PUT", name, `{"store":"aws-sm","paths":[`+paths+`],"groups":["g"],"state":"active"}`, "If-None-Match", "*").want(t, 200, ""); noticed(a) != want {
			t.Errorf("paths %s: %s", paths, a.Body)
		}
	}
}

// TestTheShadowIsInTheAudit, and can be asked for; a reason that there is not is
// refused with those that there are in the document.
func TestTheShadowIsInTheAudit(t *testing.T) {
	f := newFixture(t)
	at := time.Now().Add(-time.Minute)
	for i, shadow := range []*broker.Shadowed{nil, {Set: "s"}, {Set: "s", Effect: broker.WouldForbid}, {Set: "s", Effect: broker.WouldDemand}} {
		r := f.record(called{principal: "p-bobaaaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "one", at: at.Add(time.Duration(i) * time.Second)})
		r.Shadow = shadow
		f.keep(t, r)
	}
	for query, want := range map[string][]string{"": {"approval", "forbid", "", ""}, "?shadow=forbid": {"forbid"}, "?shadow=approval": {"approval"}, "?shadow=unreadable": nil} {
		a := f.call(t, "auditor", "GET", "/audit"+query, nil).want(t, 200, "")
		var got []string
		for _, item := range a.body["items"].([]any) {
			shadow, _ := item.(map[string]any)["shadow"].(string)
			got = append(got, shadow)
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%s: %q", query, got)
		}
	}
	f.call(t, "auditor", "GET", "/audit?shadow=none", nil).want(t, 422, "invalid")
	f.call(t, "auditor", "GET", "/audit?reason=no_bindings", nil).want(t, 422, "invalid")
	f.call(t, "auditor", "GET", "/audit?reason=no_binding", nil).want(t, 200, "")
	if text, err := f.Document(); err != nil || !strings.Contains(string(text), `"no_binding"`) {
		t.Errorf("the document does not list the reasons: %v", err)
	}
}

// TestExplainTellsPoliciesThatMatchFromThoseThatCannotBeEvaluated.
func TestExplainTellsPoliciesThatMatchFromThoseThatCannotBeEvaluated(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	id := f.stored(t, `@id("faulty") forbid (principal, action == Action::"call_tool", resource) when { context.arguments.n.lessThan(decimal("0.5")) };`, "")
	f.inForce(t, id, "").want(t, 200, "")
	a := f.call(t, "root", "POST", "/explain", strings.Replace(question, `{"repoName":"bindery"}`, `{"n":5}`, 1)).want(t, 200, "")
	var got Explanation
	if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil || got.Reason != "policy_forbids" || len(got.Faulty) != 1 || len(got.Policies) != 1 {
		t.Errorf("answered %s", a.Body)
	}
}
