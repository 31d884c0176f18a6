//go:build e2e

package compiled

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
	"bindery/shared/revoke"
	"bindery/shared/session"
)

// asked is who was asked what.
type asked struct {
	mu   sync.Mutex
	seen []string
}

func (a *asked) add(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, what)
}

// TestTheCleanupFunctionEndsWhatIsRevoked, started with the settings of the
// template and nothing else: a session at its upstream with the secret of its
// card, and a grant at its provider with Bindery's own secret there.
func TestTheCleanupFunctionEndsWhatIsRevoked(t *testing.T) {
	w := &world{dir: t.TempDir(), canary: stack.RandomSecret("canary-")}
	w.binary = filepath.Join(w.dir, "bootstrap")
	runtimeapi.Build(t, w.binary, []string{"cleanup"})
	moto, err := parts.Moto(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(moto.Stop)
	_, w.Deployment = deploy(t, moto.URL)
	var a asked
	upstream := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		a.add("upstream " + r.Method + " " + r.Header.Get("Mcp-Session-Id") + " " + r.Header.Get("Authorization"))
		rw.WriteHeader(http.StatusNoContent)
	}))
	provider := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		a.add("provider " + r.URL.Path + " " + r.PostFormValue("token") + " " + password)
	}))
	must(t, w.Registry.PutStore(t.Context(), broker.Store{Environment: environment, Name: "aws-sm", Kind: "aws-sm", Paths: broker.Scope{environment + "/*"}, State: broker.Active}))
	w.revocable(t, provider, upstream)
	id := w.revoke(t, broker.EverythingMarker, environment)
	function, err := runtimeapi.Start(t.Context(), w.binary, w.as(t, "cleanup", w.settingsOf(func(s config.Setting) bool { return s.For("cleanup") })))
	must(t, err)
	t.Cleanup(func() { function.Stop() })
	event, err := os.ReadFile("../../events/cleanup/continue.json")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute) // as the template's
	defer cancel()
	for _, want := range []string{`{"worked":1,"failed":0}`, `{"worked":0,"failed":0}`} { // the second time nothing is due
		response, err := function.Invoke(ctx, event)
		must(t, err)
		if got := string(response.Raw); got != want {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
	function.Stop()
	want := []string{"provider /revoke made-up-access-token-1 " + w.canary, "provider /revoke made-up-refresh-token-1 " + w.canary,
		"upstream DELETE upstream-session-1 Bearer " + w.canary}
	if slices.Sort(a.seen); !slices.Equal(a.seen, want) {
		t.Errorf("asked %d things, among them others than wanted", len(a.seen))
	}
	c, err := w.DB.Revocation(t.Context(), environment, id)
	one := broker.Tally{Found: 1, Ended: 1}
	if err != nil || c.Sessions != one || c.Grants != one || len(c.Unreached) > 0 {
		t.Errorf("%v, %+v", err, c)
	}
	for _, said := range [][]byte{function.Stdout(), function.Stderr()} {
		if found := leak.Find(said, w.canary); found != nil {
			t.Errorf("a secret is in the output as %v", found)
		}
	}
}

// revocable makes a grant of one person and a session of another.
func (w *world) revocable(t *testing.T, provider, upstream string) {
	t.Helper()
	ctx := t.Context()
	w.grantOf(t, provider, "alice", time.Hour)
	row, err := w.DB.Provider(ctx, environment, "alice")
	must(t, err)
	row.Endpoints.Revocation = provider + "/revoke"
	must(t, w.DB.PutProvider(ctx, row))
	must(t, w.PutSecret(ctx, environment+"/tickets", w.canary))
	reference, err := broker.ParseReference("aws-sm:" + environment + "/tickets")
	must(t, err)
	must(t, w.Registry.PutServer(ctx, broker.Server{Environment: environment, Name: "tickets", State: broker.Active, Owner: "platform", URL: upstream,
		Attach: []broker.Attachment{{In: broker.InHeader, Name: "Authorization", Template: "Bearer {token}"}}}))
	must(t, w.Registry.Bind(ctx, broker.Binding{Environment: environment, Server: "tickets", Name: "dev", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Allow: broker.Allow{Tools: []string{"*"}}, Mode: broker.ServiceAccount, Source: broker.Static, Owner: "platform", Fields: []broker.Field{{Name: "token", Reference: reference}}}))
	origin, err := broker.OriginDigest(upstream)
	must(t, err)
	bob := broker.PrincipalID("https://issuer.example", "bob")
	wrapped, err := session.New(w.DB, w.Sealer, environment, time.Now).Wrap(ctx, session.Owner{Server: "tickets", Origin: origin, Principal: bob},
		session.Session{Upstream: "upstream-session-1", Binding: "dev", Version: "2025-11-25"})
	must(t, err)
	must(t, w.DB.AddSession(ctx, broker.LiveSession{Environment: environment, Digest: broker.Digest("session", wrapped), Server: "tickets", Origin: origin, Principal: bob,
		Binding: "dev", Wrapped: wrapped, Expires: time.Now().Add(time.Hour)}))
}

// revoke stops something, and gives its case.
func (w *world) revoke(t *testing.T, kind broker.MarkerKind, subject string) string {
	t.Helper()
	r := &revoke.Revoker{Environment: environment, Markers: w.DB, Reader: w.DB, Cases: w.DB, Journal: broker.NewJournal(w.DB, rand.Text), Now: time.Now}
	a, err := r.Revoke(t.Context(), revoke.Order{ID: broker.ReceiptOf(time.Now(), "compiled"), Kind: kind, Subject: subject, By: "p-aaaaaaaaaaaaaaaaaaaaaaaaaa", Reason: "a drill of the tests"})
	must(t, err)
	return a.Case
}
