package handler

import (
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
)

// githubCanary has the shape of a token, and says that it is test material.
var githubCanary = "ghp_canary" + strings.Repeat("0", 30)

// TestALiteralSecretIsRefusedInEveryText: in each text of each body that is not
// meant for one, alone and as part of a text. It is recorded that something was
// refused; nothing of what it was is said, recorded, logged or kept.
func TestALiteralSecretIsRefusedInEveryText(t *testing.T) {
	c := newContract(t)
	c.seed(t)
	now := time.Now()
	c.desk.Now = func() time.Time { now = now.Add(time.Minute); return now } // so slowly that each refusal is recorded
	tried := 0
	for id, b := range bodies() {
		schema := c.operations()[id].RequestBody.Value.Content["application/json"].Schema.Value
		walk(schema, nil, func(at []string, s *openapi3.Schema) {
			if meant := meantFor(base + b.path); !s.Type.Is("string") || meant != "" && strings.HasPrefix("body."+strings.Join(at, "."), meant) {
				return
			}
			for _, text := range []string{canary, githubCanary, "see https://bot:" + canary + "@notes.example.com"} {
				if text == canary && at[len(at)-1] == clientID { // may look random
					continue
				}
				tried++
				a := c.with(t, b.method, b.path, b.body, at, text).want(t, 422, "literal_secret")
				if places := wrongPlaces(a); len(places) != 1 || !strings.HasPrefix(located(at), places[0]) {
					t.Errorf("%s: %s is said to be wrong at %v", id, located(at), places)
				}
				if records := c.records(a); len(records) != 1 || records[0].Status != 422 {
					t.Errorf("%s: recorded %+v", id, records)
				}
			}
		})
	}
	if tried < 90 {
		t.Errorf("only %d texts were tried", tried)
	}
	c.keepsNothing(t)
}

func (f *fixture) keepsNothing(t *testing.T) {
	t.Helper()
	f.clean(t)
	for where, text := range map[string][]byte{"an answer": f.seen.Bytes(), "the log": f.log.Bytes(), "a record": f.recorded.Bytes()} {
		if found := leak.Find(text, githubCanary); len(found) > 0 {
			t.Errorf("a token is in %s", where)
		}
	}
}

// TestNoDigestOfALiteralSecretIsKept: a digest of a request that holds a weak
// secret can be guessed at. The key stays free, for a request without.
func TestNoDigestOfALiteralSecretIsKept(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	tool := strings.Replace(toolBody, `"owner"`, `"password":"canary words","owner"`, 1)
	for name, c := range map[string]struct{ path, body, problem string }{
		"in a text":                           {"/servers/notes/tools/a", strings.Replace(toolBody, "team-notes", githubCanary, 1), "literal_secret"},
		"in a member that nobody knows":       {"/servers/notes/tools/b", tool, "literal_secret"},
		"as the name of a member":             {"/servers/notes/tools/c", strings.Replace(toolBody, `"owner"`, `"`+strings.ToLower(githubCanary)+`":1,"owner"`, 1), "literal_secret"},
		"in the address":                      {"/servers/notes/tools/" + githubCanary, toolBody, "literal_secret"},
		"in the query":                        {"/servers/notes/tools/d?api_key=canary", toolBody, "literal_secret"},
		"in the query, in other letters":      {"/servers/notes/tools/h?x=gh%70" + githubCanary[3:], toolBody, "literal_secret"},
		"in a body that cannot be read":       {"/servers/notes/tools/e", tool + "}", "malformed"},
		"in a member that stands twice":       {"/servers/notes/tools/f", `{"owner":"` + githubCanary + `",` + toolBody[1:], "malformed"},
		"in a member that is spelled another": {"/servers/notes/tools/g", strings.Replace(tool, "password", "Password", 1), "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			put := func(path, body string) answer {
				return f.call(t, "admin", "PUT", path, body, "If-None-Match", "*", "Idempotency-Key", name)
			}
			put(c.path, c.body).want(t, map[string]int{"literal_secret": 422, "malformed": 400}[c.problem], c.problem)
			put("/servers/notes/tools/good-"+c.path[len("/servers/notes/tools/"):][:1], toolBody).want(t, 200, "")
		})
	}
	f.call(t, "admin", "GET", "/agents/"+githubCanary, nil).want(t, 422, "literal_secret")
	f.keepsNothing(t)
}

