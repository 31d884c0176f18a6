package storesuite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testIndex(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"order, repetition and batches change nothing":             testIndexOrder,
		"an outcome or refusal outlasts the intent, whoever comes": testIndexPhases,
		"every question finds what was asked for and nothing else": testIndexFilters,
		"pages together are the whole list, each entry once":       testIndexPages,
		"a page of nothing still leads to the end":                 testIndexFarApart,
		"times are of the call, from included and to excluded":     testIndexTimes,
		"what no page ended with is refused":                       testIndexAfter,
		"nobody finds what is of another environment":              testIndexApart,
		"records that cannot be indexed are refused, all of them":  testIndexRefused,
		"records whose answer was lost may be given again":         testIndexLost,
		"an index that cannot be asked says nothing":               testIndexUnavailable,
		"a receipt is read from the log itself":                    testReceipt,
		"only a call that read a secret was seen":                  testSeen,
		"first and last are the first and the last":                testSeenTimes,
		"pages of who was seen are complete":                       testSeenPages,
		"a binding's usage is its newest call and newest good one": testUsages,
		"the newest version is the one first seen last":            testRotations,
		"the lag is that of the newest record":                     testLag,
	})
}

// calls makes up the records of n calls: people, agents, servers, bindings and
// secrets by chance, over two months, most with intent and outcome.
func (b *bench) calls(n int) []broker.Record {
	random := rand.New(rand.NewPCG(uint64(n), 1)) //nolint:gosec // calls of a test
	var records []broker.Record
	for i := range n {
		at := b.clock.Now().Add(-time.Duration(random.IntN(60*24)) * time.Hour)
		r := b.recordAt(at, random)
		r.Principal = fmt.Sprint("p-", random.IntN(4))
		r.Agent = []string{"", "a-1", "a-2"}[random.IntN(3)]
		r.Server = []string{"github", "jira"}[random.IntN(2)]
		r.RequestID = fmt.Sprint("request-", random.IntN(3*n))
		if i%3 == 0 {
			r.Shadow = &broker.Shadowed{Set: "tried", Effect: broker.WouldForbid}
		}
		if random.IntN(5) == 0 {
			r.Phase, r.Reason, r.Status = broker.Refused, broker.NoBinding, 403
			records = append(records, r)
			continue
		}
		r.Binding, r.BindingVersion = []string{"team", "own"}[random.IntN(2)], 3
		secret := fmt.Sprintf("aws-sm:%s/%d", r.Server, random.IntN(2))
		r.References = []string{"token=" + secret + "#token", "user=" + secret + "#user"}
		intent := r
		intent.Phase = broker.Intent
		records = append(records, intent)
		if random.IntN(9) == 0 {
			continue
		}
		r.Phase, r.At, r.Status = broker.Outcome, r.At.Add(time.Second), 200
		if random.IntN(4) > 0 {
			r.Accesses = []broker.Access{{Reference: secret, Version: fmt.Sprint("v", random.IntN(3))}}
		} else {
			r.Reason, r.Status = broker.StoreUnavailable, 502
		}
		records = append(records, r)
	}
	return records
}

