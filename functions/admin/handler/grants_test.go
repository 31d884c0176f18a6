package handler

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// consented stores a consent of a person at a server.
func (f *fixture) consented(t testing.TB, principal, server string, change func(*broker.Grant)) {
	t.Helper()
	origin, err := broker.OriginDigest("https://notes.example.com/mcp")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	g := broker.Grant{GrantKey: broker.GrantKey{Environment: "prod", Principal: principal, Server: server, Origin: origin}, State: broker.Active,
		Provider: "acme", Scopes: []string{"write:all", "read"}, Consented: now, Sealed: []byte(canary), Expires: now.Add(time.Hour), Refreshes: true}
	if change != nil {
		change(&g)
	}
	if err := f.tables.BeginGrant(t.Context(), g, broker.Consent{At: now}); err != nil {
		t.Fatal(err)
	}
}

// TestGrantsOfAPerson are listed with how they stand, and nothing that is sealed.
func TestGrantsOfAPerson(t *testing.T) {
	f := newFixture(t)
	f.consented(t, "p-aliceaaaaaaaaaaaaaaaaaaaaa", "active", nil)
	f.consented(t, "p-aliceaaaaaaaaaaaaaaaaaaaaa", "expired", func(g *broker.Grant) { g.Until = g.Consented.Add(-time.Minute) })
	f.consented(t, "p-aliceaaaaaaaaaaaaaaaaaaaaa", "typed-in", func(g *broker.Grant) { g.Provider, g.Scopes, g.Expires, g.Refreshes = "", nil, time.Time{}, false })
	f.consented(t, "p-aliceaaaaaaaaaaaaaaaaaaaaa", "revoked", nil)
	f.consented(t, "p-aliceaaaaaaaaaaaaaaaaaaaaa", "dead", nil)
	f.consented(t, "p-aliceaaaaaaaaaaaaaaaaaaaaa", "gone", nil)
	f.consented(t, "p-bobaaaaaaaaaaaaaaaaaaaaaaa", "bobs", nil)
	f.ends(t, "revoked", broker.Revoked)
	f.ends(t, "gone", broker.Deleted)
	f.dies(t, "dead")
	a := f.call(t, "auditor", "GET", "/principals/p-aliceaaaaaaaaaaaaaaaaaaaaa/grants", nil).want(t, 200, "")
	same(t, a.items("server"), "active", "dead", "expired", "revoked", "typed-in")
	same(t, a.items("state"), "active", "dead", "expired", "revoked", "active")
	same(t, a.items("provider"), "acme", "acme", "acme", "acme", "<nil>")
	same(t, a.items("fault"), "<nil>", "invalid_grant", "<nil>", "<nil>", "<nil>")
	if scopes := a.items("scopes"); scopes[0] != "[read write:all]" || scopes[4] != "[]" {
		t.Errorf("scopes %v", scopes)
	}
	for _, limit := range []int{1, 2} {
		same(t, f.pages(t, "auditor", fmt.Sprintf("/principals/p-aliceaaaaaaaaaaaaaaaaaaaaa/grants?limit=%d", limit), "server"), a.items("server")...)
	}
	if none := f.call(t, "auditor", "GET", "/principals/p-nobodyknowsaaaaaaaaaaaaaaa/grants", nil).want(t, 200, ""); len(none.items("server")) > 0 {
		t.Errorf("answered %s", none.Body)
	}
	f.clean(t) // the sealed texts are canaries
}