// TestAnAuditorAsksAboutAnyName: software may call itself as a secret looks, and
// is found by that name.
func TestAnAuditorAsksAboutAnyName(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/audit?agent=", "/exposure/people?agent=", "/exposure/bindings?agent="} {
		f.call(t, "auditor", "GET", path+"issuer:"+githubCanary, nil).want(t, 200, "")
	}
}

// TestAnIdempotencyKeyIsNotKept, which may be anything, but its digest.
func TestAnIdempotencyKeyIsNotKept(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for range 2 {
		f.call(t, "admin", "PUT", "/servers/notes", serverBody, "If-Match", `"v1"`, "Idempotency-Key", canary).want(t, 200, "")
	}
	free := broker.Attempt{Environment: "prod", Principal: "p-admin", Key: canary, Request: "another", Receipt: "another", Begun: f.now().UTC()}
	if counts, err := f.attempts.BeginAttempt(t.Context(), free); err != nil || counts.Receipt != "another" {
		t.Errorf("an attempt is kept under the key itself: %+v %v", counts, err)
	}
}

// TestNothingIsRememberedOfWhatMayHoldASecret, whatever is asked at its address.
func TestNothingIsRememberedOfWhatMayHoldASecret(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for _, request := range [][2]string{{"PUT", "/values/a"}, {"POST", "/values/a/approve"}, {"PUT", "/import"}, {"POST", "/import"}, {"DELETE", "/import"}} {
		for _, body := range []string{importBody, strings.Replace(importBody, "canary", "another", 1)} {
			a := f.call(t, "root", request[0], request[1], body, "Idempotency-Key", "key")
			if a.body["type"] == "urn:bindery:problem:idempotency_key_reused" {
				t.Errorf("%s %s: a digest of the first request was kept", request[0], request[1])
			}
		}
	}
	for _, path := range []string{"/import/approve", "/imports", "/import/"} {
		f.call(t, "root", "POST", path, importBody, "Idempotency-Key", "key").want(t, 422, "literal_secret")
	}
	f.clean(t)
}

// TestALiteralSecretIsRefusedToWhoeverSendsIt, before anybody is asked whether
// they may: the answer depends on the request alone.
func TestALiteralSecretIsRefusedToWhoeverSendsIt(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for _, who := range []string{"nobody", "other", "auditor", "root"} {
		for _, path := range []string{"/servers/notes", "/servers/none"} {
			f.call(t, who, "PUT", path, strings.Replace(serverBody, "team-notes", canary, 1), "If-None-Match", "*").want(t, 422, "literal_secret")
		}
	}
	f.clean(t)
}

// TestARandomLookingClientIsNoSecret: providers give out names like that. What has
// the shape of a token is one there too.
func TestARandomLookingClientIsNoSecret(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	client := func(id string) string { return strings.Replace(providerBody, `"bindery"`, `"`+id+`"`, 1) }
	f.call(t, "root", "PUT", acme, client(canary), "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", acme, client(githubCanary), "If-Match", `"v1"`).want(t, 422, "literal_secret")
	f.call(t, "root", "PUT", acme, client("x&client_secret="+canary), "If-Match", `"v1"`).want(t, 422, "literal_secret")
}

// TestARandomLookingAgentIsNoSecret: issuers give out names like that.
func TestARandomLookingAgentIsNoSecret(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "admin", "PUT", "/agents/auth0:"+canary, agentBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "admin", "PUT", "/servers/notes/bindings/agent", strings.Replace(bindingBody, `{"group":"dev"}`, `{"agent":"auth0:`+canary+`"}`, 1), "If-None-Match", "*").want(t, 200, "")
	f.call(t, "admin", "PUT", "/agents/"+canary, agentBody, "If-None-Match", "*").want(t, 422, "literal_secret")
}
