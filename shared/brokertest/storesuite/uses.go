package storesuite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testUses(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a binding is found by each secret it references, once, whatever the keys": testUsesFound,
		"what a binding referenced once is found for ever":                         testUsesOfOldVersions,
		"a binding that was not stored is not found":                               testUsesRefusedBinding,
		"a binding whose answer was lost is found":                                 testUsesLost,
		"pages of every length join to the whole list":                             testUsesPages,
		"bindings that come meanwhile push no other out":                           testUsesMeanwhile,
		"uses are of one environment and one store":                                testUsesApart,
		"questions that nothing could answer are refused":                          testUsesRefused,
		"a backend that cannot be asked gives no uses":                             testUsesUnavailable,
	})
}

// referencing is a card whose fields have these references.
func referencing(environment, name string, references ...string) broker.Binding {
	b := fullBinding(environment, name, group)
	b.Fields = nil
	for i, r := range references {
		b.Fields = append(b.Fields, broker.Field{Name: fmt.Sprint("field-", i), Reference: reference(r)})
	}
	return b
}

// use says "binding reference" of a use.
func use(u broker.Use) string { return u.Binding + " " + u.Reference.String() }

type usesPage func(after string, limit int) ([]broker.Use, string, error)

func (b *bench) ofStore(environment, scheme string) usesPage {
	return func(after string, limit int) ([]broker.Use, string, error) {
		return b.Uses.UsesOfStore(b.Context(), environment, scheme, after, limit)
	}
}

func (b *bench) ofReference(environment, r string) usesPage {
	return func(after string, limit int) ([]broker.Use, string, error) {
		return b.Uses.UsesOfReference(b.Context(), environment, reference(r), after, limit)
	}
}

// walk reads the whole list in pages of one length. each is called between them.
func (b *bench) walk(page usesPage, length int, each func(pages int)) []string {
	b.Helper()
	var all []string
	after := ""
	for pages := 1; pages < 1000; pages++ {
		uses, next, err := page(after, length)
		b.must(err)
		if len(uses) > length || next != "" && len(uses) == 0 {
			b.Fatalf("%d uses on a page of %d, and %q comes next", len(uses), length, next)
		}
		for _, u := range uses {
			all = append(all, use(u))
		}
		if next == "" {
			return all
		}
		if next != uses[len(uses)-1].Token() {
			b.Fatalf("the page ended with %q, its last use is %q", next, uses[len(uses)-1].Token())
		}
		after = next
		each(pages)
	}
	b.Fatal("the list has no end")
	return nil
}

func (b *bench) finds(page usesPage, want ...string) {
	b.Helper()
	if d := cmp.Diff(sorted(want), sorted(b.walk(page, 3, func(int) {}))); d != "" {
		b.Fatal(d)
	}
}

func testUsesFound(b *bench) {
	put := func(name string, references ...string) {
		b.Helper()
		b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, name, references...)))
	}
	b.finds(b.ofStore(b.environment, "aws-sm"))
	put("one", "aws-sm:prod/a#token", "aws-sm:prod/a#user", "aws-sm:prod/a", "sealed:a")
	put("two", "aws-sm:prod/a#token", "aws-sm:prod/a?stage=AWSPREVIOUS#token", "aws-sm:prod/a/b")
	put("none")
	b.finds(b.ofStore(b.environment, "aws-sm"), "one aws-sm:prod/a", "two aws-sm:prod/a",
		"two aws-sm:prod/a?stage=AWSPREVIOUS", "two aws-sm:prod/a/b")
	b.finds(b.ofStore(b.environment, "sealed"), "one sealed:a")
	b.finds(b.ofStore(b.environment, "aws"))
	for _, asked := range []string{"aws-sm:prod/a", "aws-sm:prod/a#token", "aws-sm:prod/a#another"} {
		b.finds(b.ofReference(b.environment, asked), "one aws-sm:prod/a", "two aws-sm:prod/a")
	}
	b.finds(b.ofReference(b.environment, "aws-sm:prod/a?stage=AWSPREVIOUS"), "two aws-sm:prod/a?stage=AWSPREVIOUS")
	b.finds(b.ofReference(b.environment, "aws-sm:prod"))
	uses, _, err := b.Uses.UsesOfStore(b.Context(), b.environment, "sealed", "", 1)
	b.must(err)
	want := []broker.Use{{Reference: reference("sealed:a"), Route: b.route(), Binding: "one"}}
	if d := cmp.Diff(want, uses, compare); d != "" {
		b.Fatal(d)
	}
}

