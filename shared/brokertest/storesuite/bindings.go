package storesuite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testBindings(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a binding moves with its actor and is never in two places": testBindingMoves,
		"a move whose answer was lost happens once":                 testBindingMoveLost,
		"a name is unique among shared and personal bindings":       testBindingNameUnique,
		"movers racing for one binding leave it in one place":       testBindingMoveRace,
		"every version stays readable":                              testBindingVersions,
		"more bindings than fit a page are all read":                testBindingPages,
		"rows that no decision could judge are refused":             testBindingRefused,
	})
}

var (
	group    = broker.Actor{Group: "engineers"}
	ofAlice  = broker.Actor{Principal: alice}
	ofBob    = broker.Actor{Principal: "p-bob", Agent: robot}
	anyone   = broker.Actor{Anyone: true}
	workload = broker.Actor{Attribute: broker.Attribute{Name: "service", Value: "ci"}}
	agentOwn = broker.Actor{Agent: robot}
)

// places are the people in whose snapshot the binding shows, "" for the shared list.
func places(b *bench, name string) []string {
	b.Helper()
	var found []string
	for _, principal := range []string{alice, "p-bob"} {
		s := b.snapshot(broker.Lookup{Route: b.route(), Principal: principal})
		for _, c := range s.Personal {
			if c.Name == name {
				found = append(found, principal)
			}
		}
		for _, c := range s.Shared {
			if c.Name == name && principal == alice {
				found = append(found, "")
			}
		}
	}
	return found
}

func testBindingMoves(b *bench) {
	for version, step := range []struct {
		actor broker.Actor
		place string
	}{{group, ""}, {ofAlice, alice}, {ofAlice, alice}, {ofBob, "p-bob"}, {anyone, ""}, {workload, ""}, {agentOwn, ""}, {ofAlice, alice}} {
		card := fullBinding(b.environment, "card", step.actor)
		card.Version = int64(version)
		b.must(b.Writer.PutBinding(b.Context(), card))
		if got := places(b, "card"); !cmp.Equal(got, []string{step.place}) {
			b.Fatalf("version %d is found at %q, want %q", version+1, got, step.place)
		}
	}
}

