package handler

import (
	"strings"
	"sync"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
)

// TestTheLifeOfABinding: made, read, changed, its old version read, suspended,
// resumed, deleted, and its name never used again.
func TestTheLifeOfABinding(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	const path = "/servers/notes/bindings/dev-notes"
	got := f.call(t, "admin", "GET", path, nil).want(t, 200, "")
	if got.Header().Get("ETag") != `"v1"` || got.body["state"] != "active" || got.body["server"] != "notes" {
		t.Fatalf("read %s, %s", got.Header().Get("ETag"), got.Body)
	}
	suspended := strings.Replace(bindingBody, `"state":"active"`, `"state":"suspended"`, 1)
	f.call(t, "admin", "PUT", path, suspended, "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "admin", "GET", path+"/versions/1", nil).want(t, 200, "")
	if got := f.call(t, "admin", "GET", path, nil).want(t, 200, ""); got.body["state"] != "suspended" || got.Header().Get("ETag") != `"v2"` {
		t.Errorf("read %s", got.Body)
	}
	f.call(t, "admin", "PUT", path, bindingBody, "If-Match", `"v2"`).want(t, 200, "")
	f.call(t, "admin", "DELETE", path, nil, "If-Match", `"v3"`).want(t, 204, "")
	f.call(t, "admin", "GET", path, nil).want(t, 404, "not_found")
	f.call(t, "admin", "PUT", path, bindingBody, "If-None-Match", "*").want(t, 412, "version_conflict")
}

func TestACardIsOnlyMadeOfWhatACallCanHonour(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for name, c := range map[string]struct {
		old, with string
		status    int
		problem   string
	}{
		"a missing secret":             {"prod/notes#token", "prod/none#token", 422, "reference_unresolved"},
		"a value too short to mask":    {"prod/notes#token", "prod/short#token", 422, "reference_unresolved"},
		"outside the store's paths":    {"prod/notes#token", "staging/notes#token", 422, "invalid"},
		"a store nobody registered":    {"aws-sm:prod/notes#token", "vault:prod/notes#token", 422, "invalid"},
		"a literal secret":             {"aws-sm:prod/notes#token", canary, 422, "literal_secret"},
		"a field the server has not":   {`"name":"token"`, `"name":"password"`, 422, "invalid"},
		"two kinds of actor":           {`{"group":"dev"}`, `{"group":"dev","anyone":true}`, 422, "invalid"},
		"an unknown mode":              {"service_account", "user_delegated", 422, "invalid"},
		"a field that nobody knows":    {`"owner"`, `"password":"` + canary + `","owner"`, 422, "literal_secret"},
		"a known field in other case":  {`"owner"`, `"Owner"`, 400, "malformed"},
		"a known field as a fold":      {`"state"`, `"\u017ftate"`, 400, "malformed"},
		"a field twice":                {`"owner"`, `"owner":"x","owner"`, 400, "malformed"},
		"nothing of JSON":              {bindingBody, "]", 400, "malformed"},
		"a server that does not exist": {"", "", 404, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/servers/notes/bindings/another"
			if name == "a server that does not exist" {
				path = "/servers/none/bindings/another"
			}
			f.call(t, "admin", "PUT", path, strings.Replace(bindingBody, c.old, c.with, 1), "If-None-Match", "*").want(t, c.status, c.problem)
			f.call(t, "admin", "GET", path, nil).want(t, 404, "not_found")
		})
	}
	f.clean(t)
}

// TestTwoAdministratorsEditOneCard: one wins, the other is told, nothing is lost.
func TestTwoAdministratorsEditOneCard(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	var codes [2]int
	var both sync.WaitGroup
	for i, who := range []string{"admin", "root"} {
		both.Go(func() {
			codes[i] = f.call(t, who, "PUT", "/servers/notes", strings.Replace(serverBody, `"state"`, `"description":"`+who+`","state"`, 1), "If-Match", `"v1"`).Code
		})
	}
	both.Wait()
	if codes != [2]int{200, 412} && codes != [2]int{412, 200} {
		t.Errorf("answered %v", codes)
	}
	f.call(t, "admin", "PUT", "/servers/notes", serverBody).want(t, 428, "condition_required")
	f.call(t, "admin", "PUT", "/servers/notes", serverBody, "If-Match", `"v1"`).want(t, 412, "version_conflict")
	f.call(t, "admin", "PUT", "/servers/notes", serverBody, "If-Match", `nonsense`).want(t, 412, "version_conflict")
}

