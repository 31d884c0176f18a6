//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// leasing is the reader of grants that takes the lease.
const leasing = 3

// readers are what must fail for each kind of row that is spoilt.
func readers(t *testing.T, s *dynamo.DB, env string, leased broker.Grant) map[string][]func() error {
	ctx, k, h := t.Context(), leased.GrantKey, handle(env)
	late := noon.Add(time.Hour)
	view := func() error { _, err := s.Grant(ctx, k); return err }
	return map[string][]func() error{
		"consent": {view},
		"grant": {view,
			func() error { _, _, err := s.GrantsOf(ctx, env, "p-alice", "", 1); return err },
			func() error { _, err := s.DueGrants(ctx, env, late.Add(1), 1); return err },
			func() error { _, err := s.LeaseGrant(ctx, leased, "h-2", late, late.Add(1)); return err },
			func() error { _, err := s.EndGrant(ctx, k, broker.Revoked, late); return err }},
		"registered": {
			func() error { _, err := s.Registered(ctx, env, "okta", registration(env).Issuer); return err },
			func() error { _, err := s.AddRegistered(ctx, registration(env), noon); return err }},
		"handle": {
			func() error { _, err := s.Handle(ctx, env, h.Kind, h.ID, noon); return err },
			func() error { _, err := s.TakeHandle(ctx, env, h.Kind, h.ID, noon); return err }},
	}
}

// testUndecodableGrants takes away one attribute of one row after the other, and
// gives it another type. None may read as an absence, as alive, free or for ever.
func testUndecodableGrants(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, ctx, c := environment(), t.Context(), client(e.url, patient)
	must(t, s.BeginGrant(ctx, grantAt(env, "github"), consents(0)))
	leased := leaseOf(t, s, granted(t, s, grantAt(env, "github").GrantKey), "h-1")
	_, err := s.AddRegistered(ctx, registration(env), noon)
	must(t, err, s.KeepSpare(ctx, leased, tokens("spare")), s.AddHandle(ctx, handle(env)))
	needed := map[string]string{
		"consent": "schema environment principal server origin agent generation at",
		"grant": "schema environment principal server origin generation version state consented until sealed expires refreshes " +
			"lease lease_until attempted unsettled cool_until failures dead ended",
		"registered": "schema environment provider issuer client_id expires at",
		"handle":     "schema environment kind id body until",
	}
	fail := readers(t, s, env, leased)
	for _, table := range []string{tables.Grants, tables.Transient} {
		for _, r := range dump(t, c, table, env) {
			kind, _, _ := strings.Cut(r["pk"].(*types.AttributeValueMemberS).Value, "/")
			switch {
			case r["agent"] != nil:
				kind = "consent"
			case kind == "grants":
				kind = "grant"
			}
			for name := range strings.FieldsSeq(needed[kind]) {
				for i, read := range fail[kind] {
					for what, spoil := range map[string]func(row){
						"taken away":   func(r row) { delete(r, name) },
						"another type": func(r row) { r[name] = &types.AttributeValueMemberM{} },
					} {
						bad := maps.Clone(r)
						spoil(bad)
						putRaw(t, c, table, bad)
						if kind == "grant" && i == leasing && (name == "lease" || name == "unsettled") {
							continue // a lease that is over is replaced, whatever it said
						}
						if err := read(); err == nil || errors.Is(err, broker.ErrNotFound) || strings.Contains(err.Error(), "p-alice") {
							t.Fatalf("%s of the %s %s, and reader %d got %v", name, kind, what, i, err)
						}
					}
				}
			}
			putRaw(t, c, table, r)
			delete(needed, kind)
		}
	}
	if len(needed) != 0 {
		t.Fatalf("not spoilt: %v", needed)
	}
	for kind, list := range fail {
		for i, read := range list {
			if err := read(); err != nil {
				t.Fatalf("restored, and reader %d of the %s got %v", i, kind, err)
			}
		}
	}
}

// testIndexOfDue sees that only what is due carries the index's attributes, and
// that a stale entry of the index lists nothing.
func testIndexOfDue(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, ctx, c := environment(), t.Context(), client(e.url, patient)
	indexed := func() (names []string) {
		for _, r := range dump(t, c, tables.Grants, env) {
			if (r["due"] != nil) != (r["due_at"] != nil) {
				t.Fatalf("half in the index: %v", r)
			}
			if r["due"] != nil {
				names = append(names, r["server"].(*types.AttributeValueMemberS).Value)
			}
		}
		return names
	}
	for _, server := range []string{"ended", "dead", "last", "stays"} {
		must(t, s.BeginGrant(ctx, grantAt(env, server), consents(0)))
	}
	before := dump(t, c, tables.Grants, env)
	lease := func(server string) broker.Grant {
		return leaseOf(t, s, granted(t, s, grantAt(env, server).GrantKey), "h-1")
	}
	_, err := s.EndGrant(ctx, grantAt(env, "ended").GrantKey, broker.Deleted, noon)
	must(t, err)
	must(t, killed(s.KillGrant(ctx, lease("dead"), noon, "invalid_grant", death(env))))
	_, err = s.StoreTokens(ctx, lease("last"), broker.Tokens{Sealed: []byte("x")}, noon)
	must(t, err, s.CoolGrant(ctx, lease("stays"), noon, "503"))
	if got := indexed(); fmt.Sprint(got) != "[stays]" {
		t.Fatalf("indexed: %v", got)
	}
	for _, old := range before {
		if old["due"] == nil {
			continue
		}
		for _, now := range dump(t, c, tables.Grants, env) {
			if keyText(now) == keyText(old) {
				now["due"], now["due_at"] = old["due"], old["due_at"] // as an index that lags says
				putRaw(t, c, tables.Grants, now)
			}
		}
	}
	if got := indexed(); len(got) != 4 {
		t.Fatalf("indexed: %v", got)
	}
	due, err := s.DueGrants(ctx, env, noon.Add(2*time.Hour), 10)
	must(t, err)
	if len(due) != 1 || due[0].Server != "stays" {
		t.Fatalf("due: %+v", due)
	}
}

