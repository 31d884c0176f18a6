//go:build e2e

package rights

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/infra/local/stack"
	"bindery/shared/broker"
	"bindery/shared/brokertest/enforce"
	"bindery/shared/secret"
)

// world is a deployment at an endpoint, and its functions behind their roles.
type world struct {
	*stack.Deployment
	functions *stack.Deployment
	rights    *enforce.Proxy
	tally     enforce.Tally
	deployed  enforce.Deployment
}

func newWorld(t *testing.T) *world {
	t.Helper()
	moto, err := parts.Moto(t.Context(), t.Logf)
	must(t, err)
	t.Cleanup(moto.Stop)
	w := &world{}
	w.Deployment, err = stack.Provision(t.Context(), stack.AWS(moto.URL), environment, "https://mcp.example.com", []byte(`{"issuers":[]}`))
	must(t, err)
	w.deployed = enforce.Deployment{Environment: environment, ValuesKey: w.Config.ValuesKey}
	w.rights = enforce.New(t, moto.URL, w.deployed, &w.tally)
	through := *w.Deployment
	through.AWS = stack.AWS(w.rights.URL)
	w.functions = &through
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheFunctionsBehindTheCallsNeedTheirRights: what they ask for, their roles
// allow, and what their roles allow, they ask for.
func TestTheFunctionsBehindTheCallsNeedTheirRights(t *testing.T) {
	w := newWorld(t)
	w.rights.Hold(t)
	w.fill(t)
	log := slog.New(slog.DiscardHandler)
	for _, task := range []string{"drift", "rotate", "refresh", "reencrypt"} {
		_, err := w.functions.Rotation(log).Handle(t.Context(), json.RawMessage(`{"task":"`+task+`"}`))
		must(t, err)
	}
	_, err := w.functions.Cleanup(log).Handle(t.Context(), json.RawMessage(`{"task":"continue"}`))
	must(t, err)
	for _, u := range w.tally.Uses() {
		t.Logf("%v %v %v", u, w.tally.Needed(u), w.tally.Rows(u))
	}
	un, err := w.tally.Unneeded(w.deployed, "rotation", "cleanup", "ledger", "outbox", "revocation", "authorizer")
	must(t, err)
	for _, u := range un {
		t.Errorf("unneeded %s", u)
	}
}

// fill stores something of each kind that the functions look at.
func (w *world) fill(t *testing.T) {
	t.Helper()
	const url = "https://api.example.com/mcp"
	origin, err := broker.OriginDigest(url)
	must(t, err)
	reference, err := broker.ParseReference("sealed:token")
	must(t, err)
	now, alice, ctx := time.Now().UTC(), "p-"+broker.Digest("alice"), t.Context()
	_, err = w.Sealed.Put(ctx, environment, "token", origin, secret.New("made-up-value-one"))
	must(t, err)
	must(t, w.DB.PutStore(ctx, broker.Store{Environment: environment, Name: "sealed", Kind: "sealed", Paths: broker.Scope{"*"}, State: broker.Active, MaxValueAge: time.Hour}))
	must(t, w.DB.PutServer(ctx, broker.Server{Environment: environment, Name: "github", State: broker.Active, Owner: "git-team", URL: url}))
	must(t, w.DB.PutBinding(ctx, broker.Binding{Environment: environment, Server: "github", Name: "dev", State: broker.Active, Actor: broker.Actor{Anyone: true},
		Mode: broker.ServiceAccount, Source: broker.Static, Owner: "git-team", Origin: origin, Fields: []broker.Field{{Name: "token", Reference: reference}}}))
	must(t, w.DB.BeginGrant(ctx, broker.Grant{GrantKey: broker.GrantKey{Environment: environment, Principal: alice, Server: "github", Origin: origin}, Provider: "okta",
		Consented: now, Sealed: []byte("made-up"), Refreshes: true, Expires: now.Add(time.Minute), Until: now.Add(time.Hour), State: broker.Active}, broker.Consent{At: now}))
	must(t, w.DB.AddSession(ctx, broker.LiveSession{Environment: environment, Digest: broker.Digest("session", "one"), Server: "github", Origin: origin, Principal: alice,
		Binding: "dev", Wrapped: "made-up", Expires: now.Add(time.Hour)}))
	for i, m := range []broker.Marker{{Kind: broker.ReferenceMarker, ID: "sealed:token"}, {Kind: broker.ServerMarker, ID: "github"}, {Kind: broker.PrincipalMarker, ID: alice}} {
		m.Environment, m.Epoch, m.Revoked, m.At, m.By, m.Reason = environment, 1, true, now, "p-admin", "a test"
		m.Revocation = broker.FirstReceipt(now) + fmt.Sprintf("%016d", i)
		must(t, w.DB.PutMarker(ctx, m))
		must(t, w.DB.AddRevocation(ctx, broker.Revocation{Environment: environment, ID: m.Revocation, Kind: m.Kind, Subject: m.ID, Epoch: 1, By: m.By, Via: broker.ViaAdmin,
			Reason: m.Reason, At: now, Work: broker.WorkOpen}))
	}
}

var _ = context.Background
