//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

func grantAt(env, server string) broker.Grant {
	return broker.Grant{GrantKey: broker.GrantKey{Environment: env, Principal: "p-alice", Server: server, Origin: "o-digest"}, Provider: "okta",
		Scopes: []string{"repo"}, Consented: noon, Sealed: []byte("sealed"), Expires: noon.Add(time.Hour), Refreshes: true}
}

func tokens(mark string) broker.Tokens {
	return broker.Tokens{Sealed: []byte(mark), Scopes: []string{"repo"}, Expires: noon.Add(2 * time.Hour), Refreshes: true}
}

func consents(n int) broker.Consent {
	return broker.Consent{Agent: fmt.Sprint("okta:robot-", n), Generation: 1, At: noon}
}

func granted(t *testing.T, s *dynamo.DB, k broker.GrantKey) broker.Grant {
	t.Helper()
	v, err := s.Grant(t.Context(), k)
	must(t, err)
	return v.Grant
}

func leaseOf(t *testing.T, s *dynamo.DB, g broker.Grant, holder string) broker.Grant {
	t.Helper()
	v, err := s.LeaseGrant(t.Context(), g, holder, noon, noon.Add(time.Minute))
	must(t, err)
	return v.Grant
}

// death is the record of one.
func death(receipt string) broker.Record {
	return broker.Record{Schema: broker.RecordSchema, Receipt: receipt, Phase: broker.Outcome, Nonce: receipt, At: noon}
}

func killed(first bool, err error) error {
	if err == nil && !first {
		return errors.New("it was dead already")
	}
	return err
}

// testTripsOfGrants holds each operation to its number of requests; a call with a
// fresh grant costs one read, a refresh two writes.
func testTripsOfGrants(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env, ctx := environment(), t.Context()
	var g broker.Grant
	counts := func(name string, want int, call func() error) {
		t.Helper()
		proxy.ResetCounts()
		must(t, call())
		if n := proxy.Count(""); n != want {
			t.Fatalf("%s costs %d requests, want %d", name, n, want)
		}
	}
	lease := func(holder string) func() error {
		return func() error {
			v, err := s.LeaseGrant(ctx, g, holder, noon, noon.Add(time.Minute))
			if errors.Is(err, broker.ErrConflict) {
				return nil
			}
			g = v.Grant
			return err
		}
	}
	begun := grantAt(env, "github")
	counts("BeginGrant", 1, func() error { return s.BeginGrant(ctx, begun, consents(0)) })
	counts("AddConsent", 1, func() error { return s.AddConsent(ctx, begun.GrantKey, consents(1)) })
	counts("Grant", 1, func() (err error) { v, err := s.Grant(ctx, begun.GrantKey); g = v.Grant; return err })
	counts("LeaseGrant", 1, lease("h-1"))
	counts("LeaseGrant, another's", 1, lease("h-2"))
	counts("KeepSpare", 1, func() error { return s.KeepSpare(ctx, g, tokens("spare")) })
	counts("LeaseGrant, with a spare", 1, lease("h-1"))
	counts("StoreTokens", 1, func() (err error) { g, err = s.StoreTokens(ctx, g, tokens("2"), noon); return err })
	counts("LeaseGrant, again", 1, lease("h-3"))
	counts("CoolGrant", 1, func() error { return s.CoolGrant(ctx, g, noon, "503") })
	g = granted(t, s, g.GrantKey)
	counts("LeaseGrant, cooled", 1, lease("h-4"))
	counts("KillGrant", 1, func() error { return killed(s.KillGrant(ctx, g, noon, "invalid_grant", death("trips"))) })
	counts("EndGrant", 2, func() error { _, err := s.EndGrant(ctx, g.GrantKey, broker.Revoked, noon); return err })
	counts("GrantsOf", 1, func() error { _, _, err := s.GrantsOf(ctx, env, "p-alice", "", 10); return err })
	counts("DueGrants, none", 4, func() error { _, err := s.DueGrants(ctx, env, noon, 10); return err })
	must(t, s.BeginGrant(ctx, grantAt(env, "jira"), consents(0)))
	counts("DueGrants, one", 5, func() error { _, err := s.DueGrants(ctx, env, noon.Add(2*time.Hour), 10); return err })
	p := broker.Provider{Environment: env, Name: "okta", State: broker.Active, Registration: broker.Dynamic, ClientAuth: broker.ClientNone}
	counts("PutProvider", 1, func() error { return s.PutProvider(ctx, p) })
	counts("Provider", 1, func() error { _, err := s.Provider(ctx, env, "okta"); return err })
	for _, name := range []string{"AddRegistered", "AddRegistered, there already"} {
		counts(name, 1, func() error { _, err := s.AddRegistered(ctx, registration(env), noon); return err })
	}
	h := handle(env)
	counts("AddHandle", 1, func() error { return s.AddHandle(ctx, h) })
	counts("Handle", 1, func() error { _, err := s.Handle(ctx, env, h.Kind, h.ID, noon); return err })
	counts("TakeHandle", 1, func() error { _, err := s.TakeHandle(ctx, env, h.Kind, h.ID, noon); return err })
}