// TestARetriedRequestChangesNothingTwice.
func TestARetriedRequestChangesNothingTwice(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	put := func(key, body string) answer {
		return f.call(t, "admin", "PUT", "/servers/notes", body, "If-Match", `"v1"`, "Idempotency-Key", key)
	}
	first := put("k1", serverBody).want(t, 200, "")
	again := put("k1", serverBody).want(t, 200, "")
	if again.Body.String() != first.Body.String() || again.Header().Get("ETag") != `"v2"` || again.Header().Get("Idempotent-Replay") != "true" ||
		again.Header().Get("Bindery-Receipt") != first.Header().Get("Bindery-Receipt") {
		t.Errorf("the retry was answered %v %s", again.Header(), again.Body)
	}
	put("k1", strings.Replace(serverBody, "active", "suspended", 1)).want(t, 422, "idempotency_key_reused")
	other := strings.Replace(serverBody, "active", "suspended", 1)
	put("k2", other).want(t, 412, "version_conflict")
	f.call(t, "root", "PUT", "/servers/notes", other, "If-Match", `"v1"`, "Idempotency-Key", "k1").want(t, 412, "version_conflict") // a key is its caller's
}

func TestACardTellsWhatItShadows(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for _, query := range []string{"?dry_run=true", ""} {
		a := f.call(t, "admin", "PUT", "/servers/notes/bindings/everybody"+query, strings.Replace(bindingBody, `{"group":"dev"}`, `{"anyone":true}`, 1), "If-None-Match", "*").want(t, 200, "")
		if !strings.Contains(a.Body.String(), `"overlaps":[{"binding":"dev-notes","effect":"loses"}]`) {
			t.Errorf("%s", a.Body)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	a := f.call(t, "admin", "PUT", "/servers/notes?dry_run=true", strings.Replace(serverBody, "active", "suspended", 1), "If-Match", `"v1"`).want(t, 200, "")
	if r := f.records(a); len(r) != 1 || r[0].Reason != broker.DryRun {
		t.Errorf("recorded %+v", r)
	}
	if a := f.call(t, "admin", "GET", "/servers/notes", nil); a.Header().Get("ETag") != `"v1"` {
		t.Error("a dry run changed the server")
	}
}

// TestADryRunTellsWhatTheChangeWouldMeet: a version that is not there.
func TestADryRunTellsWhatTheChangeWouldMeet(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for path, body := range map[string]string{"/servers/notes": serverBody, "/servers/notes/bindings/dev-notes": bindingBody, "/servers/notes/tools/whoami": toolBody,
		"/agents/oidc:reporter": agentBody, "/stores/aws-sm": storeBody} {
		f.call(t, "root", "PUT", path+"?dry_run=true", body, "If-Match", `"v7"`).want(t, 412, "version_conflict")
		f.call(t, "nobody", "PUT", path, body, "If-Match", `"v7"`).want(t, 403, "forbidden")
	}
	f.call(t, "root", "PUT", "/servers/none/bindings/dev-notes?dry_run=true", bindingBody, "If-None-Match", "*").want(t, 404, "not_found")
	f.call(t, "root", "PUT", "/servers/none/tools/whoami?dry_run=true", toolBody, "If-None-Match", "*").want(t, 404, "not_found")
}

// TestAChangeIsRecordedBeforeItIsMade, with what was there and what is to be.
func TestAChangeIsRecordedBeforeItIsMade(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	a := f.call(t, "admin", "PUT", "/servers/notes", strings.Replace(serverBody, "active", "suspended", 1), "If-Match", `"v1"`).want(t, 200, "")
	r := f.records(a)
	if len(r) != 2 || r[0].Phase != broker.Intent || r[1].Phase != broker.Outcome || r[0].Object != "server/notes" || r[0].Method != "put-server" ||
		!strings.Contains(r[0].Before, `"state":"active"`) || !strings.Contains(r[0].After, `"state":"suspended"`) || r[1].Status != 200 {
		t.Errorf("recorded %+v", r)
	}
}

// TestEveryRequestOfAKnownCallerIsRecorded, also what comes to no operation.
func TestEveryRequestOfAKnownCallerIsRecorded(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for name, c := range map[string]struct {
		a     answer
		phase broker.Phase
	}{
		"who am I":            {f.call(t, "nobody", "GET", "/me", nil), broker.Outcome},
		"no such operation":   {f.call(t, "admin", "GET", "/nothing", nil), broker.Refused},
		"no condition":        {f.call(t, "admin", "PUT", "/servers/notes", serverBody), broker.Refused},
		"no JSON":             {f.call(t, "admin", "PUT", "/servers/notes", "{", "If-Match", `"v1"`), broker.Refused},
		"a stale version":     {f.call(t, "admin", "PUT", "/servers/notes", serverBody, "If-Match", `"v7"`), broker.Refused},
		"a key used again":    {f.call(t, "admin", "PUT", "/servers/notes", serverBody, "Idempotency-Key", strings.Repeat("k", 300)), broker.Refused},
		"a list":              {f.call(t, "auditor", "GET", "/servers", nil), broker.Outcome},
		"one that exists not": {f.call(t, "other", "PUT", "/servers/none", serverBody, "If-None-Match", "*"), broker.Refused},
		"one that exists":     {f.call(t, "other", "PUT", "/servers/notes", serverBody, "If-None-Match", "*"), broker.Refused},
	} {
		if r := f.records(c.a); len(r) != 1 || r[0].Phase != c.phase || r[0].Status != c.a.Code {
			t.Errorf("%s: answered %d, recorded %+v", name, c.a.Code, r)
		}
	}
}

// TestAValueIsWrittenAndNeverRead.
func TestAValueIsWrittenAndNeverRead(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for version := 1.0; version <= 2; version++ {
		a := f.call(t, "admin", "PUT", "/values/token-1", `{"server":"notes","value":"`+canary+`"}`, "Idempotency-Key", "same").want(t, 200, "")
		if a.body["version"] != version || a.body["reference"] != "sealed:token-1" {
			t.Errorf("answered %s", a.Body)
		}
	}
	f.call(t, "root", "GET", "/values/token-1", nil).want(t, 405, "method_not_allowed")
	f.call(t, "admin", "PUT", "/values/token-1", `{"server":"notes","value":"`+canary+`","more":"`+canary+`"}`).want(t, 422, "literal_secret")
	f.call(t, "admin", "PUT", "/values/token-1", `{"server":"`+canary+`","value":"x"}`).want(t, 422, "literal_secret")
	f.call(t, "admin", "PUT", "/servers/notes?"+canary+"=1", serverBody, "If-Match", `"v1"`)
	f.clean(t)
}

func TestWhoIsNotAnAdministrator(t *testing.T) {
	f := newFixture(t)
	f.call(t, "stranger", "GET", "/servers", nil).want(t, 401, "invalid_token")
	f.call(t, "nobody", "GET", "/nothing", nil).want(t, 404, "not_found")
	if me := f.call(t, "auditor", "GET", "/me", nil).want(t, 200, ""); me.body["principal"] != "p-auditor" {
		t.Errorf("%s", me.Body)
	}
}

// clean requires that nothing that came out holds the canary.
func (f *fixture) clean(t *testing.T) {
	t.Helper()
	for where, text := range map[string][]byte{"an answer": f.seen.Bytes(), "the log": f.log.Bytes(), "a record": f.recorded.Bytes()} {
		if found := leak.Find(text, canary); len(found) > 0 {
			t.Errorf("a secret is in %s", where)
		}
	}
}
