package handler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

const providerBody = `{"issuer":"https://login.acme.example","registration":"preregistered","client_id":"bindery","client_auth":"client_secret_basic",
	"client_secret":"aws-sm:prod/notes#token","state":"active"}`

// ownBody is a card through which people use their own accounts at acme.
const ownBody = `{"actor":{"group":"dev"},"allow":{"tools":["*"]},"mode":"user_delegated","source":"authorization_code","fields":[],
	"provider":"acme","scopes":["read","write:all"],"owner":"team-notes","state":"active"}`

const acme = "/providers/acme"

// provided is a fixture with the provider acme and a card of people's own.
func provided(t testing.TB) *fixture {
	t.Helper()
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", acme, providerBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/notes/bindings/own-notes", ownBody, "If-None-Match", "*").want(t, 200, "")
	return f
}

// changed is a JSON object with one text in it replaced, which must be there.
func changed(t testing.TB, body, from, to string) string {
	t.Helper()
	if !strings.Contains(body, from) {
		t.Fatalf("%s is not in %s", from, body)
	}
	return strings.Replace(body, from, to, 1)
}

// TestAProviderIsReadAsItWasPut, whatever it is made of.
func TestAProviderIsReadAsItWasPut(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for name, body := range map[string]string{
		"acme": providerBody,
		"full": `{"issuer":"https://login.full.example/t/1","endpoints":{"authorization":"https://login.full.example/a","token":"https://api.full.example/t",
			"revocation":"https://api.full.example/r"},"registration":"preregistered","client_id":"Ov23liAb9Cd8Ef7Gh6Ij","client_auth":"client_secret_post","client_secret":"aws-sm:prod/notes#token",
			"quirks":{"authorization_parameters":[{"name":"access_type","value":"offline"},{"name":"prompt","value":"consent"}],"scope_separator":",",
			"granted_separator":" ","implied_scopes":["openid"],"no_resource":true,"no_scope_on_refresh":true,"no_token_type":true,
			"dead_codes":["bad_refresh_token"],"assertion_audience":"https://login.full.example/x","access_token_life_seconds":3600},
			"networks":["10.0.0.0/8"],"state":"active"}`,
		"document": `{"issuer":"https://login.doc.example","registration":"metadata_document","client_auth":"private_key_jwt",
			"signing_key":"arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000000","state":"active"}`,
		"itself": `{"registration":"dynamic","client_auth":"none","state":"suspended"}`,
	} {
		a := f.call(t, "root", "PUT", "/providers/"+name, body, "If-None-Match", "*").want(t, 200, "")
		if d := cmp.Diff(a.body, f.call(t, "auditor", "GET", "/providers/"+name, nil).want(t, 200, "").body); d != "" {
			t.Errorf("%s is read otherwise: %s", name, d)
		}
		var given map[string]any
		if err := json.Unmarshal([]byte(body), &given); err != nil {
			t.Fatal(err)
		}
		for member, value := range given {
			if d := cmp.Diff(value, a.body[member]); d != "" {
				t.Errorf("%s: %s: %s", name, member, d)
			}
		}
	}
	same(t, f.call(t, "admin", "GET", "/providers", nil).items("name"), "acme", "document", "full", "itself")
	f.call(t, "root", "DELETE", acme, nil, "If-Match", `"v1"`).want(t, 204, "")
	f.call(t, "root", "GET", acme, nil).want(t, 404, "not_found")
	f.call(t, "root", "PUT", acme, providerBody, "If-None-Match", "*").want(t, 412, "version_conflict")
	f.clean(t)
}

