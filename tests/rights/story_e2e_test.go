//go:build e2e

package rights

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/secret"
	"bindery/shared/session"
)

const (
	issued = "made-up-key-that-was-issued"
	first  = "made-up-value-number-one"
	agent  = stack.DemoIssuerName + ":shell"
)

var bearer = []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}

// serve runs an upstream that issues keys and takes every one, and a provider that
// answers every request for tokens.
func (w *world) serve() string {
	w.t.Helper()
	listener, err := stack.Listen(0)
	must(w.t, err)
	served := stack.Serve(listener, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasPrefix(r.URL.Path, "/keys"):
			fmt.Fprintf(rw, `{"key":{"id":"one","secret":%q}}`, issued+rand.Text())
		case r.URL.Path == "/token":
			fmt.Fprintf(rw, `{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":3600}`, "made-up-access-"+rand.Text(), "made-up-refresh-"+rand.Text())
		case r.URL.Path == "/revoke", r.Method == http.MethodDelete:
			rw.WriteHeader(http.StatusOK)
		default:
			var m struct{ ID json.RawMessage }
			_ = json.NewDecoder(r.Body).Decode(&m)
			fmt.Fprintf(rw, `{"jsonrpc":"2.0","id":%s,"result":{"supportedVersions":["2026-07-28"],"tools":[]}}`, m.ID)
		}
	}))
	w.t.Cleanup(served.Stop)
	return served.URL
}

// fill registers something of each kind: two stores, a server with cards on both,
// a provider with a grant of two people, and a session.
func (w *world) fill() {
	w.t.Helper()
	ctx := w.t.Context()
	w.url = w.serve()
	for name, paths := range map[string]broker.Scope{"aws-sm": {environment + "/*"}, "sealed": {"*"}} {
		must(w.t, w.Registry.PutStore(ctx, broker.Store{Environment: environment, Name: name, Kind: name, Paths: paths, State: broker.Active, MaxValueAge: time.Hour}))
	}
	must(w.t, w.Registry.PutServer(ctx, broker.Server{Environment: environment, Name: "github", State: broker.Active, Owner: "platform", URL: w.url + "/mcp", Attach: bearer}))
	origin, err := broker.OriginDigest(w.url)
	must(w.t, err)
	w.origin = origin
	_, err = w.Sealed.Put(ctx, environment, "token", origin, secret.New(first))
	must(w.t, err)
	for _, name := range []string{"raw", "before", "spare", "by-the-store", "clients/okta"} {
		must(w.t, w.PutSecret(ctx, environment+"/"+name, first))
	}
	for card, reference := range map[string]string{"sealed-card": "sealed:token", "raw-card": "aws-sm:prod/raw", "moving-card": "sealed:token",
		"repointed-card": "aws-sm:prod/before"} {
		must(w.t, w.Registry.Bind(ctx, w.card(card, reference)))
	}
	must(w.t, w.DB.PutProvider(ctx, broker.Provider{Environment: environment, Name: "okta", State: broker.Active,
		Endpoints:    broker.Endpoints{Authorization: w.url + "/authorize", Token: w.url + "/token", Revocation: w.url + "/revoke"},
		Registration: broker.Preregistered, ClientID: "bindery", ClientSecret: w.reference("aws-sm:prod/clients/okta"), ClientAuth: broker.ClientSecretBasic}))
	own := w.card("own", "sealed:token")
	own.Mode, own.Source, own.Provider, own.Fields = broker.UserDelegated, broker.AuthorizationCode, "okta", nil
	must(w.t, w.Registry.Bind(ctx, own))
	w.grant(person("alice"), "", time.Minute)
	w.grant(person("bob"), "", time.Minute)
	must(w.t, w.DB.PutAgent(ctx, broker.Agent{Environment: environment, ID: agent, State: broker.Active, Team: "platform", Ceiling: broker.Critical}))
}

func (w *world) reference(text string) broker.Reference {
	w.t.Helper()
	r, err := broker.ParseReference(text)
	must(w.t, err)
	return r
}

