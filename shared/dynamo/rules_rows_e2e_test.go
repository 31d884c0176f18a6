//go:build e2e

package dynamo_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

// testRowsBeforePolicies reads rows that were stored before there were policies.
func testRowsBeforePolicies(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	proposed := server(env)
	proposed.Proposer = "p-proposer"
	must(t, s.PutServer(t.Context(), proposed),
		s.PutEnvironment(t.Context(), broker.Environment{Name: env, State: broker.Active, Policies: policySet(env).ID, Shadow: strings.Repeat("1", 64)}))
	stripped := 0
	for _, r := range dump(t, c, tables.Catalogue, env) {
		for _, name := range []string{"policies", "shadow", "proposer"} {
			if _, ok := r[name]; ok {
				delete(r, name)
				stripped++
			}
		}
		putRaw(t, c, tables.Catalogue, r)
	}
	if stripped != 2*dynamo.Shards+1 {
		t.Fatalf("%d attributes were taken away", stripped)
	}
	got, err := s.Server(t.Context(), route(env))
	must(t, err)
	environment, err := s.Environment(t.Context(), env)
	must(t, err)
	if got.Proposer != "" || environment != (broker.Environment{Name: env, Version: 1, State: broker.Active}) {
		t.Fatalf("read: %+v, %+v", got, environment)
	}
}

// testUndecodableRules alters one row after the other: each has its reads fail,
// and no other row's, and none reads as an absence.
func testUndecodableRules(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	ruled(t, s, env)
	read := func() string {
		var failed []string
		note := func(what string, err error) {
			if errors.Is(err, broker.ErrNotFound) || err != nil && strings.Contains(err.Error(), "staging") {
				t.Fatalf("%s: %v", what, err)
			}
			if err != nil {
				failed = append(failed, what)
			}
		}
		ctx := t.Context()
		_, err := s.PolicySet(ctx, env, policySet(env).ID)
		note("set", err)
		_, err = s.PolicySetNames(ctx, env, fullPage)
		note("sets", err)
		_, err = s.Assignment(ctx, env, "git")
		note("assignment", err)
		_, err = s.Assignments(ctx, env, fullPage)
		note("assignments", err)
		_, _, err = s.UsesOfStore(ctx, env, "aws-sm", "", 1)
		note("uses", err)
		_, _, err = s.UsesOfReference(ctx, env, reference("aws-sm:a"), "", 1)
		note("uses", err)
		_, err = s.SealedNames(ctx, env, fullPage)
		note("names", err)
		return strings.Join(failed, " ")
	}
	readers := map[string]string{"policies/set": "set", "policies/name": "sets", "assignment/name": "assignment assignments",
		"uses/use": "uses uses", "sealed-names/id": "names"}
	for _, table := range []string{tables.Catalogue, tables.Grants} {
		for _, r := range dump(t, c, table, env) {
			kind, _, _ := strings.Cut(r["pk"].(*types.AttributeValueMemberS).Value, "/")
			what, _, _ := strings.Cut(r["sk"].(*types.AttributeValueMemberS).Value, "/")
			expected, mine := readers[kind+"/"+what]
			if !mine {
				continue
			}
			delete(readers, kind+"/"+what)
			for name, spoil := range map[string]func(row){
				"a later schema":      func(r row) { r["schema"] = number("2") },
				"no schema":           func(r row) { delete(r, "schema") },
				"another environment": func(r row) { r["environment"] = text("staging") },
				"another id": func(r row) {
					swap(r, "id", text(strings.Repeat("a", 64)))
					swap(r, "name", text("a"))
					swap(r, "binding", text("a"))
				},
				"texts as numbers": func(r row) { r["environment"] = number("1") },
				"another reference": func(r row) {
					swap(r, "reference", text("aws-sm:staging"))
					swap(r, "at", text("staging"))
					swap(r, "state", text("staging"))
					swap(r, "id", text(""))
				},
			} {
				bad := maps.Clone(r)
				spoil(bad)
				putRaw(t, c, table, bad)
				if failed := read(); failed != expected {
					t.Fatalf("%s of %s/%s: %q failed, want %q", name, kind, what, failed, expected)
				}
			}
			putRaw(t, c, table, r)
			if failed := read(); failed != "" {
				t.Fatal(failed)
			}
		}
	}
	if len(readers) != 0 {
		t.Fatalf("not spoilt: %v", readers)
	}
}

// testLaterRows has a release that knows only this schema leave a later one's
// rows as they are.
func testLaterRows(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	must(t, s.PutBinding(t.Context(), using(env, "card", "aws-sm:a#b")))
	for _, r := range dump(t, c, tables.Catalogue, env) {
		if strings.HasPrefix(r["pk"].(*types.AttributeValueMemberS).Value, "uses/") {
			r["schema"] = number("2")
			putRaw(t, c, tables.Catalogue, r)
		}
	}
	next := using(env, "card", "aws-sm:a#b")
	next.Version = 1
	if err := s.PutBinding(t.Context(), next); !errors.Is(err, broker.ErrConflict) {
		t.Fatalf("a later row was replaced: %v", err)
	}
}
