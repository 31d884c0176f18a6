//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// inhabit stores one row of each kind that a decision reads.
func inhabit(t testing.TB, s *dynamo.DB, env string) {
	t.Helper()
	ctx := t.Context()
	must(t,
		s.PutEnvironment(ctx, broker.Environment{Name: env, State: broker.Active}),
		s.PutServer(ctx, server(env)),
		s.PutAgent(ctx, broker.Agent{Environment: env, ID: "okta:robot", State: broker.Active, Ceiling: broker.Low}),
		s.PutTool(ctx, broker.Tool{Environment: env, Server: "github", Name: "create", State: broker.Active, Risk: broker.Low}),
		s.PutMarker(ctx, marker(env, broker.PrincipalMarker, "p-alice")),
		s.PutMarker(ctx, marker(env, broker.AgentMarker, "okta:robot")),
		s.PutMarker(ctx, marker(env, broker.GroupMarker, "engineers")),
		s.PutMarker(ctx, marker(env, broker.BindingMarker, "github/other")))
	for i := range 3 {
		must(t, s.PutBinding(ctx, binding(env, fmt.Sprint("shared-", i), broker.Actor{Group: "engineers"})),
			s.PutBinding(ctx, binding(env, fmt.Sprint("personal-", i), broker.Actor{Principal: "p-alice"})))
	}
}

// whole fails unless a snapshot has everything that inhabit stored.
func whole(t *testing.T, s *dynamo.DB, env string) {
	t.Helper()
	got, err := s.Snapshot(t.Context(), lookup(env))
	if err != nil {
		t.Fatal(err)
	}
	if got.Environment == nil || got.Server == nil || got.Agent == nil || got.Tool == nil ||
		len(got.Shared) != 3 || len(got.Personal) != 3 || len(got.Markers) != 4 {
		t.Fatalf("incomplete: %+v", got)
	}
}

// unread fails unless a snapshot fails for good and gives nothing.
func unread(t *testing.T, s *dynamo.DB, env string) error {
	t.Helper()
	got, err := s.Snapshot(t.Context(), lookup(env))
	if err == nil || errors.Is(err, broker.ErrNotFound) || !reflect.DeepEqual(got, broker.Snapshot{}) {
		t.Fatalf("error %v beside %+v", err, got)
	}
	return err
}

func testUnprocessedKeys(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, time.Now)
	env := environment()
	inhabit(t, s, env)
	batch := []string{"BatchGetItem"}
	for name, rule := range map[string]faultproxy.Rule{
		"one key of each table at first":  {Operations: batch, Times: 1, Effect: faultproxy.Unprocessed(1)},
		"no key at first":                 {Operations: batch, Times: 1, Effect: faultproxy.Unprocessed(0)},
		"none, one, and one":              {Operations: batch, Times: 3, Effect: faultproxy.Unprocessed(1)},
		"throttled between, then the key": {Operations: batch, Skip: 1, Times: 1, Effect: faultproxy.Throttle()},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Clear()
			proxy.Inject(rule)
			whole(t, s, env)
		})
	}
	proxy.Clear()
	proxy.Inject(faultproxy.Rule{Operations: batch, Times: -1, Effect: faultproxy.Unprocessed(0)})
	if err := unread(t, s, env); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
}

func testPages(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, time.Now)
	env := environment()
	inhabit(t, s, env)
	query := []string{"Query"}
	cut := faultproxy.Rule{Operations: query, Times: -1, Effect: faultproxy.CutPage(1)}
	proxy.ResetCounts()
	proxy.Inject(cut)
	whole(t, s, env)
	if n := proxy.Count("Query"); n < 10 { // 4 rows with the server, 3 personal, 1 environment, 2 markers
		t.Fatalf("%d pages were asked for: the proxy did not cut them", n)
	}
	for page := range 10 {
		proxy.Clear()
		proxy.Inject(faultproxy.Rule{Operations: query, Skip: page, Times: -1, Effect: faultproxy.ServerError()})
		proxy.Inject(cut)
		if err := unread(t, s, env); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	proxy.Clear()
	for i := range 40 {
		must(t, s.PutBinding(t.Context(), binding(env, fmt.Sprint("many-", i), broker.Actor{Anyone: true})))
	}
	proxy.Inject(cut)
	if err := unread(t, s, env); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err) // a partition without end
	}
}

