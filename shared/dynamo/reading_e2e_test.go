//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/dynamo"
)

func named(environment, name string) broker.Server {
	v := server(environment)
	v.Name = name
	return v
}

// listed gives the names of all servers, read in pages of one length.
func listed(t *testing.T, s *dynamo.DB, env string, length int) []string {
	t.Helper()
	var names []string
	for p := (broker.Page{Limit: length}); ; {
		servers, err := s.Servers(t.Context(), env, p)
		must(t, err)
		for _, v := range servers {
			names = append(names, v.Name)
		}
		if len(servers) < length {
			return names
		}
		p.After = names[len(names)-1]
	}
}

func deleteRow(t *testing.T, c *dynamodb.Client, table, pk, sk string) {
	t.Helper()
	out, err := c.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(table), Key: row{"pk": text(pk), "sk": text(sk)},
		ReturnValues: types.ReturnValueAllOld})
	must(t, err)
	if len(out.Attributes) == 0 {
		t.Fatalf("there was no row %s %s", pk, sk)
	}
}

// testIndex has writers die between the index and the server, and servers from
// before there was an index.
func testIndex(t *testing.T, e endpoint) {
	s, proxy, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	var want []string
	for i := range 12 {
		name := fmt.Sprintf("s-%02d", i)
		if i%4 == 0 {
			must(t, s.PutServer(t.Context(), named(env, name)))
			want = append(want, name)
			continue
		}
		proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Skip: 1, Times: 1, Effect: faultproxy.Fail(400, "AccessDeniedException")})
		if err := s.PutServer(t.Context(), named(env, name)); !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	for _, length := range []int{1, 2, 3, 4, broker.MaxPage} {
		if got := listed(t, s, env, length); !slices.Equal(got, want) {
			t.Fatalf("in pages of %d: %q", length, got)
		}
	}
	must(t, s.PutServer(t.Context(), named(env, "s-01"))) // repeated
	if got := listed(t, s, env, 2); !slices.Equal(got, slices.Insert(slices.Clone(want), 1, "s-01")) {
		t.Fatalf("after the Put was repeated: %q", got)
	}
	deleteRow(t, c, tables.Catalogue, "servers/"+env, "name/s-04")
	if got := listed(t, s, env, 2); slices.Contains(got, "s-04") {
		t.Fatalf("without its entry: %q", got)
	}
	next := named(env, "s-04")
	next.Version = 1
	must(t, s.PutServer(t.Context(), next))
	if got := listed(t, s, env, 2); !slices.Contains(got, "s-04") {
		t.Fatalf("after its next version: %q", got)
	}
	proxy.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Times: 1, Effect: faultproxy.Fail(400, "AccessDeniedException")})
	if err := s.PutServer(t.Context(), named(env, "unlisted")); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := s.Server(t.Context(), broker.Route{Environment: env, Server: "unlisted"}); !errors.Is(err, broker.ErrNotFound) {
		t.Fatalf("a server that could not be listed was stored: %v", err)
	}
}

// testPagesOfServers has answers cut, keys left unprocessed, and one read after
// the other fail.
func testPagesOfServers(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	const all = 120 // more than a batch may ask for
	for i := range all {
		must(t, s.PutServer(t.Context(), named(env, fmt.Sprintf("s-%03d", i))))
	}
	proxy.ResetCounts()
	if got := listed(t, s, env, broker.MaxPage); len(got) != all || !slices.IsSorted(got) {
		t.Fatalf("%d servers: %q", len(got), got)
	}
	if queries, batches := proxy.Count("Query"), proxy.Count("BatchGetItem"); queries != 1 || batches != 2 {
		t.Fatalf("%d queries and %d batches", queries, batches)
	}
	cut := faultproxy.Rule{Operations: []string{"Query"}, Times: -1, Effect: faultproxy.CutPage(50)}
	proxy.Inject(cut)
	proxy.Inject(faultproxy.Rule{Operations: []string{"BatchGetItem"}, Times: 2, Effect: faultproxy.Unprocessed(1)})
	if got := listed(t, s, env, broker.MaxPage); len(got) != all {
		t.Fatalf("%d servers from short answers", len(got))
	}
	for _, operation := range []string{"Query", "BatchGetItem"} {
		for answered := range 2 {
			proxy.Clear()
			proxy.Inject(faultproxy.Rule{Operations: []string{operation}, Skip: answered, Times: -1, Effect: faultproxy.ServerError()})
			proxy.Inject(cut)
			if got, err := s.Servers(t.Context(), env, fullPage); !errors.Is(err, broker.ErrUnavailable) || got != nil {
				t.Fatalf("%s failed after %d: %v beside %d servers", operation, answered, err, len(got))
			}
		}
	}
}

