//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

type row = map[string]types.AttributeValue

func text(s string) types.AttributeValue   { return &types.AttributeValueMemberS{Value: s} }
func number(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// swap replaces an attribute that is there.
func swap(r row, name string, v types.AttributeValue) {
	if _, ok := r[name]; ok {
		r[name] = v
	}
}

// dump reads every row of a table whose pk or sk mentions the environment.
func dump(t *testing.T, c *dynamodb.Client, table, env string) []row {
	t.Helper()
	var rows []row
	for pages := dynamodb.NewScanPaginator(c, &dynamodb.ScanInput{TableName: aws.String(table)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, r := range page.Items {
			if strings.Contains(r["pk"].(*types.AttributeValueMemberS).Value, env) {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// testUndecodableRows alters stored rows one attribute at a time, as a restore,
// another release or a hand in the console could. None may read as an absence
// or as something else.
func testUndecodableRows(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, time.Now)
	env := environment()
	inhabit(t, s, env)
	s = s.ReadShard(3)
	c := client(e.url, patient)
	put := func(table string, r row) {
		t.Helper()
		_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: r})
		must(t, err)
	}
	spoilt := 0
	for _, table := range []string{tables.Catalogue, tables.Revocations} {
		for _, r := range dump(t, c, table, env) {
			pk := r["pk"].(*types.AttributeValueMemberS).Value
			if strings.HasPrefix(pk, "history/") || strings.HasPrefix(pk, "servers/") || strings.Contains(pk, "#") && !strings.HasSuffix(pk, "#3") {
				continue // not what this decision reads
			}
			for name, spoil := range map[string]func(row){
				"a later schema":      func(r row) { r["schema"] = number("2") },
				"no schema":           func(r row) { delete(r, "schema") },
				"another environment": func(r row) { r["environment"] = text("staging") },
				"no environment":      func(r row) { delete(r, "environment") },
				"numbers as text":     func(r row) { swap(r, "version", text("1")); swap(r, "epoch", text("1")) },
				"no numbers":          func(r row) { delete(r, "version"); delete(r, "epoch") },
				"no states":           func(r row) { delete(r, "state"); delete(r, "revoked") },
				"a state unheard of":  func(r row) { swap(r, "state", text("alive")); swap(r, "revoked", text("no")) },
			} {
				bad := maps.Clone(r)
				spoil(bad)
				put(table, bad)
				if err := unread(t, s, env); strings.Contains(err.Error(), "staging") {
					t.Fatalf("%s of %s: the error repeats what was read: %v", name, pk, err)
				}
				spoilt++
			}
			put(table, r)
			whole(t, s, env)
		}
	}
	if spoilt < 14*8 {
		t.Fatalf("only %d rows were spoilt", spoilt)
	}
	for name, extra := range map[string]row{
		"a row of an unknown kind":  {"pk": text("server/" + env + "/github"), "sk": text("policy/1"), "schema": number("1")},
		"a reference as it is none": personalRow(env, env, "card", "token-pasted-here"),
		"a card of staging":         personalRow(env, "staging", "card", "aws-sm:x#y"),
		"a name that is not its sk": personalRow(env, env, "other", "aws-sm:x#y"),
	} {
		put(tables.Catalogue, extra)
		if err := unread(t, s, env); strings.Contains(err.Error(), "pasted") {
			t.Fatalf("%s: the error repeats what was read: %v", name, err)
		}
		_, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(tables.Catalogue), Key: row{"pk": extra["pk"], "sk": extra["sk"]}})
		must(t, err)
		whole(t, s, env)
	}
}

// personalRow stands at the place of alice's binding "card" in an environment,
// and says something of its own.
func personalRow(place, env, name, reference string) row {
	return row{
		"pk": text("personal/" + place + "/github/p-alice"), "sk": text("binding/card"), "schema": number("1"),
		"environment": text(env), "server": text("github"), "name": text(name), "version": number("1"), "state": text("active"),
		"actor_principal": text("p-alice"), "priority": number("0"), "mode": text("service_account"), "source": text("static"), "expires": text(""),
		"fields": &types.AttributeValueMemberL{Value: []types.AttributeValue{
			&types.AttributeValueMemberM{Value: row{"name": text("token"), "reference": text(reference)}}}},
	}
}

// references are the keys of so many markers.
func references(n int) (keys []broker.MarkerKey) {
	for i := range n {
		keys = append(keys, broker.MarkerKey{Kind: broker.ReferenceMarker, ID: fmt.Sprint("aws-sm:prod/", i)})
	}
	return keys
}

// testTrips holds each operation to its number of requests, and a decision's
// reads to one step: none is answered before all have been asked.
func testTrips(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	inhabit(t, s, env)
	must(t, begin(s, attempt(env, "r-1")))
	for name, trip := range map[string]struct {
		requests int
		call     func() error
	}{
		"Latest":           {1, func() error { _, _ = s.Latest(t.Context(), env, "none"); return nil }},
		"LoadKeys":         {1, func() error { _, _ = s.LoadKeys(t.Context(), env, "none"); return nil }},
		"Append":           {1, func() error { return s.Append(t.Context(), record(env, "nonce")) }},
		"PutMarker":        {1, func() error { return s.PutMarker(t.Context(), marker(env, broker.PrincipalMarker, "p-bob")) }},
		"PutMarker of all": {dynamo.Shards, func() error { return s.PutMarker(t.Context(), marker(env, broker.EverythingMarker, env)) }},
		"Markers":          {1, func() error { _, err := s.Markers(t.Context(), env, references(99)); return err }},
		"Markers of many":  {6, func() error { _, err := s.Markers(t.Context(), env, references(broker.MaxMarkers)); return err }},
		"Markers of none":  {0, func() error { _, err := s.Markers(t.Context(), env, nil); return err }},
		"LoadRollingKey":   {1, func() error { _, _ = s.LoadRollingKey(t.Context(), env, 1); return nil }},
		"AddRollingKey":    {1, func() error { return add(s, rollingKey(env, "first")) }},
		"CountCall":        {1, func() error { _, err := s.CountCall(t.Context(), quota(env, 1), noon); return err }},
		"TakePlace":        {2, func() error { return take(s, quota(env, 20), "r-1") }},
		"FreePlace":        {1, func() error { return s.FreePlace(t.Context(), broker.Place{Quota: quota(env, 1), Holder: "nobody"}) }},
		"PutBinding":       {2, func() error { return s.PutBinding(t.Context(), binding(env, "card", broker.Actor{Anyone: true})) }},
		"PutServer":        {2, func() error { v := server(env); v.Version = 1; return s.PutServer(t.Context(), v) }},
		"Server":           {1, func() error { _, err := s.Server(t.Context(), route(env)); return err }},
		"Binding":          {2, func() error { _, err := s.Binding(t.Context(), route(env), "personal-0"); return err }},
		"Servers":          {2, func() error { _, err := s.Servers(t.Context(), env, fullPage); return err }},
		"Bindings":         {2, func() error { _, err := s.Bindings(t.Context(), route(env), fullPage); return err }},
		"Agents":           {1, func() error { _, err := s.Agents(t.Context(), env, fullPage); return err }},
		"Tools":            {1, func() error { _, err := s.Tools(t.Context(), route(env), fullPage); return err }},
		"BeginAttempt":     {1, func() error { return begin(s, attempt(env, "r-2")) }},
		"EndAttempt":       {1, func() error { return s.EndAttempt(t.Context(), ended(attempt(env, "r-1"))) }},
		"BindingVersion":   {1, func() error { _, err := s.BindingVersion(t.Context(), route(env), "shared-0", 1); return err }},
	} {
		proxy.ResetCounts()
		must(t, trip.call())
		if n := proxy.Count(""); n != trip.requests {
			t.Fatalf("%s costs %d requests, want %d", name, n, trip.requests)
		}
	}
	list := lookup(env)
	list.Tools, list.Session = true, "digest"
	for queries, l := range map[int]broker.Lookup{5: lookup(env), 6: list} {
		proxy.ResetCounts()
		var arrived sync.WaitGroup
		arrived.Add(queries + 1)
		proxy.Inject(faultproxy.Rule{Times: queries + 1, Effect: faultproxy.Gate(func() { arrived.Done(); arrived.Wait() })})
		got, err := s.Snapshot(t.Context(), l)
		must(t, err)
		if n, batches, all := proxy.Count("Query"), proxy.Count("BatchGetItem"), proxy.Count(""); n != queries || batches != 1 || all != queries+1 {
			t.Fatalf("a decision's reads are %d queries and %d batches of %d requests", n, batches, all)
		}
		if len(got.Shared) != 4 || len(got.Tools) != queries-5 {
			t.Fatalf("%d shared bindings and %d tools", len(got.Shared), len(got.Tools))
		}
	}
}

// testCostOfDecision holds a decision to the same requests however many other
// people have bindings of their own.
func testCostOfDecision(t *testing.T, e endpoint) {
	s, proxy, tables := e.behind(t, at(noon))
	env := environment()
	inhabit(t, s, env)
	for _, people := range []int{0, 10, 1000} {
		seed(t, client(e.url, patient), tables, env, people)
		proxy.ResetCounts()
		whole(t, s, env)
		if n := proxy.Count(""); n != 6 {
			t.Fatalf("with %d other people a decision costs %d requests", people, n)
		}
	}
}

func testAuditReader(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env := environment()
	want := record(env, "nonce")
	must(t, s.Append(t.Context(), want))
	got, err := s.Receipt(t.Context(), env)
	must(t, err)
	if !reflect.DeepEqual(got, []broker.Record{want}) {
		t.Fatalf("read back: %+v", got)
	}
	rows := dump(t, client(e.url, patient), tables.Audit, env)
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	other := want
	other.Phase = broker.Outcome
	must(t, s.Append(t.Context(), other))
	rows[0]["sequence"] = text("1")
	_, err = client(e.url, patient).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(tables.Audit), Item: rows[0]})
	must(t, err)
	got, err = s.Receipt(t.Context(), env)
	if broker.Unread(err) != 1 || !errors.Is(err, broker.ErrUndecodable) {
		t.Fatalf("an altered record was read without a word: %v", err)
	}
	if !reflect.DeepEqual(got, []broker.Record{other}) {
		t.Fatalf("beside it: %+v", got)
	}
}