func testBindingMoveLost(b *bench) {
	card := fullBinding(b.environment, "card", group)
	b.must(b.Writer.PutBinding(b.Context(), card))
	card.Version, card.Actor = 1, ofBob
	left := b.LoseAnswers(2)
	b.must(b.persist(func() error { return b.Writer.PutBinding(b.Context(), card) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	if got := places(b, "card"); !cmp.Equal(got, []string{"p-bob"}) {
		b.Fatalf("found at %q", got)
	}
	card.Version = 2
	b.must(b.Writer.PutBinding(b.Context(), card)) // the version moved by one
}

func testBindingNameUnique(b *bench) {
	b.must(b.Writer.PutBinding(b.Context(), fullBinding(b.environment, "card", ofAlice)))
	for _, actor := range []broker.Actor{group, ofBob} {
		b.wants(b.Writer.PutBinding(b.Context(), fullBinding(b.environment, "card", actor)), broker.ErrConflict)
	}
	dead := fullBinding(b.environment, "card", ofAlice)
	dead.Version, dead.State = 1, broker.Deleted
	b.must(b.Writer.PutBinding(b.Context(), dead))
	for _, actor := range []broker.Actor{group, ofAlice, ofBob} {
		b.wants(b.Writer.PutBinding(b.Context(), fullBinding(b.environment, "card", actor)), broker.ErrConflict)
	}
	if got := places(b, "card"); !cmp.Equal(got, []string{alice}) {
		b.Fatalf("found at %q", got)
	}
	elsewhere := fullBinding(b.environment, "card", group)
	elsewhere.Server = "jira"
	b.must(b.Writer.PutBinding(b.Context(), elsewhere)) // another server, another name
}

func testBindingMoveRace(b *bench) {
	actors := []broker.Actor{group, ofAlice, ofBob, anyone}
	b.must(b.Writer.PutBinding(b.Context(), fullBinding(b.environment, "card", group)))
	errs := race(racers, func(i int) error {
		card := fullBinding(b.environment, "card", actors[i%len(actors)])
		card.Version, card.Owner = 1, text(i)
		return b.persist(func() error { return b.Writer.PutBinding(b.Context(), card) })
	})
	winners := 0
	for _, err := range errs {
		if err == nil {
			winners++
		} else {
			b.wants(err, broker.ErrConflict)
		}
	}
	if got := places(b, "card"); winners != 1 || len(got) != 1 {
		b.Fatalf("%d winners; found at %q", winners, got)
	}
}

func testBindingVersions(b *bench) {
	actors := []broker.Actor{group, ofAlice, ofBob}
	for version, actor := range actors {
		card := fullBinding(b.environment, "card", actor)
		card.Version, card.Priority = int64(version), version
		b.must(b.Writer.PutBinding(b.Context(), card))
	}
	for i, actor := range actors {
		got, err := b.Writer.BindingVersion(b.Context(), b.route(), "card", int64(i+1))
		b.must(err)
		want := fullBinding(b.environment, "card", actor)
		want.Version, want.Priority = int64(i+1), i
		if d := cmp.Diff(want, got, compare); d != "" {
			b.Fatal(d)
		}
	}
	for _, absent := range []struct {
		route   broker.Route
		name    string
		version int64
	}{{b.route(), "card", 0}, {b.route(), "card", -1}, {b.route(), "card", 4}, {b.route(), "other", 1},
		{broker.Route{Environment: b.other, Server: "github"}, "card", 1}} {
		_, err := b.Writer.BindingVersion(b.Context(), absent.route, absent.name, absent.version)
		b.wants(err, broker.ErrNotFound)
	}
}

// testBindingPages stores more than a megabyte, which is what a query gives at
// once, in each of the two lists.
func testBindingPages(b *bench) {
	const each = 18
	long := make([]string, 30)
	for i := range long {
		long[i] = strings.Repeat("x", 2000)
	}
	for _, actor := range []broker.Actor{group, ofAlice} {
		for i := range each {
			card := fullBinding(b.environment, fmt.Sprintf("card-%s%d", actor.Group, i), actor)
			card.Allow.Tools = long
			b.must(b.Writer.PutBinding(b.Context(), card))
		}
	}
	s := b.snapshot(broker.Lookup{Route: b.route(), Principal: alice})
	if len(s.Shared) != each || len(s.Personal) != each {
		b.Fatalf("%d shared and %d personal bindings were read, want %d each", len(s.Shared), len(s.Personal), each)
	}
}

func testBindingRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Binding){
		"no name":                  func(c *broker.Binding) { c.Name = "" },
		"a name with a separator":  func(c *broker.Binding) { c.Name = "a/b" },
		"no environment":           func(c *broker.Binding) { c.Environment = "" },
		"a server out of a route":  func(c *broker.Binding) { c.Server = "github/personal" },
		"an unknown state":         func(c *broker.Binding) { c.State = "alive" },
		"no actor":                 func(c *broker.Binding) { c.Actor = broker.Actor{} },
		"two actors":               func(c *broker.Binding) { c.Actor = broker.Actor{Group: "g", Anyone: true} },
		"half an attribute":        func(c *broker.Binding) { c.Actor = broker.Actor{Attribute: broker.Attribute{Name: "n"}} },
		"an id that is too long":   func(c *broker.Binding) { c.Actor = broker.Actor{Principal: strings.Repeat("p", 257)} },
		"text that is not UTF-8":   func(c *broker.Binding) { c.Owner = "team-\xff" },
		"a field without its name": func(c *broker.Binding) { c.Fields[0].Name = "" },
		"no reference":             func(c *broker.Binding) { c.Fields[0].Reference = broker.Reference{} },
		"a huge text":              func(c *broker.Binding) { c.Owner = strings.Repeat("x", 1<<20) },
		"a huge list":              func(c *broker.Binding) { c.Allow.Tools = make([]string, 10_000) },
		"a priority beyond limits": func(c *broker.Binding) { c.Priority = 1 << 40 },
	} {
		card := fullBinding(b.environment, "card", group)
		spoil(&card)
		if err := b.Writer.PutBinding(b.Context(), card); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	if s := b.snapshot(broker.Lookup{Route: b.route()}); len(s.Shared) != 0 {
		b.Fatal("a refused binding was stored")
	}
}
