//go:build e2e

package compiled

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/secret"
)

// TestTheRotationFunctionRefreshesWhatIsDue, started with the settings of the
// template and nothing else: of two grants the one whose token ends soon, at a
// provider that is shown the client's secret out of its store.
func TestTheRotationFunctionRefreshesWhatIsDue(t *testing.T) {
	w := &world{dir: t.TempDir(), canary: stack.RandomSecret("canary-")}
	w.binary = filepath.Join(w.dir, "bootstrap")
	runtimeapi.Build(t, w.binary, []string{"rotation"})
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	_, w.Deployment = deploy(t, moto.URL)
	var used []string
	provider := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		used = append(used, r.PostFormValue("refresh_token")+" "+password)
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"access_token":%q,"refresh_token":"made-up-refresh-token-2","token_type":"Bearer","expires_in":3600}`, w.canary)
	}))
	must(t, w.Registry.PutStore(t.Context(), broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active}))
	due := w.grantOf(t, provider, "alice", time.Minute)
	later := w.grantOf(t, provider, "bob", time.Hour)
	function, err := runtimeapi.Start(t.Context(), w.binary, w.as(t, "rotation", w.settingsOf(func(s config.Setting) bool { return s.For("rotation") })))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { function.Stop() })
	event, err := os.ReadFile("../../events/rotation/refresh.json")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // as the template's
	defer cancel()
	for _, want := range []string{`{"refreshed":1,"left":0,"done":true}`, `{"refreshed":0,"left":0,"done":true}`} {
		response, err := function.Invoke(ctx, event)
		must(t, err)
		if got := string(response.Raw); got != want {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
	function.Stop()
	if want := []string{"made-up-refresh-token-1 " + w.canary}; !slices.Equal(used, want) {
		t.Errorf("the provider was asked with %d refresh tokens, want alice's", len(used))
	}
	for k, version := range map[broker.GrantKey]int64{due: 2, later: 1} {
		if view, err := w.DB.Grant(t.Context(), k); err != nil || view.Grant.Version != version || view.Grant.Lease != "" {
			t.Errorf("%s: version %d, lease %q, %v", k.Server, view.Grant.Version, view.Grant.Lease, err)
		}
	}
	for _, said := range [][]byte{function.Stdout(), function.Stderr()} {
		if found := leak.Find(said, w.canary); found != nil {
			t.Errorf("a secret is in the output as %v", found)
		}
	}
	if !strings.Contains(string(function.Stdout()), `"refreshed":1`) {
		t.Errorf("it said %s", function.Stdout())
	}
}

// settingsOf are those that a function reads, and the SDK's own.
func (w *world) settingsOf(reads func(config.Setting) bool) []string {
	return slices.DeleteFunc(w.settings(), func(s string) bool {
		name, _, _ := strings.Cut(s, "=")
		return strings.HasPrefix(name, "BINDERY_") && !slices.ContainsFunc(config.Settings(), func(s config.Setting) bool { return s.Name == name && reads(s) })
	})
}

// grantOf registers a server with a provider and a card for everybody's own, and
// one person's grant there.
func (w *world) grantOf(t *testing.T, provider, person string, life time.Duration) broker.GrantKey {
	t.Helper()
	ctx, now := t.Context(), time.Now().UTC()
	url := "https://" + person + ".example.com/mcp"
	reference, err := broker.ParseReference("aws-sm:" + environment + "/clients/" + person)
	must(t, err)
	origin, err := broker.OriginDigest(url)
	must(t, err)
	k := broker.GrantKey{Environment: environment, Principal: broker.PrincipalID(provider, person), Server: person, Origin: origin}
	must(t, w.PutSecret(ctx, environment+"/clients/"+person, w.canary))
	must(t, w.DB.PutProvider(ctx, broker.Provider{Environment: environment, Name: person, State: broker.Active,
		Endpoints:    broker.Endpoints{Authorization: provider + "/authorize", Token: provider + "/token"},
		Registration: broker.Preregistered, ClientID: "bindery", ClientSecret: reference, ClientAuth: broker.ClientSecretBasic}))
	must(t, w.Registry.PutServer(ctx, broker.Server{Environment: environment, Name: person, State: broker.Active, Owner: "platform", URL: url,
		Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	must(t, w.Registry.Bind(ctx, broker.Binding{Environment: environment, Server: person, Name: "own", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.UserDelegated, Source: broker.AuthorizationCode, Provider: person, Owner: "platform"}))
	tokens, err := credential.SealTokens(ctx, w.Sealer, k, credential.TokenSet{Access: secret.New("made-up-access-token-1"),
		Refresh: secret.New("made-up-refresh-token-1"), Expires: now.Add(life)}, nil)
	must(t, err)
	must(t, w.DB.BeginGrant(ctx, broker.Grant{GrantKey: k, State: broker.Active, Provider: person, Consented: now,
		Sealed: tokens.Sealed, Expires: tokens.Expires, Refreshes: true}, broker.Consent{At: now}))
	return k
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