func (w *world) card(name, reference string) broker.Binding {
	w.t.Helper()
	return broker.Binding{Environment: environment, Server: "github", Name: name, State: broker.Active, Actor: broker.Actor{Group: name},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static, Owner: "platform",
		Fields: []broker.Field{{Name: "token", Reference: w.reference(reference)}}}
}

func person(name string) string { return broker.PrincipalID("https://issuer.example", name) }

// grant is one person's, for themselves or through an agent, with a token that
// ends soon.
func (w *world) grant(principal, agent string, life time.Duration) {
	w.t.Helper()
	ctx, now := w.t.Context(), time.Now().UTC()
	k := broker.GrantKey{Environment: environment, Principal: principal, Server: "github", Origin: w.origin}
	tokens, err := credential.SealTokens(ctx, w.Sealer, k, credential.TokenSet{Access: secret.New("made-up-access-token"),
		Refresh: secret.New("made-up-refresh-token"), Expires: now.Add(life)}, nil)
	must(w.t, err)
	must(w.t, w.DB.BeginGrant(ctx, broker.Grant{GrantKey: k, State: broker.Active, Provider: "okta", Consented: now,
		Sealed: tokens.Sealed, Expires: tokens.Expires, Refreshes: true}, broker.Consent{Agent: agent, At: now}))
}

// session is one that a person has at the upstream by a card, through an agent or alone.
func (w *world) session(name, card, agent string) string {
	w.t.Helper()
	ctx := w.t.Context()
	wrapped, err := session.New(w.DB, w.Sealer, environment, time.Now).Wrap(ctx, session.Owner{Server: "github", Origin: w.origin, Principal: person(name), Agent: agent},
		session.Session{Upstream: "session-of-" + name, Binding: card, Version: "2025-11-25"})
	must(w.t, err)
	must(w.t, w.DB.AddSession(ctx, broker.LiveSession{Environment: environment, Digest: broker.Digest("session", wrapped), Server: "github", Origin: w.origin,
		Principal: person(name), Agent: agent, Binding: card, Wrapped: wrapped, Expires: time.Now().Add(time.Hour)}))
	return broker.Digest("session", wrapped)
}

// administer asks what no call of tests/e2e asks, and orders that a card have
// another reference, and then another actor.
func (w *world) administer() {
	w.t.Helper()
	status, body := w.ask("root", http.MethodPost, "/rotations", `{"server":"github","binding":"repointed-card","fields":[{"name":"token","reference":"aws-sm:prod/spare"}]}`)
	var ordered struct{ ID string }
	if err := json.Unmarshal([]byte(body), &ordered); err != nil || status/100 != 2 {
		w.t.Fatalf("the rotation was answered %d %s", status, body)
	}
	w.rotation(`{"task":"rotate"}`)
	if status, body := w.ask("root", http.MethodGet, "/rotations/"+ordered.ID, ""); status != http.StatusOK {
		w.t.Errorf("the rotation is answered %d %s", status, body)
	}
	card := `{"actor":{"principal":"` + person("alice") + `"},"allow":{"tools":["*"]},"mode":"service_account","source":"static","owner":"platform","state":"active",` +
		`"fields":[{"name":"token","reference":"sealed:token"}]}`
	if status, body := w.ask("root", http.MethodPut, "/servers/github/bindings/moving-card", card, "If-Match", `"v1"`); status != http.StatusOK {
		w.t.Errorf("the card was answered %d %s", status, body)
	}
	w.grant(broker.PrincipalID(w.issuerURL, "user-root"), stack.DemoIssuerName+":bindery-cli", time.Second)
	if status, body := w.ask("root", http.MethodPost, "/servers/github/bindings/own/verify", ""); status != http.StatusOK || !strings.Contains(body, `"works":true`) {
		w.t.Errorf("the card is verified with %d %s", status, body)
	}
	body = `{"kind":"session","subject":"` + w.session("dave", "raw-card", "") + `","principal":"` + person("dave") + `","reason":"a drill of the tests"}`
	if status, body := w.ask("owner", http.MethodPost, "/revocations", body); status != http.StatusOK {
		w.t.Errorf("a session of an own server is stopped with %d %s", status, body)
	}
	for _, path := range []string{"/principals/" + person("alice") + "/grants", "/revocations", "/rotations"} {
		if status, body := w.ask("root", http.MethodGet, path, ""); status != http.StatusOK {
			w.t.Errorf("%s answered %d %s", path, status, body)
		}
	}
}