// TestOnlyWhoMayMovesAProvider: whoever gives it an address gets client secrets
// and refresh tokens there.
func TestOnlyWhoMayMovesAProvider(t *testing.T) {
	f := provided(t)
	moved := changed(t, providerBody, "login.acme", "login.evil")
	static := changed(t, providerBody, `"registration"`, `"endpoints":{"authorization":"https://evil.example/a","token":"https://evil.example/t"},"registration"`)
	aimed := changed(t, providerBody, `"state"`, `"quirks":{"assertion_audience":"https://bank.example"},"state"`)
	opened := changed(t, providerBody, `"state"`, `"networks":["10.0.0.0/8"],"state"`)
	for name, c := range map[string]struct{ who, method, path, body string }{
		"an owner reads it":                              {"owner", "GET", acme, ""},
		"an owner changes it":                            {"owner", "PUT", acme, providerBody},
		"an owner moves it":                              {"owner", "PUT", acme, moved},
		"an owner deletes it":                            {"owner", "DELETE", acme, ""},
		"an auditor changes it":                          {"auditor", "PUT", acme, providerBody},
		"somebody without a role reads it":               {"nobody", "GET", acme, ""},
		"somebody without a role asks whether there is":  {"nobody", "GET", "/providers/none", ""},
		"an admin moves it in production":                {"admin", "PUT", acme, moved},
		"an admin gives it endpoints in production":      {"admin", "PUT", acme, static},
		"an admin has assertions made for somebody else": {"admin", "PUT", acme, aimed},
		"an admin opens a private network":               {"admin", "PUT", acme, opened},
	} {
		t.Run(name, func(t *testing.T) {
			records := f.records(f.call(t, c.who, c.method, c.path, c.body, "If-Match", `"v1"`).want(t, 403, "forbidden"))
			if len(records) != 1 || records[0].Reason != broker.NotPermitted {
				t.Errorf("recorded %+v", records)
			}
		})
	}
	f.call(t, "admin", "PUT", "/providers/new", providerBody, "If-None-Match", "*").want(t, 403, "forbidden")
	if items := f.call(t, "owner", "GET", "/providers", nil).want(t, 200, "").items("name"); len(items) > 0 {
		t.Errorf("an owner lists %v", items)
	}
	f.call(t, "admin", "PUT", acme, changed(t, providerBody, `"bindery"`, `"bindery-2"`), "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "admin", "PUT", acme, changed(t, providerBody, `"active"`, `"suspended"`), "If-Match", `"v2"`).want(t, 200, "")
	f.call(t, "root", "PUT", acme, moved, "If-Match", `"v3"`).want(t, 200, "")
	f.clean(t)
}

// TestAnotherEnvironmentsProviderIsNone: no card may name it, and nobody reads it.
func TestAnotherEnvironmentsProviderIsNone(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	if err := f.tables.PutProvider(t.Context(), broker.Provider{Environment: "dev", Name: "acme", State: broker.Active, Issuer: "https://login.acme.example",
		Registration: broker.Dynamic, ClientAuth: broker.ClientNone}); err != nil {
		t.Fatal(err)
	}
	f.call(t, "root", "GET", acme, nil).want(t, 404, "not_found")
	f.call(t, "root", "PUT", "/servers/notes/bindings/own-notes", ownBody, "If-None-Match", "*").want(t, 404, "not_found")
}

// TestAClientSecretIsAReferenceThatWorks for the address that gets it.
func TestAClientSecretIsAReferenceThatWorks(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	const given = `"aws-sm:prod/notes#token"`
	for name, c := range map[string]struct {
		body    string
		problem string
		detail  string
	}{
		"outside the paths of its store": {changed(t, providerBody, given, `"aws-sm:dev/notes#token"`), "invalid", "reference_outside_scope: A reference lies outside the paths registered for its store. It is field client_secret, of store aws-sm."},
		"of no registered store":         {changed(t, providerBody, given, `"vault:prod/notes#token"`), "invalid", "store_not_registered: No active store is registered under the name of a reference. It is field client_secret, of store vault."},
		"that is not there":              {changed(t, providerBody, given, `"aws-sm:prod/none#token"`), "reference_unresolved", "The store has no such secret, version or member. It is field client_secret, of store aws-sm."},
		"too short to mask":              {changed(t, providerBody, given, `"aws-sm:prod/short#token"`), "reference_unresolved", "The secret is not what the reference expects, is too short to mask, or cannot be sent in its place. It is field client_secret, of store aws-sm."},
		"a literal":                      {changed(t, providerBody, given, `"`+canary+`"`), "literal_secret", ""},
		"words instead of a reference":   {changed(t, providerBody, given, `"hunter two"`), "invalid", ""},
		"for whom an upstream names":     {changed(t, providerBody, `"issuer":"https://login.acme.example",`, ""), "invalid", ""},
		"of a client without one":        {changed(t, providerBody, "client_secret_basic", "none"), "invalid", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.call(t, "root", "PUT", acme, c.body, "If-None-Match", "*").want(t, 422, c.problem)
			if c.detail != "" && a.body["detail"] != c.detail || strings.Contains(a.Body.String(), "hunter") {
				t.Errorf("answered %s", a.Body)
			}
			f.call(t, "root", "GET", acme, nil).want(t, 404, "not_found")
		})
	}
	f.call(t, "root", "PUT", acme, providerBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/stores/aws-sm", changed(t, storeBody, "active", "suspended"), "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "root", "PUT", acme, changed(t, providerBody, `"active"`, `"suspended"`), "If-Match", `"v1"`).want(t, 200, "") // stopping needs no store
	f.clean(t)
}

