//go:build e2e

package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

// today is the day of noon.
const today = 20513

func rollingKey(environment, text string) broker.RollingKey {
	return broker.RollingKey{Environment: environment, Day: today, Sealed: []byte(text)}
}

func add(s *dynamo.DB, k broker.RollingKey) error {
	_, err := s.AddRollingKey(context.Background(), k)
	return err
}

// take takes a place for a minute from noon on.
func take(s *dynamo.DB, q broker.Quota, holder string) error {
	_, ok, err := s.TakePlace(context.Background(), q, holder, noon, noon.Add(time.Minute))
	if err == nil && !ok {
		return errors.New("no place is free")
	}
	return err
}

// putRaw stores a row as a restore, another release or a hand could.
func putRaw(t *testing.T, c *dynamodb.Client, table string, r row) {
	t.Helper()
	_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: r})
	must(t, err)
}

func testRowsBeforeLimits(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	limits := broker.Limits{CallsPerMinute: 1, Streams: 2, RequestBytes: 3, AnswerBytes: 4}
	limited, agent := server(env), broker.Agent{Environment: env, ID: "okta:robot", State: broker.Active, Limits: limits}
	limited.Limits = limits
	must(t, s.PutServer(t.Context(), limited), s.PutAgent(t.Context(), agent))
	stripped := 0
	for _, r := range dump(t, c, tables.Catalogue, env) {
		if strings.HasPrefix(r["pk"].(*types.AttributeValueMemberS).Value, "servers/") {
			continue // the index has no limits
		}
		for _, name := range []string{"calls_per_minute", "streams", "request_bytes", "answer_bytes"} {
			if _, ok := r[name]; !ok {
				t.Fatalf("%s is missing", name)
			}
			bad := maps.Clone(r)
			bad[name] = number("-1")
			putRaw(t, c, tables.Catalogue, bad)
			_ = unread(t, s, env)
			delete(r, name)
			stripped++
		}
		putRaw(t, c, tables.Catalogue, r)
	}
	got, err := s.Snapshot(t.Context(), lookup(env))
	must(t, err)
	if stripped != 8 || got.Server == nil || got.Agent == nil || got.Server.Limits != (broker.Limits{}) || got.Agent.Limits != (broker.Limits{}) {
		t.Fatalf("%d attributes were taken away; read: %+v, %+v", stripped, got.Server, got.Agent)
	}
}

func testPagesOfTools(t *testing.T, e endpoint) {
	s, proxy, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	for i := range 5 {
		must(t, s.PutTool(t.Context(), broker.Tool{Environment: env, Server: "github", Name: fmt.Sprint("tool-", i), State: broker.Active}))
	}
	list := broker.Lookup{Route: route(env), Tools: true}
	cut := faultproxy.Rule{Operations: []string{"Query"}, Times: -1, Effect: faultproxy.CutPage(2)}
	proxy.Inject(cut)
	got, err := s.Snapshot(t.Context(), list)
	must(t, err)
	if len(got.Tools) != 5 {
		t.Fatalf("%d tools", len(got.Tools))
	}
	// Two queries of one page each go on beside the three pages of tools.
	for page := range 5 {
		proxy.Clear()
		proxy.Inject(faultproxy.Rule{Operations: []string{"Query"}, Skip: page, Times: -1, Effect: faultproxy.ServerError()})
		proxy.Inject(cut)
		if got, err := s.Snapshot(t.Context(), list); !errors.Is(err, broker.ErrUnavailable) || got.Tools != nil {
			t.Fatalf("page %d failed: %v beside %d tools", page, err, len(got.Tools))
		}
	}
	proxy.Clear()
	for _, r := range dump(t, c, tables.Catalogue, env) {
		bad := maps.Clone(r)
		bad["server"] = text("jira")
		putRaw(t, c, tables.Catalogue, bad)
		if got, err := s.Snapshot(t.Context(), list); err == nil || got.Tools != nil {
			t.Fatalf("a tool of another server was passed over: %v, %+v", err, got)
		}
		putRaw(t, c, tables.Catalogue, r)
	}
}