func (b *bench) recordAt(at time.Time, random *rand.Rand) broker.Record {
	receipt := broker.FirstReceipt(at)
	for len(receipt) < 26 {
		receipt += string("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[random.IntN(32)])
	}
	return broker.Record{Schema: broker.RecordSchema, Receipt: receipt, Nonce: "n", Phase: broker.Intent, At: at.UTC(), Environment: b.environment,
		Principal: "p-0", Kind: broker.User, Method: "tools/call", Action: broker.CallTool, Target: "create", Policy: "none"}
}

// recordOf is one of a call at a time.
func (b *bench) recordOf(at time.Time, phase broker.Phase) broker.Record {
	r := b.recordAt(at, rand.New(rand.NewPCG(uint64(at.UnixNano()), 2))) //nolint:gosec // calls of a test
	r.Phase, r.Server, r.Binding = phase, "github", "team"
	if phase == broker.Outcome {
		r.Accesses = []broker.Access{{Reference: "aws-sm:prod/github", Version: "v1"}}
	}
	return r
}

func (b *bench) index(records ...broker.Record) {
	b.Helper()
	b.must(b.Index.IndexRecords(b.Context(), records))
}

// always is a filter that holds for everything of the test.
func (b *bench) always() broker.AuditFilter {
	return broker.AuditFilter{Environment: b.environment, From: b.clock.Now().AddDate(0, -3, 0), To: b.clock.Now().AddDate(0, 0, 1)}
}

// all reads every page of a filter.
func (b *bench) all(f broker.AuditFilter, limit int) []broker.Entry {
	b.Helper()
	var entries []broker.Entry
	for after, pages := "", 0; ; pages++ {
		page, err := b.Evidence.Entries(b.Context(), f, after, limit)
		b.must(err)
		if len(page.Entries) > limit || pages > 1000 {
			b.Fatalf("%d entries on page %d", len(page.Entries), pages)
		}
		entries = append(entries, page.Entries...)
		if page.Next == "" {
			return entries
		}
		after = page.Next
	}
}

func (b *bench) allSeen(kind broker.SeenKind, id string, limit int) []broker.Seen {
	b.Helper()
	var seen []broker.Seen
	for after, pages := "", 0; ; pages++ {
		some, next, err := b.Evidence.SeenOf(b.Context(), b.environment, kind, id, after, limit)
		b.must(err)
		if len(some) > limit || pages > 1000 {
			b.Fatalf("%d on page %d", len(some), pages)
		}
		seen = append(seen, some...)
		if next == "" {
			return seen
		}
		after = next
	}
}

// answers is everything the index can be asked about calls.
func (b *bench) answers() map[string]any {
	b.Helper()
	said := map[string]any{}
	for _, f := range b.questions() {
		said[fmt.Sprint(f)] = b.all(f, broker.MaxPage)
	}
	ids := map[broker.SeenKind][]string{broker.SeenStore: {"aws-sm", "vault"}, broker.SeenPrincipal: {"p-0", "p-1", "p-2", "p-3"},
		broker.SeenAgent: {"a-1", "a-2"}, broker.SeenBinding: {"github/team", "github/own", "jira/team", "jira/own"},
		broker.SeenReference: {"aws-sm:github/0", "aws-sm:github/1", "aws-sm:jira/0", "aws-sm:jira/1"}}
	for kind, of := range ids {
		for _, id := range of {
			said[string(kind)+" "+id] = b.allSeen(kind, id, broker.MaxPage)
		}
	}
	usages, err := b.Evidence.Usages(b.Context(), b.environment, []broker.Binding{
		{Server: "github", Name: "team"}, {Server: "github", Name: "own"}, {Server: "jira", Name: "team"}, {Server: "jira", Name: "never"}})
	b.must(err)
	rotations, err := b.Evidence.SeenVersions(b.Context(), b.environment, ids[broker.SeenReference])
	b.must(err)
	lag, err := b.Evidence.Lag(b.Context(), b.environment)
	b.must(err)
	said["usages"], said["rotations"], said["newest"] = usages, rotations, lag.Newest
	return said
}

// questions are filters by each dimension, alone and together with others.
func (b *bench) questions() []broker.AuditFilter {
	var all []broker.AuditFilter
	reference, err := broker.ParseReference("aws-sm:github/1#another")
	b.must(err)
	for _, set := range []func(*broker.AuditFilter){
		func(*broker.AuditFilter) {},
		func(f *broker.AuditFilter) { f.Principal = "p-1" },
		func(f *broker.AuditFilter) { f.Principal, f.Server, f.Reason = "p-1", "jira", broker.NoBinding },
		func(f *broker.AuditFilter) { f.Agent = "a-1" },
		func(f *broker.AuditFilter) { f.Agent, f.Reference = "a-2", reference },
		func(f *broker.AuditFilter) { f.Server = "github" },
		func(f *broker.AuditFilter) { f.Server, f.Agent = "github", "a-1" },
		func(f *broker.AuditFilter) { f.Server, f.Binding = "github", "team" },
		func(f *broker.AuditFilter) { f.Server, f.Binding, f.Reason = "jira", "own", broker.StoreUnavailable },
		func(f *broker.AuditFilter) { f.Reference = reference },
		func(f *broker.AuditFilter) { f.RequestID = "request-7" },
		func(f *broker.AuditFilter) { f.Reason = broker.NoBinding },
		func(f *broker.AuditFilter) { f.Server, f.Shadow = "github", broker.WouldForbid },
		func(f *broker.AuditFilter) { f.Principal = "p-nobody" },
	} {
		f := b.always()
		set(&f)
		all = append(all, f)
	}
	return all
}

// testIndexOrder gives one backend the records once, and then, as another
// environment, many times: shuffled, repeated, in batches of all sizes, from
// several processes at once.
func testIndexOrder(b *bench) {
	records := b.calls(40)
	b.index(records...)
	want := b.answers()
	here := b.environment
	b.environment = b.other
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // an order
	var all sync.WaitGroup
	failed := make(chan error, 1000)
	for range 2 {
		again := slices.Concat(records, records[:len(records)/2])
		random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		for i := range again {
			again[i].Environment = b.other
		}
		size := 1 + random.IntN(20)
		all.Go(func() {
			for some := range slices.Chunk(again, size) {
				failed <- b.Index.IndexRecords(b.Context(), some)
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		b.must(err)
	}
	got := b.answers()
	for question, answer := range want {
		elsewhere := strings.ReplaceAll(question, here, b.other)
		if d := cmp.Diff(here2there(answer, b.other), got[elsewhere]); d != "" {
			b.Errorf("%s: %s", question, d)
		}
	}
}

// here2there is an answer as the other environment gives it.
func here2there(answer any, there string) any {
	entries, ok := answer.([]broker.Entry)
	if !ok {
		return answer
	}
	moved := slices.Clone(entries)
	for i := range moved {
		moved[i].Environment = there
	}
	return moved
}

func testIndexPhases(b *bench) {
	at := b.clock.Now()
	intent, outcome := b.recordOf(at, broker.Intent), b.recordOf(at, broker.Outcome)
	refused := b.recordOf(at, broker.Refused)
	refused.Reason = broker.PolicyForbids
	is := func(want broker.Record, order ...broker.Record) {
		b.Helper()
		for _, r := range order {
			b.index(r)
		}
		e, err := broker.EntryOf(want)
		b.must(err)
		for _, f := range []broker.AuditFilter{b.always(), {Environment: b.environment, From: at, To: at.Add(time.Hour), Server: "github", Binding: "team"}} {
			if d := cmp.Diff([]broker.Entry{e}, b.all(f, 10)); d != "" {
				b.Fatal(d)
			}
		}
	}
	is(intent, intent)
	is(outcome, outcome, intent, intent)
	is(refused, refused)
	is(refused, intent, outcome)
}

func testIndexRefused(b *bench) {
	good := b.recordOf(b.clock.Now(), broker.Outcome)
	for name, spoil := range map[string]func(*broker.Record){
		"no ULID":              func(r *broker.Record) { r.Receipt = "receipt-1" },
		"a ULID in lower case": func(r *broker.Record) { r.Receipt = strings.ToLower(r.Receipt) },
		"a time out of range":  func(r *broker.Record) { r.Receipt = "8" + r.Receipt[1:] },
		"no environment":       func(r *broker.Record) { r.Environment = "" },
		"an odd environment":   func(r *broker.Record) { r.Environment = b.environment + "/x" },
		"no phase":             func(r *broker.Record) { r.Phase = "" },
		"an unknown schema":    func(r *broker.Record) { r.Schema++ },
	} {
		bad := b.recordOf(b.clock.Now().Add(-time.Minute), broker.Outcome)
		spoil(&bad)
		if err := b.Index.IndexRecords(b.Context(), []broker.Record{good, bad}); !errors.Is(err, broker.ErrInvalid) {
			b.Errorf("%s: %v", name, err)
		}
	}
	if got := b.all(b.always(), 10); len(got) != 0 {
		b.Errorf("indexed: %+v", got)
	}
}