// TestHostileProviders: addresses that lead elsewhere, and texts that break a
// protocol.
func TestHostileProviders(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	quirk := func(q string) string { return changed(t, providerBody, `"state"`, `"quirks":{`+q+`},"state"`) }
	address := func(a string) string { return changed(t, providerBody, "https://login.acme.example", a) }
	for name, body := range map[string]string{
		"plain http":                 address("http://login.acme.example"),
		"loopback":                   address("https://127.0.0.1/"),
		"metadata of the machine":    address("https://169.254.169.254/"),
		"a private network":          address("https://10.1.2.3/"),
		"a script":                   address("javascript://x.example/%0aalert(1)"),
		"a query":                    address("https://login.acme.example/?tenant=1"),
		"a fragment":                 address("https://login.acme.example/#x"),
		"a user":                     address("https://someone@login.acme.example/"),
		"one endpoint":               changed(t, providerBody, `"registration"`, `"endpoints":{"token":"https://a.example"},"registration"`),
		"a redirect of its own":      quirk(`"authorization_parameters":[{"name":"Redirect_URI","value":"https://evil.example"}]`),
		"a parameter twice":          quirk(`"authorization_parameters":[{"name":"a","value":"1"},{"name":"a","value":"2"}]`),
		"a scope of two words":       quirk(`"implied_scopes":["read write"]`),
		"an outage that ends all":    quirk(`"dead_codes":["temporarily_unavailable"]`),
		"a life without end":         quirk(`"access_token_life_seconds":99999999999`),
		"a member that nobody knows": quirk(`"follow_redirects":true`),
		"a key by its alias": changed(t, strings.NewReplacer("client_secret_basic", "private_key_jwt", `"client_secret":"aws-sm:prod/notes#token",`, "").Replace(providerBody),
			`"state"`, `"signing_key":"arn:aws:kms:eu-west-1:111122223333:alias/other","state"`),
	} {
		t.Run(name, func(t *testing.T) {
			f.call(t, "root", "PUT", acme, body, "If-None-Match", "*").want(t, 422, "invalid")
		})
	}
	f.call(t, "root", "GET", acme, nil).want(t, 404, "not_found")
}