func testRetries(t *testing.T, e endpoint) {
	s, proxy, tables := e.behind(t, time.Now)
	env := environment()
	inhabit(t, s, env)
	s = dynamo.New(client(proxy.URL), tables, time.Now) // with the time limits of the hot path
	for name, effect := range map[string]faultproxy.Effect{
		"throttled": faultproxy.Throttle(),
		"broken":    faultproxy.ServerError(),
		"reset":     faultproxy.Reset(),
		"slow":      faultproxy.Delay(1200 * time.Millisecond),
		"lost":      faultproxy.DropAnswer(),
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Clear()
			proxy.Inject(faultproxy.Rule{Operations: []string{"Query"}, Times: 2, Effect: effect})
			whole(t, s, env)
			left := proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Times: 1, Effect: effect})
			must(t, s.Append(t.Context(), record(env+name, "nonce")))
			if left() != 0 {
				t.Fatal("the fault did not happen")
			}
		})
	}
}

func testGarbled(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, time.Now)
	env := environment()
	proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Times: 1, Effect: faultproxy.Garble()})
	err := s.PutServer(t.Context(), server(env))
	if !errors.Is(err, broker.ErrUnavailable) || strings.Contains(err.Error(), faultproxy.Leak) {
		t.Fatal(err)
	}
	must(t, s.PutServer(t.Context(), server(env))) // it had been applied
	proxy.Inject(faultproxy.Rule{Operations: []string{"Query"}, Times: -1, Effect: faultproxy.Garble()})
	if err := unread(t, s, env); strings.Contains(err.Error(), faultproxy.Leak) {
		t.Fatal(err)
	}
}

func testReplication(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, time.Now)
	put := func(env string, version int64, state broker.State) error {
		return s.PutEnvironment(t.Context(), broker.Environment{Name: env, Version: version, State: state})
	}
	everywhere := func(t *testing.T, env string, version int64, state broker.State) {
		t.Helper()
		for shard := range dynamo.Shards {
			got, err := s.ReadShard(shard).Snapshot(t.Context(), lookup(env))
			must(t, err)
			if got.Environment == nil || *got.Environment != (broker.Environment{Name: env, Version: version, State: state}) {
				t.Fatalf("copy %d holds %+v", shard, got.Environment)
			}
		}
	}
	for stored := range dynamo.Shards {
		env := environment()
		must(t, put(env, 0, broker.Active))
		everywhere(t, env, 1, broker.Active)
		dies := faultproxy.Rule{Operations: []string{"PutItem"}, Skip: stored, Times: -1, Effect: faultproxy.Fail(400, "AccessDeniedException")}
		proxy.Inject(dies)
		if err := put(env, 1, broker.Suspended); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatalf("a write that reached %d copies was acknowledged: %v", stored, err)
		}
		proxy.Clear()
		t.Run(fmt.Sprintf("repeated after %d copies", stored), func(t *testing.T) {
			must(t, put(env, 1, broker.Suspended))
			everywhere(t, env, 2, broker.Suspended)
			must(t, put(env, 2, broker.Active))
			everywhere(t, env, 3, broker.Active)
		})
	}
	t.Run("completed by another writer's conflict", func(t *testing.T) {
		env := environment()
		must(t, put(env, 0, broker.Active))
		proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Skip: 3, Times: -1, Effect: faultproxy.Fail(400, "AccessDeniedException")})
		if err := put(env, 1, broker.Suspended); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
		proxy.Clear()
		if err := put(env, 1, broker.Revoked); !errors.Is(err, broker.ErrConflict) {
			t.Fatal(err)
		}
		everywhere(t, env, 2, broker.Suspended)
	})
	t.Run("a slow writer puts nothing old back", func(t *testing.T) {
		env := environment()
		must(t, put(env, 0, broker.Active))
		overtaken := faultproxy.Gate(func() {
			if err := put(env, 2, broker.Revoked); err != nil { // the first copy has version 2 already
				t.Error(err)
			}
		})
		proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Skip: 1, Times: 1, Effect: overtaken})
		must(t, put(env, 1, broker.Suspended))
		everywhere(t, env, 3, broker.Revoked)
	})
}

func testClaimsCost(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	claim := func() bool {
		won, err := s.ClaimFetch(t.Context(), env, "https://issuer", noon, noon.Add(-time.Minute))
		must(t, err)
		return won
	}
	if !claim() {
		t.Fatal("the first claim failed")
	}
	proxy.ResetCounts()
	for range 16 {
		if claim() {
			t.Fatal("a second claim succeeded")
		}
	}
	if writes, reads := proxy.Count("PutItem"), proxy.Count("GetItem"); writes != 0 || reads != 16 {
		t.Fatalf("16 lost claims cost %d writes and %d reads", writes, reads)
	}
}

func testClaimLost(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	left := proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Times: 1, Effect: faultproxy.DropAnswer()})
	won, err := s.ClaimFetch(t.Context(), env, "https://issuer", noon, noon.Add(-time.Minute))
	if err != nil || !won || left() != 0 {
		t.Fatalf("an applied claim whose answer was lost: %v, %v", won, err)
	}
}