func keyText(r row) string {
	return r["pk"].(*types.AttributeValueMemberS).Value + " " + r["sk"].(*types.AttributeValueMemberS).Value
}

// testFaultsOfGrants throttles, breaks and contends what a refresh consists of,
// less often than it is tried, and loses the answer to the end of a grant.
func testFaultsOfGrants(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env, ctx := environment(), t.Context()
	must(t, s.BeginGrant(ctx, grantAt(env, "github"), consents(0)))
	g := granted(t, s, grantAt(env, "github").GrantKey)
	for version, effect := range []faultproxy.Effect{faultproxy.Throttle(), faultproxy.ServerError(), faultproxy.Reset(), faultproxy.DropAnswer(),
		faultproxy.Fail(400, "TransactionConflictException")} {
		proxy.Clear()
		left := proxy.Inject(faultproxy.Rule{Operations: []string{"UpdateItem"}, Times: 2, Effect: effect})
		leased := leaseOf(t, s, g, fmt.Sprint("h-", version))
		if left() != 0 || leased.Unsettled != (time.Time{}) {
			t.Fatalf("fault %d: %d left, %+v", version, left(), leased)
		}
		left = proxy.Inject(faultproxy.Rule{Operations: []string{"UpdateItem"}, Times: 2, Effect: effect})
		var err error
		g, err = s.StoreTokens(ctx, leased, tokens(fmt.Sprint(version)), noon)
		must(t, err)
		if left() != 0 || g.Version != int64(version)+2 {
			t.Fatalf("fault %d: %d left, %+v", version, left(), g)
		}
	}
	left := proxy.Inject(faultproxy.Rule{Operations: []string{"UpdateItem"}, Times: 2, Effect: faultproxy.DropAnswer()})
	was, err := s.EndGrant(ctx, g.GrantKey, broker.Revoked, noon)
	must(t, err)
	if left() != 0 || string(was.Sealed) != string(g.Sealed) {
		t.Fatalf("what has to be revoked got lost: %+v", was)
	}
	proxy.Inject(faultproxy.Rule{Operations: []string{"UpdateItem"}, Times: -1, Effect: faultproxy.Fail(400, "TransactionConflictException")})
	if _, err := s.LeaseGrant(ctx, g, "h-x", noon, noon.Add(1)); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
}

// testEndsBetween has a refresh or a spare arrive between the look and the write
// of an end: what it gives is what was there last.
func testEndsBetween(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env, ctx := environment(), t.Context()
	for server, meanwhile := range map[string]func(broker.Grant) error{
		"store": func(g broker.Grant) error { _, err := s.StoreTokens(ctx, g, tokens("newest"), noon); return err },
		"spare": func(g broker.Grant) error { return s.KeepSpare(ctx, g, tokens("newest")) },
	} {
		must(t, s.BeginGrant(ctx, grantAt(env, server), consents(0)))
		leased := leaseOf(t, s, granted(t, s, grantAt(env, server).GrantKey), "h-1")
		proxy.Clear()
		proxy.Inject(faultproxy.Rule{Operations: []string{"UpdateItem"}, Times: 1, Effect: faultproxy.Gate(func() { must(t, meanwhile(leased)) })})
		was, err := s.EndGrant(ctx, leased.GrantKey, broker.Deleted, noon)
		must(t, err)
		if string(was.Sealed) != "newest" {
			t.Fatalf("%s: %q is to be revoked", server, was.Sealed)
		}
	}
}

// testRowsBeforeProviders reads cards that were made before there were providers.
func testRowsBeforeProviders(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	want := binding(env, "card", broker.Actor{Anyone: true})
	full := want
	full.Provider, full.Scopes, full.Audience = "okta", []string{"repo"}, "https://api.example.com"
	must(t, s.PutBinding(t.Context(), full))
	stripped := 0
	for _, r := range dump(t, c, tables.Catalogue, env) {
		for _, name := range []string{"provider", "scopes", "audience"} {
			if _, ok := r[name]; ok {
				delete(r, name)
				stripped++
			}
		}
		putRaw(t, c, tables.Catalogue, r)
	}
	got, err := s.Binding(t.Context(), route(env), "card")
	must(t, err)
	want.Version = 1
	if stripped != 2*3 || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Fatalf("%d attributes were taken away, and %+v is left", stripped, got)
	}
}