// TestOnlyAdministratorsDrawOnAProvider: what Bindery may do there is of the
// whole environment, and no team's. What people type in comes from nobody else.
func TestOnlyAdministratorsDrawOnAProvider(t *testing.T) {
	f := provided(t)
	const own, another = "/servers/notes/bindings/own-notes", "/servers/notes/bindings/another"
	f.call(t, "owner", "PUT", another, ownBody, "If-None-Match", "*").want(t, 403, "forbidden")
	client := strings.NewReplacer("user_delegated", "service_account", "authorization_code", "client_credentials").Replace(ownBody)
	f.call(t, "owner", "PUT", another, client, "If-None-Match", "*").want(t, 403, "forbidden")
	for name, body := range map[string]string{
		"more scopes":      changed(t, ownBody, `"read"`, `"read","admin"`),
		"other scopes":     changed(t, ownBody, `"read"`, `"admin"`),
		"no scopes at all": changed(t, ownBody, `"scopes":["read","write:all"],`, ""),
		"another source":   changed(t, ownBody, "authorization_code", "token_exchange"),
	} {
		t.Run(name, func(t *testing.T) {
			f.call(t, "owner", "PUT", own, body, "If-Match", `"v1"`).want(t, 403, "forbidden")
		})
	}
	f.call(t, "owner", "PUT", own, changed(t, ownBody, `["*"]`, `["whoami"]`), "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "owner", "PUT", another, changed(t, strings.Replace(ownBody, `"provider":"acme","scopes":["read","write:all"],`, "", 1), "authorization_code", "personal_key"),
		"If-None-Match", "*").want(t, 200, "")
	f.call(t, "admin", "PUT", "/servers/notes/bindings/client", client, "If-None-Match", "*").want(t, 200, "")
	a := f.call(t, "owner", "GET", "/servers/notes/bindings/client", nil).want(t, 200, "")
	if a.body["provider"] != "acme" || fmt.Sprint(a.body["scopes"]) != "[read write:all]" || a.body["source"] != "client_credentials" {
		t.Errorf("read %s", a.Body)
	}
	f.clean(t)
}

// TestCardsThatContradictThemselves are refused, whoever puts them.
func TestCardsThatContradictThemselves(t *testing.T) {
	f := provided(t)
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"s%d"`, i)
	}
	const scopes = `"read","write:all"`
	for name, body := range map[string]string{
		"a scope of two words":               changed(t, ownBody, scopes, `"read write"`),
		"300 scopes":                         changed(t, ownBody, scopes, strings.Join(many, ",")),
		"a scope twice":                      changed(t, ownBody, scopes, `"read","read"`),
		"an empty scope":                     changed(t, ownBody, scopes, `""`),
		"a scope with a quote":               changed(t, ownBody, scopes, `"re\"ad"`),
		"a person's token for everybody":     changed(t, ownBody, "user_delegated", "service_account"),
		"a shared account as a person's own": changed(t, ownBody, "authorization_code", "client_credentials"),
		"references beside a provider":       changed(t, ownBody, `"fields":[]`, `"fields":[{"name":"token","reference":"aws-sm:prod/notes#token"}]`),
		"no provider":                        changed(t, ownBody, `"provider":"acme",`, ""),
		"a provider of a static card":        changed(t, bindingBody, `"owner"`, `"provider":"acme","owner"`),
		"an audience without an exchange":    changed(t, ownBody, `"owner"`, `"audience":"https://notes.example.com","owner"`),
		"a key from a provider":              changed(t, ownBody, "authorization_code", "personal_key"),
		"for workloads":                      changed(t, ownBody, `{"group":"dev"}`, `{"attribute":{"name":"service","value":"ci"}}`),
		"a provider that is a path":          changed(t, ownBody, `"acme"`, `"../acme"`),
	} {
		t.Run(name, func(t *testing.T) {
			f.call(t, "root", "PUT", "/servers/notes/bindings/another", body, "If-None-Match", "*").want(t, 422, "invalid")
		})
	}
	f.call(t, "root", "PUT", "/servers/notes/bindings/another", changed(t, ownBody, `"acme"`, `"none"`), "If-None-Match", "*").want(t, 404, "not_found")
	f.call(t, "root", "PUT", acme, changed(t, providerBody, `"active"`, `"suspended"`), "If-Match", `"v1"`).want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/notes/bindings/another", ownBody, "If-None-Match", "*").want(t, 404, "not_found")
	f.call(t, "root", "DELETE", acme, nil, "If-Match", `"v2"`).want(t, 204, "")
	f.call(t, "root", "PUT", "/servers/notes/bindings/another", ownBody, "If-None-Match", "*").want(t, 404, "not_found")
	f.clean(t)
}
