package storesuite

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testPolicySets(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a set comes back whole, the longest too":             testSetWhole,
		"whoever was first stays its author":                  testSetFirst,
		"sixteen who add one set all succeed":                 testSetRace,
		"an added set whose answer was lost is recognised":    testSetLost,
		"sets are listed without what they say":               testSetNames,
		"a set is of one environment":                         testSetApart,
		"sets that could not be named or read are refused":    testSetRefused,
		"a backend that cannot be asked has no set, not none": testSetUnavailable,
	})
	testNameLists(t, backend, "names of sets", nameList{
		names: setIDs(13),
		add: func(b *bench, environment, id string) error {
			return b.Sets.AddPolicySet(b.Context(), fullSet(environment, id))
		},
		page: func(b *bench, environment string, p broker.Page) ([]string, error) {
			sets, err := b.Sets.PolicySetNames(b.Context(), environment, p)
			var ids []string
			for _, v := range sets {
				ids = append(ids, v.ID)
			}
			return ids, err
		},
	})
}

func setID(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func setIDs(n int) []string {
	ids := []string{strings.Repeat("0", 64), strings.Repeat("f", 64)}
	for i := range n {
		ids = append(ids, setID(text(i)))
	}
	return ids
}

func fullSet(environment, id string) broker.PolicySet {
	return broker.PolicySet{Environment: environment, ID: id, Text: "forbid (principal, action, resource) when { \"é\" == \"\\n\" };\n\x00",
		Tests: `[{"name":"<nobody>"}]`, At: time.Date(2026, 4, 5, 6, 7, 8, 9, time.UTC), By: "p-admin"}
}

func (b *bench) set(id string) broker.PolicySet {
	b.Helper()
	v, err := b.Sets.PolicySet(b.Context(), b.environment, id)
	b.must(err)
	return v
}

func testSetWhole(b *bench) {
	longest, empty := fullSet(b.environment, setID("longest")), fullSet(b.environment, setID("empty"))
	longest.Text, longest.Tests = strings.Repeat("é", 128<<10), strings.Repeat("<", 64<<10)
	empty.Text, empty.Tests = "", ""
	for _, want := range []broker.PolicySet{fullSet(b.environment, setID("full")), longest, empty} {
		_, err := b.Sets.PolicySet(b.Context(), b.environment, want.ID)
		b.wants(err, broker.ErrNotFound)
		b.must(b.Sets.AddPolicySet(b.Context(), want))
		if d := cmp.Diff(want, b.set(want.ID)); d != "" {
			b.Fatal(d)
		}
	}
}

func testSetFirst(b *bench) {
	first := fullSet(b.environment, setID("a"))
	b.must(b.Sets.AddPolicySet(b.Context(), first))
	second := first
	second.By, second.At = "p-other", first.At.Add(time.Hour)
	b.must(b.Sets.AddPolicySet(b.Context(), second))
	if d := cmp.Diff(first, b.set(first.ID)); d != "" {
		b.Fatal(d)
	}
	names, err := b.Sets.PolicySetNames(b.Context(), b.environment, broker.Page{Limit: 2})
	b.must(err)
	if len(names) != 1 || names[0].By != first.By || !names[0].At.Equal(first.At) {
		b.Fatalf("listed: %+v", names)
	}
}

func testSetRace(b *bench) {
	added := func(i int) broker.PolicySet {
		v := fullSet(b.environment, setID("a"))
		v.By = text(i)
		return v
	}
	for _, err := range race(racers, func(i int) error {
		return b.persist(func() error { return b.Sets.AddPolicySet(b.Context(), added(i)) })
	}) {
		b.must(err)
	}
	stored := b.set(setID("a"))
	if d := cmp.Diff(added(unmark(stored.By)), stored); d != "" {
		b.Fatal(d)
	}
	names, err := b.Sets.PolicySetNames(b.Context(), b.environment, broker.Page{Limit: 2})
	b.must(err)
	if len(names) != 1 || names[0].By != stored.By {
		b.Fatalf("%s is the author, listed: %+v", stored.By, names)
	}
}

func testSetLost(b *bench) {
	for _, losses := range []int{1, 3} {
		v := fullSet(b.environment, setID(text(losses)))
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error { return b.Sets.AddPolicySet(b.Context(), v) }))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
		if d := cmp.Diff(v, b.set(v.ID)); d != "" {
			b.Fatal(d)
		}
	}
}

func testSetNames(b *bench) {
	want := map[string]broker.PolicySet{}
	for _, id := range setIDs(5) {
		v := fullSet(b.environment, id)
		b.must(b.Sets.AddPolicySet(b.Context(), v))
		v.Text, v.Tests = "", ""
		want[id] = v
	}
	names, err := b.Sets.PolicySetNames(b.Context(), b.environment, broker.Page{Limit: broker.MaxPage})
	b.must(err)
	got := map[string]broker.PolicySet{}
	for _, v := range names {
		got[v.ID] = v
	}
	if d := cmp.Diff(want, got); d != "" || len(names) != len(want) {
		b.Fatalf("%d names: %s", len(names), d)
	}
}

func testSetApart(b *bench) {
	v := fullSet(b.other, setID("a"))
	b.must(b.Sets.AddPolicySet(b.Context(), v))
	_, err := b.Sets.PolicySet(b.Context(), b.environment, v.ID)
	b.wants(err, broker.ErrNotFound)
}

func testSetRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.PolicySet){
		"no environment":           func(v *broker.PolicySet) { v.Environment = "" },
		"no id":                    func(v *broker.PolicySet) { v.ID = "" },
		"an id that is no digest":  func(v *broker.PolicySet) { v.ID = strings.Repeat("g", 64) },
		"an id in capital letters": func(v *broker.PolicySet) { v.ID = strings.Repeat("F", 64) },
		"no author":                func(v *broker.PolicySet) { v.By = "" },
		"no time":                  func(v *broker.PolicySet) { v.At = time.Time{} },
		"a huge text":              func(v *broker.PolicySet) { v.Text = strings.Repeat("x", 256<<10+1) },
		"huge tests":               func(v *broker.PolicySet) { v.Tests = strings.Repeat("x", 64<<10+1) },
		"text that is no text":     func(v *broker.PolicySet) { v.Text = "\xff" },
		"tests that are no text":   func(v *broker.PolicySet) { v.Tests = "\xff" },
	} {
		v := fullSet(b.environment, setID("a"))
		spoil(&v)
		if err := b.Sets.AddPolicySet(b.Context(), v); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	_, err := b.Sets.PolicySet(b.Context(), b.environment, "a")
	b.wants(err, broker.ErrInvalid)
	_, err = b.Sets.PolicySet(b.Context(), "a/b", setID("a"))
	b.wants(err, broker.ErrInvalid)
	_, err = b.Sets.PolicySet(b.Context(), b.environment, setID("a"))
	b.wants(err, broker.ErrNotFound)
}

func testSetUnavailable(b *bench) {
	v := fullSet(b.environment, setID("a"))
	b.must(b.Sets.AddPolicySet(b.Context(), v))
	heal := b.Fail()
	got, err := b.Sets.PolicySet(b.Context(), b.environment, v.ID)
	b.wants(err, broker.ErrUnavailable)
	if got != (broker.PolicySet{}) {
		b.Fatalf("given: %+v", got)
	}
	b.wants(b.Sets.AddPolicySet(b.Context(), fullSet(b.environment, setID("b"))), broker.ErrUnavailable)
	heal()
	_, err = b.Sets.PolicySet(b.Context(), b.environment, setID("b"))
	b.wants(err, broker.ErrNotFound)
}