func testUsesOfOldVersions(b *bench) {
	for version, references := range [][]string{{"aws-sm:first#a"}, {"aws-sm:second#a", "aws-sm:first#b"}, {"aws-sm:second#a"}, {}} {
		card := referencing(b.environment, "card", references...)
		card.Version = int64(version)
		if version == 3 {
			card.State = broker.Deleted
		}
		b.must(b.Writer.PutBinding(b.Context(), card))
		b.must(b.Writer.PutBinding(b.Context(), card)) // repeated
		want := []string{"card aws-sm:first", "card aws-sm:second"}
		b.finds(b.ofStore(b.environment, "aws-sm"), want[:min(version+1, 2)]...)
	}
}

func testUsesRefusedBinding(b *bench) {
	b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, "card", "aws-sm:first#a")))
	b.wants(b.Writer.PutBinding(b.Context(), referencing(b.environment, "card", "aws-sm:second#a")), broker.ErrConflict)
	var many []string
	for i := range 91 {
		many = append(many, fmt.Sprint("aws-sm:many/", i))
	}
	b.wants(b.Writer.PutBinding(b.Context(), referencing(b.environment, "many", many...)), broker.ErrInvalid)
	b.finds(b.ofStore(b.environment, "aws-sm"), "card aws-sm:first")
	b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, "many", many[:90]...)))
	if got := b.walk(b.ofStore(b.environment, "aws-sm"), 7, func(int) {}); len(got) != 91 {
		b.Fatalf("%d uses", len(got))
	}
}

func testUsesLost(b *bench) {
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error {
		return b.Writer.PutBinding(b.Context(), referencing(b.environment, "card", "aws-sm:a#b", "sealed:c"))
	}))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.finds(b.ofStore(b.environment, "aws-sm"), "card aws-sm:a")
	b.finds(b.ofReference(b.environment, "sealed:c"), "card sealed:c")
}

func testUsesPages(b *bench) {
	var want []string
	for i := range 5 {
		name := fmt.Sprint("card-", i)
		b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, name, "aws-sm:a#b", "aws-sm:a/"+name)))
		want = append(want, name+" aws-sm:a", name+" aws-sm:a/"+name)
	}
	page := b.ofStore(b.environment, "aws-sm")
	whole := b.walk(page, broker.MaxPage, func(int) {})
	if d := cmp.Diff(sorted(want), sorted(whole)); d != "" {
		b.Fatal(d)
	}
	for _, length := range []int{1, 2, 3, 9, 10, 11} {
		if d := cmp.Diff(whole, b.walk(page, length, func(int) {})); d != "" {
			b.Fatalf("in pages of %d: %s", length, d)
		}
	}
	at := slices.IndexFunc(whole, func(s string) bool { return strings.HasSuffix(s, "aws-sm:a") })
	shared := whole[at:min(at+5, len(whole))]
	for _, length := range []int{1, 2, 4, 5, 6} { // those of one reference stand together
		if d := cmp.Diff(shared, b.walk(b.ofReference(b.environment, "aws-sm:a"), length, func(int) {})); d != "" {
			b.Fatalf("of one reference, in pages of %d: %s", length, d)
		}
	}
	all, _, err := page("", broker.MaxPage)
	b.must(err)
	for i, u := range all { // a page begins after any use, shown last or not
		rest, next, err := page(u.Token(), broker.MaxPage)
		b.must(err)
		if d := cmp.Diff(all[i+1:], rest, compare); d != "" || next != "" {
			b.Fatalf("after %s: %s, next %q", use(u), d, next)
		}
	}
}

