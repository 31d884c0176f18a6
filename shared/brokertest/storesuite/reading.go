package storesuite

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testReading(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of a row read by itself comes back":         testReadWhole,
		"a row that never was is not found":                      testReadAbsent,
		"names that no row could have are refused":               testReadRefused,
		"a binding is read where its actor moved it":             testReadMoved,
		"an environment is read as it is now, tombstones too":    testReadEnvironment,
		"a backend that cannot be asked lists and reads nothing": testReadUnavailable,
	})
	for name, l := range listings {
		t.Run(name, func(t *testing.T) {
			each(t, backend, map[string]func(*bench){
				"pages of every length join to the whole list":          l.testPages,
				"a page begins after any name, there or not":            l.testAfter,
				"rows that come meanwhile push no other out":            l.testMeanwhile,
				"tombstones and the newest versions are listed":         l.testCurrent,
				"a list is of one environment":                          l.testEnvironments,
				"pages of no length, too long, or after no name at all": l.testRefused,
			})
		})
	}
}

func (l listing) fill(b *bench, names []string) {
	b.Helper()
	for _, name := range names {
		b.must(l.put(b.Context(), b.Stores, b.environment, name, 0, broker.Active))
	}
}

func (l listing) page(b *bench, p broker.Page) []entry {
	b.Helper()
	entries, err := l.list(b.Context(), b.Stores, b.environment, p)
	b.must(err)
	if len(entries) > p.Limit {
		b.Fatalf("%d rows on a page of %d", len(entries), p.Limit)
	}
	return entries
}

// all is the whole list, read in pages of one length. each is called between
// the pages.
func (l listing) all(b *bench, length int, each func(pages int)) []entry {
	b.Helper()
	var all []entry
	p := broker.Page{Limit: length}
	for pages := 1; pages < 1000; pages++ {
		some := l.page(b, p)
		all = append(all, some...)
		if len(some) < length {
			return all
		}
		p.After = some[len(some)-1].Name
		each(pages)
	}
	b.Fatal("the list has no end")
	return nil
}

func names(entries []entry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

func (l listing) testPages(b *bench) {
	if none := l.page(b, broker.Page{Limit: 1}); len(none) != 0 {
		b.Fatalf("before anything is stored: %+v", none)
	}
	l.fill(b, l.names)
	whole := l.page(b, broker.Page{Limit: broker.MaxPage})
	if d := cmp.Diff(sorted(l.names), sorted(names(whole))); d != "" {
		b.Fatal(d)
	}
	for _, length := range []int{1, 2, 3, len(l.names) - 1, len(l.names), len(l.names) + 1} {
		if d := cmp.Diff(whole, l.all(b, length, func(int) {})); d != "" {
			b.Fatalf("in pages of %d: %s", length, d)
		}
	}
}

func (l listing) testAfter(b *bench) {
	var there []string
	for i, name := range l.names {
		if i%2 == 0 {
			there = append(there, name)
		}
	}
	l.fill(b, there)
	before := map[string][]entry{}
	for _, name := range l.names {
		before[name] = l.page(b, broker.Page{After: name, Limit: broker.MaxPage})
	}
	l.fill(b, l.names) // what is there already is put again and does not change
	whole := l.page(b, broker.Page{Limit: broker.MaxPage})
	for at, e := range whole {
		rest := whole[at+1:]
		if d := cmp.Diff(rest, l.page(b, broker.Page{After: e.Name, Limit: broker.MaxPage}), compare); d != "" {
			b.Fatalf("after %q: %s", e.Name, d)
		}
		rest = slices.DeleteFunc(slices.Clone(rest), func(e entry) bool { return !slices.Contains(there, e.Name) })
		if d := cmp.Diff(rest, before[e.Name], compare); d != "" {
			b.Fatalf("after %q, half of the rows not stored yet: %s", e.Name, d)
		}
	}
}

func (l listing) testMeanwhile(b *bench) {
	var there, later []string
	for i, name := range l.names {
		if i%2 == 0 {
			there = append(there, name)
		} else {
			later = append(later, name)
		}
	}
	l.fill(b, there)
	seen := map[string]int{}
	for _, e := range l.all(b, 1, func(pages int) {
		if pages <= len(later) {
			l.fill(b, later[pages-1:pages])
			changed := there[pages-1]
			b.must(l.put(b.Context(), b.Stores, b.environment, changed, 1, broker.Suspended))
		}
	}) {
		seen[e.Name]++
	}
	for name, times := range seen {
		if times != 1 {
			b.Fatalf("%q is on %d pages", name, times)
		}
	}
	for _, name := range there {
		if seen[name] != 1 {
			b.Fatalf("%q is on no page", name)
		}
	}
}

func (l listing) testCurrent(b *bench) {
	l.fill(b, l.names)
	put := func(name string, version int64, state broker.State) {
		b.Helper()
		b.must(l.put(b.Context(), b.Stores, b.environment, name, version, state))
	}
	dead, moved := l.names[1], l.names[2]
	put(dead, 1, broker.Deleted)
	for version := int64(1); version < 4; version++ {
		put(moved, version, broker.Pending)
		for _, e := range l.all(b, 3, func(int) {}) {
			want := entry{e.Name, 1, broker.Active}
			switch e.Name {
			case dead:
				want = entry{dead, 2, broker.Deleted}
			case moved:
				want = entry{moved, version + 1, broker.Pending}
			}
			if e != want {
				b.Fatalf("listed: %+v, want %+v", e, want)
			}
			got, err := l.one(b.Context(), b.Stores, b.environment, e.Name)
			b.must(err)
			if got != want {
				b.Fatalf("read: %+v, want %+v", got, want)
			}
		}
	}
}

func (l listing) testEnvironments(b *bench) {
	name := l.names[0]
	b.must(l.put(b.Context(), b.Stores, b.other, name, 0, broker.Active))
	if got := l.page(b, broker.Page{Limit: 10}); len(got) != 0 {
		b.Fatalf("listed from another environment: %+v", got)
	}
	_, err := l.one(b.Context(), b.Stores, b.environment, name)
	b.wants(err, broker.ErrNotFound)
}

func (l listing) testRefused(b *bench) {
	l.fill(b, l.names[:1])
	for what, p := range map[string]broker.Page{
		"no length":         {},
		"a negative length": {Limit: -1},
		"too long":          {Limit: broker.MaxPage + 1},
		"after a huge name": {After: strings.Repeat("x", broker.MaxID+1), Limit: 1},
		"after no text":     {After: "\xff", Limit: 1},
	} {
		if got, err := l.list(b.Context(), b.Stores, b.environment, p); err == nil {
			b.Fatalf("%s: %+v", what, got)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, environment := range []string{"", "prod/eu", "prod#1"} {
		_, err := l.list(b.Context(), b.Stores, environment, broker.Page{Limit: 1})
		b.wants(err, broker.ErrInvalid)
	}
}