// rotate rotates a secret of each store by plan, refreshes, looks for drift, hears
// of a change, and moves what is sealed to another key.
func (w *world) rotate() {
	w.t.Helper()
	ctx := w.t.Context()
	recipe := broker.Recipe{
		Issue: broker.RecipeCall{Method: "POST", URL: w.url + "/keys", Headers: map[string]string{"Authorization": "Bearer {token}"}, Body: "{}"},
		Value: "/key/secret", Keep: "/key/id"}
	for card, reference := range map[string]string{"sealed-card": "sealed:token", "raw-card": "aws-sm:prod/raw"} {
		must(w.t, w.DB.PutRotationPlan(ctx, broker.RotationPlan{Environment: environment, Name: card, Origin: w.origin, State: broker.Active, Owner: "platform",
			Reference: w.reference(reference), Maker: broker.MakeByRecipe, Every: broker.MinEvery, Server: "github", Binding: card, Recipe: recipe}))
	}
	must(w.t, w.DB.PutRotationPlan(ctx, broker.RotationPlan{Environment: environment, Name: "by-the-store", State: broker.Active, Owner: "platform",
		Reference: w.reference("aws-sm:prod/by-the-store"), Maker: broker.MakeInStore, Every: broker.MinEvery}))
	for _, task := range []string{"rotate", "rotate", "refresh", "drift"} {
		w.rotation(`{"task":"` + task + `"}`)
	}
	w.rotation(strings.NewReplacer("eu-central-1", "us-east-1", "111122223333", "123456789012", "prod/github", "prod/raw").Replace(string(sample(w.t, "rotation/put-secret-value"))))
	w.grant(person("carol"), "", time.Second) // nobody refreshes it any more
	w.replaceKey()
	w.rotation(`{"task":"reencrypt"}`)
}

// revoke stops a person with a session and a grant, and a value, by the function
// that stops things, and has the rest ended; then it lets the value go.
func (w *world) revoke() {
	w.t.Helper()
	w.session("alice", "raw-card", agent)
	w.old()
	for _, subject := range []string{`"kind":"principal","subject":"` + person("alice") + `"`, `"kind":"reference","subject":"sealed:token"`,
		`"kind":"session","subject":"` + w.session("carol", "own", "") + `"`} {
		w.stop(subject)
	}
	w.cleanup()
	w.stop(`"kind":"server","subject":"github"`) // of a server that is revoked itself, no session could be ended
	_, err := w.functions.Cleanup(w.log).Handle(w.t.Context(), sample(w.t, "cleanup/revoked"))
	must(w.t, err)
	w.cleanup()
}

func (w *world) stop(subject string) {
	w.t.Helper()
	h, err := w.functions.Revocation(w.log)
	must(w.t, err)
	_, err = h.Invoke(w.t.Context(), json.RawMessage(`{"revoke":{`+subject+`,"by":"operator/on-call","reason":"a drill of the tests"}}`))
	must(w.t, err)
}

// old is a case whose work can be over: whatever it stopped has had the time to end.
func (w *world) old() {
	w.t.Helper()
	at := time.Now().UTC().Add(-time.Hour)
	m := broker.Marker{Environment: environment, Kind: broker.GroupMarker, ID: "nobody", Epoch: 1, Revoked: true, At: at, By: "p-admin", Reason: "a test",
		Revocation: broker.FirstReceipt(at) + "0000000000000001"}
	must(w.t, w.DB.PutMarker(w.t.Context(), m))
	must(w.t, w.DB.AddRevocation(w.t.Context(), broker.Revocation{Environment: environment, ID: m.Revocation, Kind: m.Kind, Subject: m.ID, Epoch: 1, By: m.By,
		Via: broker.ViaAdmin, Reason: m.Reason, At: at, Work: broker.WorkOpen}))
}