func testUsesMeanwhile(b *bench) {
	put := func(i int) {
		b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, fmt.Sprint("card-", i), "aws-sm:a#b", "aws-sm:b")))
	}
	for i := range 4 {
		put(i)
	}
	seen := map[string]int{}
	for _, u := range b.walk(b.ofStore(b.environment, "aws-sm"), 1, func(pages int) {
		if pages <= 6 {
			put(3 + pages)
		}
	}) {
		seen[u]++
	}
	for i := range 4 {
		for _, r := range []string{"aws-sm:a", "aws-sm:b"} {
			if u := fmt.Sprintf("card-%d %s", i, r); seen[u] != 1 {
				b.Fatalf("%q is on %d pages", u, seen[u])
			}
		}
	}
}

func testUsesApart(b *bench) {
	b.must(b.Writer.PutBinding(b.Context(), referencing(b.other, "card", "aws-sm:a#b", "sealed:a")))
	b.finds(b.ofStore(b.environment, "aws-sm"))
	b.finds(b.ofReference(b.environment, "aws-sm:a"))
	jira := referencing(b.environment, "card", "aws-sm:a#b")
	jira.Server = "jira"
	b.must(b.Writer.PutBinding(b.Context(), jira))
	b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, "card", "aws-sm:a#b")))
	b.finds(b.ofReference(b.environment, "aws-sm:a"), "card aws-sm:a", "card aws-sm:a") // of two servers
	b.finds(b.ofStore(b.environment, "sealed"))
}

func testUsesRefused(b *bench) {
	b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, "card", "aws-sm:a#b", "aws-sm:b")))
	ours := broker.Use{Reference: reference("aws-sm:a"), Route: b.route(), Binding: "card"}.Token()
	for name, ask := range map[string]func() error{
		"no environment": func() error { _, _, err := b.ofStore("", "aws-sm")("", 1); return err },
		"no store":       func() error { _, _, err := b.ofStore(b.environment, "")("", 1); return err },
		"a store that is none": func() error {
			_, _, err := b.ofStore(b.environment, "aws/sm")("", 1)
			return err
		},
		"no reference":     func() error { _, _, err := b.ofReference(b.environment, "")("", 1); return err },
		"no limit":         func() error { _, _, err := b.ofStore(b.environment, "aws-sm")("", 0); return err },
		"too many":         func() error { _, _, err := b.ofStore(b.environment, "aws-sm")("", broker.MaxPage+1); return err },
		"a token cut":      func() error { _, _, err := b.ofStore(b.environment, "aws-sm")(ours[:30], 1); return err },
		"a token too long": func() error { _, _, err := b.ofStore(b.environment, "aws-sm")(ours+"a", 1); return err },
		"a token of words": func() error { _, _, err := b.ofStore(b.environment, "aws-sm")("github/card", 1); return err },
		"a token of another reference": func() error {
			_, _, err := b.ofReference(b.environment, "aws-sm:b")(ours, 1)
			return err
		},
	} {
		if err := ask(); err == nil {
			b.Fatalf("%s: answered", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
}

func testUsesUnavailable(b *bench) {
	b.must(b.Writer.PutBinding(b.Context(), referencing(b.environment, "card", "aws-sm:a#b")))
	heal := b.Fail()
	defer heal()
	for _, page := range []usesPage{b.ofStore(b.environment, "aws-sm"), b.ofReference(b.environment, "aws-sm:a")} {
		uses, next, err := page("", 1)
		b.wants(err, broker.ErrUnavailable)
		if uses != nil || next != "" {
			b.Fatalf("given: %+v, %q", uses, next)
		}
	}
}