// testTransientRows alters rolling keys and places one attribute at a time.
// None may read as an absence: that would make a second key of the day, or a
// second holder of the place.
func testTransientRows(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	must(t, add(s, rollingKey(env, "first")), take(s, quota(env, 1), "r-1"))
	rows := dump(t, c, tables.Transient, env)
	if len(rows) != 2 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		for name, spoil := range map[string]func(row){
			"a later schema":      func(r row) { r["schema"] = number("2") },
			"no schema":           func(r row) { delete(r, "schema") },
			"another environment": func(r row) { r["environment"] = text("staging") },
			"another day":         func(r row) { swap(r, "day", number("20514")); swap(r, "number", number("1")) },
			"no key, no holder":   func(r row) { delete(r, "sealed"); delete(r, "holder") },
			"text, no end":        func(r row) { swap(r, "sealed", text("x")); delete(r, "until") },
			"an end unheard of":   func(r row) { swap(r, "sealed", number("1")); swap(r, "until", text("never")) },
		} {
			bad := maps.Clone(r)
			spoil(bad)
			putRaw(t, c, tables.Transient, bad)
			if isPlace := r["holder"] != nil; isPlace {
				if p, ok, err := s.TakePlace(t.Context(), quota(env, 1), "r-2", noon.Add(time.Hour), noon.Add(2*time.Hour)); ok || !errors.Is(err, broker.ErrUnavailable) {
					t.Fatalf("%s: %+v was given: %v", name, p, err)
				}
				continue
			}
			if k, err := s.LoadRollingKey(t.Context(), env, today); err == nil || errors.Is(err, broker.ErrNotFound) || k.Sealed != nil {
				t.Fatalf("%s: loaded %+v: %v", name, k, err)
			}
			if k, err := s.AddRollingKey(t.Context(), rollingKey(env, "second")); err == nil || k.Sealed != nil {
				t.Fatalf("%s: added %+v", name, k)
			}
		}
		putRaw(t, c, tables.Transient, r)
	}
	must(t, take(s, quota(env, 1), "r-1"), add(s, rollingKey(env, "second")))
}

// testExpiry holds every row to a time after which nobody asks about it, the
// slowest clock included, and soon enough for the table to stay small.
func testExpiry(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env := environment()
	_, err := s.CountCall(t.Context(), quota(env, 1), noon)
	must(t, err, add(s, rollingKey(env, "key")), take(s, quota(env, 1), "r-1"), begin(s, attempt(env, "r-1")),
		s.EndAttempt(t.Context(), ended(attempt(env, "r-1"))), s.AddHandle(t.Context(), handle(env)))
	rows := dump(t, client(e.url, patient), tables.Transient, env)
	if len(rows) != 5 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		needed := noon.Add(time.Minute)
		if pk := r["pk"].(*types.AttributeValueMemberS).Value; strings.HasPrefix(pk, "rolling-key/") {
			needed = time.Unix(today*24*60*60, 0).Add(broker.RollingKeyLife - broker.ClockSkew)
		} else if strings.HasPrefix(pk, "attempt/") {
			needed = noon.Add(broker.AttemptLife)
		} else if strings.HasPrefix(pk, "handle/") {
			needed = handle(env).Expires
		}
		expires, ok := r["expires"].(*types.AttributeValueMemberN)
		if !ok {
			t.Fatalf("no number to expire by: %+v", r)
		}
		seconds, err := strconv.ParseInt(expires.Value, 10, 64)
		must(t, err)
		if left := time.Unix(seconds, 0).Sub(needed); left < broker.ClockSkew || left > 2*time.Hour {
			t.Fatalf("expires %s after it is needed: %+v", left, r)
		}
	}
}

// testContendedPlaces has every free place taken by somebody else between the
// look and the put.
func testContendedPlaces(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	lost := faultproxy.Rule{Operations: []string{"PutItem"}, Times: -1, Effect: faultproxy.Fail(400, "ConditionalCheckFailedException")}
	proxy.Inject(lost)
	for limit, want := range map[int]int{1: 1, 5: 5, 1000: 8} {
		proxy.ResetCounts()
		p, ok, err := s.TakePlace(t.Context(), quota(environment(), limit), "r-1", noon, noon.Add(time.Minute))
		if n := proxy.Count("PutItem"); n != want || ok || p != (broker.Place{}) {
			t.Fatalf("of %d places %d were tried; %v: %+v", limit, n, ok, p)
		}
		if contended := limit > want; contended != (err != nil) || contended && !errors.Is(err, broker.ErrUnavailable) {
			t.Fatalf("of %d places: %v", limit, err)
		}
	}
}
