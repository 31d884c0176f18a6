package handler

import (
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestEscalation: what owners and others must not be able to do.
func TestEscalation(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	moved := strings.Replace(serverBody, "notes.example.com", "evil.example.com", 1)
	opened := strings.Replace(serverBody, `"state"`, `"networks":["10.0.0.0/8"],"state"`, 1)
	stolen := strings.Replace(serverBody, "team-notes", "team-other", 1)
	for name, c := range map[string]struct{ who, method, path, body string }{
		"another team changes a server":           {"other", "PUT", "/servers/notes", serverBody},
		"another team reads a server":             {"other", "GET", "/servers/notes", ""},
		"another team takes a server over":        {"other", "PUT", "/servers/notes", stolen},
		"the owner gives a server away":           {"owner", "PUT", "/servers/notes", stolen},
		"the owner moves a server in production":  {"owner", "PUT", "/servers/notes", moved},
		"the owner opens a private network":       {"owner", "PUT", "/servers/notes", opened},
		"an admin opens a private network":        {"admin", "PUT", "/servers/notes", opened},
		"the owner deletes a server":              {"owner", "DELETE", "/servers/notes", ""},
		"the owner binds an unassigned reference": {"owner", "PUT", "/servers/notes/bindings/dev-notes", strings.Replace(bindingBody, "prod/notes#token", "prod/other#token", 1)},
		"an auditor changes a server":             {"auditor", "PUT", "/servers/notes", serverBody},
		"an auditor changes a card":               {"auditor", "PUT", "/servers/notes/bindings/dev-notes", bindingBody},
		"somebody without a role reads a card":    {"nobody", "GET", "/servers/notes/bindings/dev-notes", ""},
		"an owner writes a value":                 {"owner", "PUT", "/values/token-1", `{"server":"notes","value":"` + canary + `"}`},
		"an owner reads a store":                  {"owner", "GET", "/stores/aws-sm", ""},
		"an owner deletes a store":                {"owner", "DELETE", "/stores/aws-sm", ""},
		"another team deletes a tool":             {"other", "DELETE", "/servers/notes/tools/whoami", ""},
		"an owner registers a provider":           {"owner", "PUT", "/providers/acme", providerBody},
		"an owner registers a store":              {"owner", "PUT", "/stores/aws-sm", `{"kind":"aws-sm","paths":["*"],"state":"active"}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.call(t, c.who, c.method, c.path, c.body, "If-Match", `"v1"`).want(t, 403, "forbidden")
			records := f.records(a)
			if len(records) != 1 || records[0].Phase != broker.Refused || records[0].Reason != broker.NotPermitted || records[0].Principal != people[c.who].ID {
				t.Errorf("recorded %+v", records)
			}
		})
	}
	for _, path := range []string{"/servers/notes", "/servers/notes/bindings/dev-notes", "/stores/aws-sm"} {
		if a := f.call(t, "root", "GET", path, nil); a.Header().Get("ETag") != `"v1"` {
			t.Errorf("%s was changed: %s", path, a.Body)
		}
	}
	f.clean(t)
}

func TestOwnersManageTheirOwn(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	described := strings.Replace(serverBody, `"state"`, `"description":"ours","state"`, 1)
	f.call(t, "owner", "PUT", "/servers/notes", described, "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "owner", "PUT", "/servers/notes/tools/whoami", `{"owner":"team-notes","risk":"low","state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "owner", "PUT", "/servers/notes/bindings/dev-notes", strings.Replace(bindingBody, `"active"`, `"suspended"`, 1), "If-Match", `"v1"`).want(t, 200, "")
	items := f.call(t, "owner", "GET", "/servers", nil).want(t, 200, "").body["items"].([]any)
	if len(items) != 1 {
		t.Errorf("the owner sees %v", items)
	}
	if items := f.call(t, "other", "GET", "/servers", nil).want(t, 200, "").body["items"].([]any); len(items) != 0 {
		t.Errorf("another team sees %v", items)
	}
}

// TestNobodyLearnsFromAConflict whether a server exists.
func TestNobodyLearnsFromAConflict(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for _, path := range []string{"/servers/notes", "/servers/none", "/servers/notes/bindings/dev-notes", "/servers/none/bindings/x", "/agents/x", "/servers/notes/tools/x"} {
		body := map[bool]string{true: bindingBody, false: serverBody}[strings.Contains(path, "bindings")]
		switch {
		case strings.Contains(path, "agents"):
			body = agentBody
		case strings.Contains(path, "tools"):
			body = toolBody
		}
		for _, header := range [][]string{{"If-None-Match", "*"}, {"If-Match", `"v1"`}, {"If-Match", `"v9"`}} {
			f.call(t, "other", "PUT", path, body, header...).want(t, 403, "forbidden")
		}
		f.call(t, "other", "DELETE", path, nil, "If-Match", `"v1"`)
		f.call(t, "other", "GET", path, nil).want(t, 403, "forbidden")
	}
}

// TestOnlyASuperAdminOpensAndClosesTheEnvironment.
func TestOnlyASuperAdminOpensAndClosesTheEnvironment(t *testing.T) {
	f := newFixture(t)
	for _, who := range []string{"admin", "owner", "auditor"} {
		f.call(t, who, "PUT", "/environment", `{"state":"suspended","policies":"","shadow":""}`, "If-Match", `"v1"`).want(t, 403, "forbidden")
	}
	f.call(t, "root", "PUT", "/environment", `{"state":"suspended","policies":"","shadow":""}`, "If-Match", `"v1"`).want(t, 200, "")
	if a := f.call(t, "auditor", "GET", "/environment", nil).want(t, 200, ""); a.body["state"] != "suspended" {
		t.Errorf("%s", a.Body)
	}
}

const vaultBody = `{"kind":"vault","paths":["secret/data/prod/*"],"address":"https://vault.example.com","auth":{"method":"token","credential":"aws-sm:prod/vault#token"},"state":"active"}`

// TestAStoreOfItsOwnAddress: where Bindery signs in and which private networks
// it opens there need permissions of their own. Nobody approves an address, so
// that in production no administrator of the catalogue alone has Bindery sign in
// at a host of their own, with whatever they refer to.
func TestAStoreOfItsOwnAddress(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "owner", "PUT", "/stores/vault", vaultBody, "If-None-Match", "*").want(t, 403, "forbidden")
	f.call(t, "admin", "PUT", "/stores/vault", vaultBody, "If-None-Match", "*").want(t, 403, "forbidden")
	if a := f.call(t, "admin", "POST", "/apply", `{"stores":{"vault":`+vaultBody+`}}`).want(t, 200, ""); !strings.Contains(a.Body.String(), "urn:bindery:problem:forbidden") {
		t.Errorf("%s", a.Body)
	}
	got := f.call(t, "root", "PUT", "/stores/vault", vaultBody, "If-None-Match", "*").want(t, 200, "")
	if !strings.Contains(got.Body.String(), `"auth":{"method":"token","credential":"aws-sm:prod/vault#token"}`) {
		t.Errorf("%s", got.Body)
	}
	f.call(t, "admin", "PUT", "/stores/vault", strings.Replace(vaultBody, "vault.example", "evil.example", 1), "If-Match", `"v1"`).want(t, 403, "forbidden")
	f.call(t, "admin", "PUT", "/stores/vault", suspended(vaultBody), "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "admin", "PUT", "/stores/vault", vaultBody, "If-Match", `"v2"`).want(t, 200, "")
	opened := strings.Replace(vaultBody, `"auth"`, `"networks":["10.0.0.0/8"],"auth"`, 1)
	f.call(t, "admin", "PUT", "/stores/vault", opened, "If-Match", `"v3"`).want(t, 403, "forbidden")
	f.call(t, "root", "PUT", "/stores/vault", opened, "If-Match", `"v3"`).want(t, 200, "")
	f.call(t, "admin", "PUT", "/stores/vault", strings.Replace(opened, "aws-sm:prod/vault#token", canary, 1), "If-Match", `"v4"`).want(t, 422, "literal_secret")
	f.clean(t)
}
