package storesuite

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// nameList is a list of names that only ever grows.
type nameList struct {
	names []string
	add   func(b *bench, environment, name string) error
	page  func(b *bench, environment string, p broker.Page) ([]string, error)
}

func testNameLists(t *testing.T, backend Factory, what string, l nameList) {
	t.Run(what, func(t *testing.T) {
		each(t, backend, map[string]func(*bench){
			"pages of every length join to the whole list":                    l.testPages,
			"a page begins after any name, and those that come push none out": l.testMeanwhile,
			"a list is of one environment":                                    l.testEnvironments,
			"pages of no length, too long, or after no name at all":           l.testRefused,
			"a backend that cannot be asked lists nothing":                    l.testUnavailable,
		})
	})
}

// all is the list, read in pages of one length. each is called between them.
func (l nameList) all(b *bench, length int, each func(pages int)) []string {
	b.Helper()
	var all []string
	p := broker.Page{Limit: length}
	for pages := 1; pages < 1000; pages++ {
		some, err := l.page(b, b.environment, p)
		b.must(err)
		if len(some) > length {
			b.Fatalf("%d names on a page of %d", len(some), length)
		}
		all = append(all, some...)
		if len(some) < length {
			return all
		}
		p.After = some[len(some)-1]
		each(pages)
	}
	b.Fatal("the list has no end")
	return nil
}

func (l nameList) testPages(b *bench) {
	for range 2 { // what is there already is there once
		for _, name := range l.names {
			b.must(l.add(b, b.environment, name))
		}
	}
	whole := l.all(b, broker.MaxPage, func(int) {})
	if d := cmp.Diff(sorted(l.names), sorted(whole)); d != "" {
		b.Fatal(d)
	}
	for _, length := range []int{1, 2, 3, len(l.names) - 1, len(l.names), len(l.names) + 1} {
		if d := cmp.Diff(whole, l.all(b, length, func(int) {})); d != "" {
			b.Fatalf("in pages of %d: %s", length, d)
		}
	}
}

func (l nameList) testMeanwhile(b *bench) {
	half := len(l.names) / 2
	there, later := l.names[:half], l.names[half:]
	for _, name := range there {
		b.must(l.add(b, b.environment, name))
	}
	seen := map[string]int{}
	for _, name := range l.all(b, 1, func(pages int) {
		if pages <= len(later) {
			b.must(l.add(b, b.environment, later[pages-1]))
		}
	}) {
		seen[name]++
	}
	for _, name := range there {
		if seen[name] != 1 {
			b.Fatalf("%q is on %d pages", name, seen[name])
		}
	}
	for name, times := range seen {
		if times != 1 {
			b.Fatalf("%q is on %d pages", name, times)
		}
	}
	for _, absent := range later { // names of which some are not there
		rest, err := l.page(b, b.environment, broker.Page{After: absent, Limit: broker.MaxPage})
		b.must(err)
		if slices.Contains(rest, absent) {
			b.Fatalf("%q comes after itself", absent)
		}
	}
}

func (l nameList) testEnvironments(b *bench) {
	b.must(l.add(b, b.other, l.names[0]))
	if got := l.all(b, 10, func(int) {}); len(got) != 0 {
		b.Fatalf("listed from another environment: %q", got)
	}
}

func (l nameList) testRefused(b *bench) {
	b.must(l.add(b, b.environment, l.names[0]))
	for what, p := range map[string]broker.Page{
		"no length":         {},
		"a negative length": {Limit: -1},
		"too long":          {Limit: broker.MaxPage + 1},
		"after a huge name": {After: strings.Repeat("x", broker.MaxID+1), Limit: 1},
		"after no text":     {After: "\xff", Limit: 1},
	} {
		if got, err := l.page(b, b.environment, p); err == nil {
			b.Fatalf("%s: %q", what, got)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, environment := range []string{"", "prod/eu", "prod#1"} {
		_, err := l.page(b, environment, broker.Page{Limit: 1})
		b.wants(err, broker.ErrInvalid)
	}
}

func (l nameList) testUnavailable(b *bench) {
	b.must(l.add(b, b.environment, l.names[0]))
	heal := b.Fail()
	got, err := l.page(b, b.environment, broker.Page{Limit: 1})
	b.wants(err, broker.ErrUnavailable)
	if got != nil {
		b.Fatalf("given: %q", got)
	}
	b.wants(l.add(b, b.environment, l.names[1]), broker.ErrUnavailable)
	heal()
	if got := l.all(b, 10, func(int) {}); len(got) != 1 {
		b.Fatalf("listed: %q", got)
	}
}