func (f *fixture) grantOf(t testing.TB, server string) broker.Grant {
	t.Helper()
	grants, _, err := f.tables.GrantsOf(t.Context(), "prod", "p-aliceaaaaaaaaaaaaaaaaaaaaa", "", broker.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range grants {
		if g.Server == server {
			return g
		}
	}
	t.Fatal("there is no such grant")
	return broker.Grant{}
}

func (f *fixture) ends(t testing.TB, server string, to broker.State) {
	t.Helper()
	if _, err := f.tables.EndGrant(t.Context(), f.grantOf(t, server).GrantKey, to, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) dies(t testing.TB, server string) {
	t.Helper()
	view, err := f.tables.LeaseGrant(t.Context(), f.grantOf(t, server), "holder", time.Now(), time.Now().Add(time.Minute))
	if err == nil {
		_, err = f.tables.KillGrant(t.Context(), view.Grant, time.Now(), "invalid_grant",
			broker.Record{Schema: broker.RecordSchema, Receipt: "death-" + server, Phase: broker.Outcome, Nonce: "n", At: time.Now().UTC()})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestWhoConsentedIsForAuditors: it names people. Who asked about whom is
// recorded.
func TestWhoConsentedIsForAuditors(t *testing.T) {
	f := newFixture(t)
	f.consented(t, "p-aliceaaaaaaaaaaaaaaaaaaaaa", "notes", nil)
	for _, who := range []string{"admin", "owner", "second", "nobody"} {
		f.call(t, who, "GET", "/principals/p-aliceaaaaaaaaaaaaaaaaaaaaa/grants", nil).want(t, 403, "forbidden")
		f.call(t, who, "GET", "/principals/p-nobody/grants", nil).want(t, 403, "forbidden")
	}
	records := f.records(f.call(t, "auditor", "GET", "/principals/p-aliceaaaaaaaaaaaaaaaaaaaaa/grants", nil).want(t, 200, ""))
	if len(records) != 1 || records[0].Object != "audit/grants/p-aliceaaaaaaaaaaaaaaaaaaaaa" || records[0].Method != "list-grants" {
		t.Errorf("recorded %+v", records)
	}
	for _, path := range []string{"/principals/p-aliceaaaaaaaaaaaaaaaaaaaaa/grants?after=%2F%2F", "/principals/" + strings.Repeat("a", 257) + "/grants", "/principals/%ff/grants"} {
		if a := f.call(t, "auditor", "GET", path, nil); a.Code != 422 && a.Code != 400 {
			t.Errorf("%s is answered %d %s", path, a.Code, a.Body)
		}
	}
}

// own is a source of what is each person's own. It has something of the people
// it names, and remembers who asked.
type own struct {
	has   map[string]bool
	asked []string
}

func (o *own) Obtain(ctx context.Context, a broker.Ask) (broker.Credential, error) {
	o.asked = append(o.asked, a.Principal.ID)
	if !o.has[a.Principal.ID] {
		return broker.Credential{}, &broker.ConsentNeeded{Why: broker.ConsentNone, Provider: a.Binding.Provider}
	}
	if err := a.Recorded(ctx); err != nil {
		return broker.Credential{}, err
	}
	return broker.Credential{Fields: map[string]secret.Value{"token": secret.New(canary)}, Access: []broker.Access{{Reference: "grant:acme", Version: "1.1"}}}, nil
}

// TestVerifyUsesTheAskersOwn and nobody else's: without it, it says that it lacks
// a consent, and nothing leaves.
func TestVerifyUsesTheAskersOwn(t *testing.T) {
	f := provided(t)
	source := &own{has: map[string]bool{"p-admin": true}}
	f.registry.Sources[broker.AuthorizationCode] = source
	const path = "/servers/notes/bindings/own-notes/verify"
	a := f.call(t, "admin", "POST", path, nil).want(t, 200, "")
	if a.body["works"] != true || a.body["cause"] != nil || f.upstream().headers[0].Get("Authorization") != "Bearer "+canary {
		t.Errorf("answered %s", a.Body)
	}
	if o := f.records(a)[1]; len(o.Accesses) != 1 || o.Accesses[0].Reference != "grant:acme" {
		t.Errorf("recorded %+v", o)
	}
	sent := len(f.upstream().got)
	b := f.call(t, "root", "POST", path, nil).want(t, 200, "")
	if b.body["works"] != false || b.body["cause"] != "consent" || b.body["stage"] != "store" || len(f.upstream().got) != sent {
		t.Errorf("answered %s", b.Body)
	}
	same(t, source.asked, "p-admin", "p-root")
	f.clean(t)
}

// TestVerifyWhereNothingCanBeObtained: a source that this deployment does not
// have, and one that needs the token of a call.
func TestVerifyWhereNothingCanBeObtained(t *testing.T) {
	f := provided(t)
	exchange := strings.Replace(ownBody, "authorization_code", "token_exchange", 1)
	f.call(t, "root", "PUT", "/servers/notes/bindings/exchange", exchange, "If-None-Match", "*").want(t, 200, "")
	for card, cause := range map[string]string{"own-notes": "syntax", "exchange": "callers_token"} {
		a := f.call(t, "admin", "POST", "/servers/notes/bindings/"+card+"/verify", nil).want(t, 200, "")
		if a.body["works"] != false || a.body["cause"] != cause || a.body["detail"] == "" || len(f.upstream().got) > 0 {
			t.Errorf("%s is answered %s", card, a.Body)
		}
	}
}

// TestPostureSaysWhoseTheCredentialIs, and where it comes from.
func TestPostureSaysWhoseTheCredentialIs(t *testing.T) {
	f := provided(t)
	client := strings.NewReplacer("user_delegated", "service_account", "authorization_code", "client_credentials").Replace(ownBody)
	f.call(t, "root", "PUT", "/servers/notes/bindings/client", client, "If-None-Match", "*").want(t, 200, "")
	a := f.call(t, "auditor", "GET", "/posture", nil).want(t, 200, "")
	same(t, a.items("binding"), "client", "dev-notes", "own-notes")
	same(t, a.items("audience"), "shared", "shared", "per_person")
	same(t, a.items("material"), "token", "reference", "grant")
	same(t, a.items("provider"), "acme", "<nil>", "acme")
	if csv := f.call(t, "auditor", "GET", "/posture?format=csv", nil).want(t, 200, "").Body.String(); !strings.Contains(csv, ",grant,per_person,acme,") {
		t.Errorf("answered %s", csv)
	}
}

// TestExposureOfAClientSecret: the providers where Bindery is a client with it;
// and that a card of people's own says nothing of who they are.
func TestExposureOfAClientSecret(t *testing.T) {
	f := provided(t)
	a := f.call(t, "auditor", "GET", "/exposure/bindings?reference=aws-sm:prod/notes", nil).want(t, 200, "")
	if fmt.Sprint(a.body["clients"]) != "[acme]" {
		t.Errorf("answered %s", a.Body)
	}
	b := f.call(t, "auditor", "GET", "/exposure/bindings?server=notes&binding=own-notes", nil).want(t, 200, "")
	if unknown := fmt.Sprint(b.body["cannot_enumerate"]); !strings.Contains(unknown, "person by person") || fmt.Sprint(b.body["clients"]) != "[]" {
		t.Errorf("answered %s", b.Body)
	}
}

// TestAServerSaysThatItsProviderIsMissing, and that a card without one works.
func TestAServerSaysThatItsProviderIsMissing(t *testing.T) {
	f := provided(t)
	missing := func(want ...string) {
		t.Helper()
		if got := fmt.Sprint(f.call(t, "owner", "GET", "/servers/notes", nil).want(t, 200, "").body["missing"]); len(want) == 0 && got != "<nil>" || len(want) > 0 && got != fmt.Sprint(want) {
			t.Errorf("missing %s, want %s", got, want)
		}
	}
	missing()
	f.call(t, "root", "DELETE", "/servers/notes/bindings/dev-notes", nil, "If-Match", `"v1"`).want(t, 204, "")
	missing()
	f.call(t, "root", "PUT", acme, strings.Replace(providerBody, `"active"`, `"suspended"`, 1), "If-Match", `"v1"`).want(t, 200, "")
	missing(lacksProvider)
	f.call(t, "root", "DELETE", acme, nil, "If-Match", `"v2"`).want(t, 204, "")
	missing(lacksProvider)
}

// TestADocumentHoldsProvidersAndTheirCards: exported, applied elsewhere, and the
// same there.
func TestADocumentHoldsProvidersAndTheirCards(t *testing.T) {
	f, elsewhere := provided(t), newFixture(t)
	document := f.exported(t, "root")
	_, planned := elsewhere.applies(t, "root", "/apply?dry_run=true", document)
	same(t, planned, "create store/aws-sm", "create provider/acme unchecked", "create server/notes", "create binding/notes/dev-notes unchecked",
		"create binding/notes/own-notes unchecked", "none environment/prod")
	elsewhere.production = false
	elsewhere.applies(t, "root", "/apply", document)
	if again := elsewhere.exported(t, "root"); again != document || !strings.Contains(again, `"scopes":["read","write:all"]`) {
		t.Errorf("exported %s\nand then %s", document, again)
	}
	_, done := f.applies(t, "root", "/apply", `{"servers":{}}`)
	same(t, done, "extra provider/acme", "extra server/notes", "extra store/aws-sm")
	_, done = f.applies(t, "admin", "/apply", strings.Replace(document, "login.acme.example", "login.evil.example", 1))
	if !strings.Contains(strings.Join(done, "\n"), "refused provider/acme forbidden") {
		t.Errorf("done: %v", done)
	}
	f.call(t, "owner", "GET", "/export", nil).want(t, 200, "")
	if partial := f.exported(t, "owner"); strings.Contains(partial, "login.acme") || !strings.Contains(partial, `"partial":true`) {
		t.Errorf("an owner reads %s", partial)
	}
}
