package storesuite

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func fullPlan(environment, name string) broker.RotationPlan {
	return broker.RotationPlan{Environment: environment, Name: name, State: broker.Active, Owner: "team-git",
		Reference: reference("aws-sm:prod/github#token"), Maker: broker.MakeByRecipe,
		Recipe: broker.Recipe{
			Issue: broker.RecipeCall{Method: "POST", URL: "https://api.example.com/keys", Headers: map[string]string{"Authorization": "Bearer {token}"}, Body: `{"name":"é"}`},
			Value: "/key/value", Keep: "/key/id",
			Retire: broker.RecipeCall{Method: "DELETE", URL: "https://api.example.com/keys/{old}"}},
		Every: 24 * time.Hour, Grace: time.Hour + 1, Server: "github", Binding: "dev", Origin: "origin-1"}
}

var planKind = kind{
	put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
		v := fullPlan(environment, "one")
		v.Version, v.State, v.Owner = version, state, text(mark)
		return w.Plans.PutRotationPlan(ctx, v)
	},
	read: func(b *bench, environment string) (int64, broker.State, int, bool) {
		b.Helper()
		all, err := b.Plans.RotationPlans(b.Context(), environment, broker.Page{Limit: 2})
		b.must(err)
		if len(all) != 1 {
			return 0, "", 0, false
		}
		return all[0].Version, all[0].State, unmark(all[0].Owner), true
	},
}

func ofPlan(v broker.RotationPlan) entry { return entry{v.Name, v.Version, v.State} }

var planListing = listing{
	names: plainNames,
	put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
		v := fullPlan(environment, name)
		v.Reference = reference("aws-sm:prod/" + name)
		v.Version, v.State = version, state
		return s.Plans.PutRotationPlan(ctx, v)
	},
	list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
		rows, err := s.Plans.RotationPlans(ctx, environment, p)
		return entriesOf(rows, err, ofPlan)
	},
	one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
		v, err := s.Plans.RotationPlan(ctx, environment, name)
		return entryOf(v, err, ofPlan)
	},
}

func testPlans(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of a plan comes back":             testPlanWhole,
		"plans that contradict themselves are refused": testPlanRefused,
		"a secret has one plan":                        testPlanOfASecret,
		"of sixteen plans for one secret one is put":   testPlansRace,
	})
}

// planned puts a plan for a member of the one secret.
func (b *bench) planned(name, member string, version int64, state broker.State) error {
	p := fullPlan(b.environment, name)
	p.Reference, p.Version, p.State = reference("aws-sm:prod/github#"+member), version, state
	return b.persist(func() error { return b.Plans.PutRotationPlan(b.Context(), p) })
}

func testPlanOfASecret(b *bench) {
	b.must(b.planned("first", "token", 0, broker.Suspended))
	b.wants(b.planned("second", "user", 0, broker.Active), broker.ErrConflict)
	_, err := b.Plans.RotationPlan(b.Context(), b.environment, "second")
	b.wants(err, broker.ErrNotFound)
	b.must(b.planned("first", "token", 1, broker.Active))
	b.must(b.planned("first", "token", 2, broker.Deleted))
	b.must(b.planned("first", "token", 2, broker.Deleted)) // repeated
	b.must(b.planned("second", "user", 0, broker.Active))
	b.must(b.planned("first", "token", 2, broker.Deleted)) // repeated late: it takes nothing from the other
	b.wants(b.planned("third", "token", 0, broker.Active), broker.ErrConflict)
	other := fullPlan(b.other, "first")
	b.must(b.Plans.PutRotationPlan(b.Context(), other))
}

func testPlansRace(b *bench) {
	errs := race(racers, func(i int) error {
		return b.planned(fmt.Sprintf("plan-%d", i), fmt.Sprintf("member-%d", i), 0, broker.Active)
	})
	all, err := b.Plans.RotationPlans(b.Context(), b.environment, broker.Page{Limit: racers})
	b.must(err)
	if len(all) != 1 {
		b.Fatalf("%d plans for one secret", len(all))
	}
	for i, err := range errs {
		if fmt.Sprintf("plan-%d", i) == all[0].Name {
			b.must(err)
		} else {
			b.wants(err, broker.ErrConflict)
		}
	}
}