func registration(env string) broker.Registered {
	return broker.Registered{Environment: env, Provider: "okta", Issuer: "https://login.example.com", ClientID: "c-1", Sealed: []byte{1}, At: noon}
}

func handle(env string) broker.Handle {
	return broker.Handle{Environment: env, Kind: "ticket", ID: "d-1", Body: []byte("{}"), Expires: noon.Add(time.Hour)}
}

// testPagesOfGrants has answers cut, and one after the other fail.
func testPagesOfGrants(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env, ctx := environment(), t.Context()
	servers := []string{"a", "b", "c", "d"}
	for _, server := range servers {
		must(t, s.BeginGrant(ctx, grantAt(env, server), consents(0)))
		for n := range 3 {
			must(t, s.AddConsent(ctx, grantAt(env, server).GrantKey, consents(n)))
		}
	}
	cut := faultproxy.Rule{Operations: []string{"Query"}, Times: -1, Effect: faultproxy.CutPage(1)}
	proxy.Inject(cut)
	read := func() error {
		v, err := s.Grant(ctx, grantAt(env, "b").GrantKey)
		if err == nil && len(v.Consents) != 3 || err != nil && (v.Consents != nil || v.Grant.Sealed != nil) {
			t.Fatalf("%+v beside %v", v, err)
		}
		return err
	}
	list := func() error {
		grants, next, err := s.GrantsOf(ctx, env, "p-alice", "", 3)
		if err == nil && (len(grants) != 3 || next != "c/o-digest") || err != nil && (grants != nil || next != "") {
			t.Fatalf("%+v, %q beside %v", grants, next, err)
		}
		return err
	}
	due := func() error {
		grants, err := s.DueGrants(ctx, env, noon.Add(2*time.Hour), 10)
		if err == nil && len(grants) != len(servers) || err != nil && grants != nil {
			t.Fatalf("%+v beside %v", grants, err)
		}
		return err
	}
	for _, call := range []func() error{read, list, due} {
		proxy.ResetCounts()
		must(t, call())
		pages := proxy.Count("Query")
		if pages < 4 {
			t.Fatalf("%d pages were asked for: the proxy did not cut them", pages)
		}
		for page := range pages {
			proxy.Clear()
			proxy.Inject(faultproxy.Rule{Operations: []string{"Query"}, Skip: page, Times: -1, Effect: faultproxy.ServerError()})
			proxy.Inject(cut)
			if err := call(); !errors.Is(err, broker.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		proxy.Clear()
		proxy.Inject(cut)
	}
	proxy.Clear()
	proxy.Inject(faultproxy.Rule{Operations: []string{"BatchGetItem"}, Times: -1, Effect: faultproxy.Unprocessed(0)})
	if err := due(); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
}
