//go:build e2e

package dynamo_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
)

// used makes the outcomes of n calls, a second apart, at one binding.
func used(environment string, n int) []broker.Record {
	var records []broker.Record
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Second)
		records = append(records, broker.Record{Schema: broker.RecordSchema, Receipt: fmt.Sprintf("%s%016d", broker.FirstReceipt(at), i), Phase: broker.Outcome,
			Nonce: "n", At: at, Environment: environment, Server: "github", Binding: "team", Principal: "p-alice", Kind: broker.User, Status: 200,
			References: []string{"token=aws-sm:prod/github#token"}, Accesses: []broker.Access{{Reference: "aws-sm:prod/github", Version: "v1"}}})
	}
	return records
}

func atServer(environment string) broker.AuditFilter {
	return broker.AuditFilter{Environment: environment, From: noon, To: noon.Add(time.Hour), Server: "github"}
}

func testUnprocessedEntries(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	puts := []string{"BatchWriteItem"}
	for name, effect := range map[string]faultproxy.Effect{
		"all but one at first": faultproxy.UnprocessedPuts(1), "all at first": faultproxy.UnprocessedPuts(0), "throttled at first": faultproxy.Throttle(),
	} {
		t.Run(name, func(t *testing.T) {
			env := environment()
			proxy.Clear()
			proxy.Inject(faultproxy.Rule{Operations: puts, Times: 2, Effect: effect})
			must(t, s.IndexRecords(t.Context(), used(env, 20)))
			page, err := s.Entries(t.Context(), atServer(env), "", 50)
			must(t, err)
			if len(page.Entries) != 20 {
				t.Errorf("%d entries", len(page.Entries))
			}
		})
	}
	proxy.Clear()
	proxy.Inject(faultproxy.Rule{Operations: puts, Times: -1, Effect: faultproxy.UnprocessedPuts(0)})
	if err := s.IndexRecords(t.Context(), used(environment(), 1)); !errors.Is(err, broker.ErrUnavailable) {
		t.Error(err)
	}
}

// testIndexTrips: a batch costs few requests, the same batch again moves no mark,
// and a page costs one query for each shard.
func testIndexTrips(t *testing.T, e endpoint) {
	s, proxy, _ := e.behind(t, at(noon))
	env := environment()
	records := used(env, 100)
	count := func(what string, want map[string]int, do func() error) {
		t.Helper()
		proxy.ResetCounts()
		must(t, do())
		got := map[string]int{}
		for _, op := range []string{"BatchWriteItem", "BatchGetItem", "UpdateItem", "Query", "GetItem", "PutItem", "Scan"} {
			if n := proxy.Count(op); n > 0 {
				got[op] = n
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	// time, principal, server, binding and reference: 500 entries. Sightings by
	// reference, store, binding and principal, one version, one usage, the lag.
	count("indexing", map[string]int{"BatchWriteItem": 20, "BatchGetItem": 2, "UpdateItem": 7}, func() error { return s.IndexRecords(t.Context(), records) })
	count("again", map[string]int{"BatchWriteItem": 20, "BatchGetItem": 2}, func() error { return s.IndexRecords(t.Context(), records) })
	count("a page", map[string]int{"Query": 4}, func() error {
		_, err := s.Entries(t.Context(), atServer(env), "", 20)
		return err
	})
	alone := broker.AuditFilter{Environment: env, From: noon, To: noon.Add(time.Hour), Principal: "p-alice"}
	count("a person's page", map[string]int{"Query": 1}, func() error {
		_, err := s.Entries(t.Context(), alone, "", 20)
		return err
	})
	far := alone
	far.From, far.Principal = noon.AddDate(-50, 0, 0), "p-nobody"
	count("fifty years of nothing", map[string]int{"Query": 48}, func() error {
		_, err := s.Entries(t.Context(), far, "", 20)
		return err
	})
}

// testContendedMarks: many writers of one row, and the marks end where they must.
func testContendedMarks(t *testing.T, e endpoint) {
	s, _, _ := e.behind(t, at(noon))
	env := environment()
	records := used(env, 24)
	var all sync.WaitGroup
	for some := range slices.Chunk(records, 3) {
		all.Go(func() {
			for { // as the stream brings them again
				if err := s.IndexRecords(t.Context(), some); !errors.Is(err, broker.ErrUnavailable) {
					if err != nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	all.Wait()
	seen, _, err := s.SeenOf(t.Context(), env, broker.SeenBinding, "github/team", "", 10)
	must(t, err)
	want := []broker.Seen{{Principal: "p-alice", Server: "github", Binding: "team", First: noon, Last: noon.Add(23 * time.Second)}}
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
}

// testUndecodableIndex alters every row of an index and moves it elsewhere:
// neither is read as an absence or as something else.
func testUndecodableIndex(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	must(t, s.IndexRecords(t.Context(), used(env, 1)))
	ask := func(env string) error {
		f := atServer(env)
		var errs []error
		for _, set := range []func(){func() {}, func() { f.Binding = "team" }, func() { f.Principal = "p-alice" }, func() { f.Server, f.Binding, f.Principal = "", "", "" },
			func() { f.Reference, _ = broker.ParseReference("aws-sm:prod/github") }} {
			set()
			page, err := s.Entries(t.Context(), f, "", 10)
			if err == nil && len(page.Entries) != 1 {
				t.Errorf("%v: %d entries without a word", f, len(page.Entries))
			}
			errs = append(errs, err)
		}
		for kind, id := range map[broker.SeenKind]string{broker.SeenReference: "aws-sm:prod/github", broker.SeenStore: "aws-sm", broker.SeenBinding: "github/team", broker.SeenPrincipal: "p-alice"} {
			_, _, err := s.SeenOf(t.Context(), env, kind, id, "", 10)
			errs = append(errs, err)
		}
		_, usages := s.Usages(t.Context(), env, []broker.Binding{{Server: "github", Name: "team"}})
		_, rotations := s.SeenVersions(t.Context(), env, []string{"aws-sm:prod/github"})
		_, lag := s.Lag(t.Context(), env)
		return errors.Join(append(errs, usages, rotations, lag)...)
	}
	must(t, ask(env))
	put := func(r row) {
		t.Helper()
		_, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(tables.AuditIndex), Item: r})
		must(t, err)
	}
	rows := dump(t, c, tables.AuditIndex, env)
	if len(rows) != 12 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, r := range rows {
		name := r["pk"].(*types.AttributeValueMemberS).Value
		for attribute, value := range map[string]types.AttributeValue{"schema": &types.AttributeValueMemberN{Value: "2"},
			"receipt": text("no receipt"), "first": text("soon"), "last": text("then"), "since": text(""), "newest": text("now"), "principal": text("p-mallory")} {
			if _, has := r[attribute]; !has || attribute == "principal" && strings.HasPrefix(name, "entries/") && !strings.Contains(name, "/principal/") {
				continue
			}
			spoilt := maps.Clone(r)
			spoilt[attribute] = value
			put(spoilt)
			if err := ask(env); err == nil {
				t.Errorf("%s: another %s was read without a word", name, attribute)
			}
		}
		put(r)
	}
	must(t, ask(env))
}