func testPlanWhole(b *bench) {
	least := broker.RotationPlan{Environment: b.environment, Name: "least", State: broker.Active, Owner: "o", Reference: reference("sealed:x"), Maker: broker.MakeInStore}
	random := least
	random.Name, random.Maker, random.Random = "random", broker.MakeRandom, broker.Random{Length: 16, Alphabet: "0123456789abcdef"}
	client := least
	client.Name, client.Maker, client.Provider = "client", broker.MakeClientSecret, "idp"
	random.Reference, client.Reference = reference("sealed:y"), reference("sealed:z#secret")
	for _, want := range []broker.RotationPlan{fullPlan(b.environment, "full"), least, random, client} {
		b.must(b.Plans.PutRotationPlan(b.Context(), want))
		want.Version = 1
		got, err := b.Plans.RotationPlan(b.Context(), b.environment, want.Name)
		b.must(err)
		if d := cmp.Diff(want, got, compare); d != "" {
			b.Fatal(d)
		}
	}
	_, err := b.Plans.RotationPlan(b.Context(), b.environment, "none")
	b.wants(err, broker.ErrNotFound)
}

func testPlanRefused(b *bench) {
	random := func(length int, alphabet string) func(*broker.RotationPlan) {
		return func(p *broker.RotationPlan) {
			p.Maker, p.Recipe, p.Random = broker.MakeRandom, broker.Recipe{}, broker.Random{Length: length, Alphabet: alphabet}
		}
	}
	for name, spoil := range map[string]func(*broker.RotationPlan){
		"no name":                     func(p *broker.RotationPlan) { p.Name = "" },
		"no owner":                    func(p *broker.RotationPlan) { p.Owner = "" },
		"no reference":                func(p *broker.RotationPlan) { p.Reference = broker.Reference{} },
		"one version of a secret":     func(p *broker.RotationPlan) { p.Reference = reference("aws-sm:prod/x?stage=AWSPREVIOUS") },
		"an unknown maker":            func(p *broker.RotationPlan) { p.Maker = "magic" },
		"an unknown state":            func(p *broker.RotationPlan) { p.State = "alive" },
		"every second":                func(p *broker.RotationPlan) { p.Every = time.Second },
		"a grace longer than the age": func(p *broker.RotationPlan) { p.Grace = p.Every },
		"a grace before the change":   func(p *broker.RotationPlan) { p.Grace = -1 },
		"a server without card":       func(p *broker.RotationPlan) { p.Binding = "" },
		"a recipe without card":       func(p *broker.RotationPlan) { p.Server, p.Binding = "", "" },
		"a recipe without request":    func(p *broker.RotationPlan) { p.Recipe.Issue = broker.RecipeCall{} },
		"a recipe without value":      func(p *broker.RotationPlan) { p.Recipe.Value = "" },
		"a pointer that is none":      func(p *broker.RotationPlan) { p.Recipe.Keep = "key" },
		"an odd method":               func(p *broker.RotationPlan) { p.Recipe.Retire.Method = "CONNECT" },
		"a recipe and another maker":  func(p *broker.RotationPlan) { p.Maker = broker.MakeInStore },
		"a provider too many":         func(p *broker.RotationPlan) { p.Provider = "idp" },
		"a client without provider":   func(p *broker.RotationPlan) { p.Maker, p.Recipe = broker.MakeClientSecret, broker.Recipe{} },
		"a client with a card": func(p *broker.RotationPlan) {
			p.Maker, p.Recipe, p.Provider = broker.MakeClientSecret, broker.Recipe{}, "idp"
		},
		"a value that can be guessed": random(15, ""),
		"a value that is huge":        random(513, ""),
		"an alphabet of one":          random(32, "a"),
		"an alphabet that repeats":    random(32, strings.Repeat("a", 32)),
		"an alphabet with a space":    random(32, "abcdefghijklmno p"),
	} {
		p := fullPlan(b.environment, "one")
		spoil(&p)
		if err := b.Plans.PutRotationPlan(b.Context(), p); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	all, err := b.Plans.RotationPlans(b.Context(), b.environment, broker.Page{Limit: 1})
	b.must(err)
	if len(all) != 0 {
		b.Fatalf("stored: %+v", all)
	}
}