// testMovingBindings moves a binding between the read of its head and that of
// its row, once and again and without end.
func testMovingBindings(t *testing.T, e endpoint) {
	s, proxy, tables := e.behind(t, at(noon))
	env, ctx, version := environment(), t.Context(), int64(0)
	move := func() {
		b := binding(env, "card", broker.Actor{Principal: fmt.Sprint("p-", version)})
		b.Version = version
		if err := dynamo.New(client(e.url, patient), tables, at(noon)).PutBinding(ctx, b); err != nil {
			t.Error(err)
		}
		version++
	}
	must(t, s.PutBinding(ctx, binding(env, "before", broker.Actor{Anyone: true})), s.PutBinding(ctx, binding(env, "zone", broker.Actor{Principal: "p-0"})))
	move()
	for name, moves := range map[string]map[string]int{
		"listed":                {"BatchGetItem": 1},
		"listed, then followed": {"BatchGetItem": 1, "GetItem": 2},
		"followed":              {"GetItem": 3},
	} {
		// Of the reads of a binding by itself every second one is of a head.
		for operation, times := range moves {
			proxy.Inject(faultproxy.Rule{Operations: []string{operation}, Times: times, Effect: faultproxy.Gate(move)})
		}
		list, err := s.Bindings(ctx, route(env), fullPage)
		must(t, err)
		if len(list) != 3 || list[0].Name != "before" || list[1].Name != "card" || list[2].Name != "zone" {
			t.Fatalf("%s: %+v", name, list)
		}
		b, err := s.Binding(ctx, route(env), "card")
		must(t, err)
		if b.Version != version {
			t.Fatalf("%s: version %d of %d was read", name, b.Version, version)
		}
		proxy.Clear()
	}
	proxy.Inject(faultproxy.Rule{Operations: []string{"GetItem"}, Times: -1, Effect: faultproxy.Gate(move)})
	if b, err := s.Binding(ctx, route(env), "card"); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatalf("a binding that moves without end: %v, %+v", err, b)
	}
	proxy.Clear()
	deleteRow(t, client(e.url, patient), tables.Catalogue, fmt.Sprintf("personal/%s/github/p-%d", env, version-1), "binding/card")
	if _, err := s.Binding(ctx, route(env), "card"); err == nil || errors.Is(err, broker.ErrNotFound) {
		t.Fatalf("a head without its row: %v", err)
	}
	if list, err := s.Bindings(ctx, route(env), fullPage); err == nil || errors.Is(err, broker.ErrNotFound) || list != nil {
		t.Fatalf("a head without its row: %v, %+v", err, list)
	}
}

// testUndecodableLists alters one row after the other: each has its list and
// its single read fail, and no other row's.
func testUndecodableLists(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	inhabit(t, s, env)
	must(t, s.PutStore(t.Context(), broker.Store{Environment: env, Name: "aws-sm", Kind: "awssm", Paths: broker.Scope{"*"}, State: broker.Active}))
	read := func() string {
		var failed []string
		note := func(what string, err error) {
			if errors.Is(err, broker.ErrNotFound) {
				t.Fatalf("%s reads as an absence: %v", what, err)
			}
			if err != nil {
				failed = append(failed, what)
			}
		}
		ctx, r := t.Context(), route(env)
		_, err := s.Environment(ctx, env)
		note("environment", err)
		_, err = s.Stores(ctx, env, fullPage)
		note("stores", err)
		_, err = s.Store(ctx, env, "aws-sm")
		note("store", err)
		_, err = s.Servers(ctx, env, fullPage)
		note("servers", err)
		_, err = s.Server(ctx, r)
		note("server", err)
		_, err = s.Agents(ctx, env, fullPage)
		note("agents", err)
		_, err = s.Agent(ctx, env, "okta:robot")
		note("agent", err)
		_, err = s.Tools(ctx, r, fullPage)
		note("tools", err)
		_, err = s.Tool(ctx, r, "create")
		note("tool", err)
		_, err = s.Bindings(ctx, r, fullPage)
		note("bindings", err)
		_, err = s.Binding(ctx, r, "personal-1")
		note("binding", err)
		return strings.Join(failed, " ")
	}
	if failed := read(); failed != "" {
		t.Fatal(failed)
	}
	want := map[string]string{"env/state": "environment", "env/store": "stores store", "servers/name": "servers", "server/server": "servers server",
		"agent/id": "agents agent", "tool/name": "tools tool", "history/head": "bindings", "server/binding": "bindings", "personal/binding": "bindings"}
	spoilt := map[string]bool{}
	for _, r := range dump(t, c, tables.Catalogue, env) {
		pk, sk := r["pk"].(*types.AttributeValueMemberS).Value, r["sk"].(*types.AttributeValueMemberS).Value
		kind, _, _ := strings.Cut(pk, "/")
		what, rest, _ := strings.Cut(sk, "/")
		expected, read1 := want[kind+"/"+what], kind != "env" || strings.HasSuffix(pk, "#0")
		switch {
		case kind == "history" && what == "version" || !read1:
			expected = ""
		case expected == "":
			t.Fatalf("no reader of %s %s is known here", pk, sk)
		case rest == "personal-1":
			expected = "bindings binding"
		}
		for name, spoil := range map[string]func(row){
			"a later schema":      func(r row) { r["schema"] = number("2") },
			"another environment": func(r row) { r["environment"] = text("staging") },
			"no environment":      func(r row) { delete(r, "environment") },
		} {
			bad := maps.Clone(r)
			spoil(bad)
			putRaw(t, c, tables.Catalogue, bad)
			if failed := read(); failed != expected {
				t.Fatalf("%s in %s %s: %q failed, want %q", name, pk, sk, failed, expected)
			}
		}
		putRaw(t, c, tables.Catalogue, r)
		spoilt[expected] = true
	}
	if len(spoilt) != 9 { // each of the above, and nothing
		t.Fatalf("spoilt: %v", spoilt)
	}
}
