package storesuite

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"bindery/shared/broker"
)

// kind is one sort of versioned row, seen from outside. mark alters its
// content, so that two writers can be told apart.
type kind struct {
	put  func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error
	read func(b *bench, environment string) (version int64, state broker.State, mark int, found bool)
}

// decided reads what decisions read.
func decided(read func(s broker.Snapshot) (int64, broker.State, int, bool)) func(*bench, string) (int64, broker.State, int, bool) {
	return func(b *bench, environment string) (int64, broker.State, int, bool) {
		return read(b.snapshot(lookup(environment)))
	}
}

// lookup finds the row of every kind.
func lookup(environment string) broker.Lookup {
	return broker.Lookup{Route: broker.Route{Environment: environment, Server: "github"}, Principal: alice, Agent: robot, Tool: tool,
		Session: session, Tools: true}
}

// marks are texts with which a row can be marked; an environment has no text.
func text(mark int) string { return fmt.Sprint("mark-", mark) }

func unmark(s string) int {
	n := -1
	_, _ = fmt.Sscanf(s, "mark-%d", &n)
	return n
}

func bindingKind(actor broker.Actor, list func(broker.Snapshot) []broker.Binding) kind {
	return kind{
		put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
			b := fullBinding(environment, "card", actor)
			b.Version, b.State, b.Owner = version, state, text(mark)
			return w.Writer.PutBinding(ctx, b)
		},
		read: decided(func(s broker.Snapshot) (int64, broker.State, int, bool) {
			if len(list(s)) != 1 {
				return 0, "", 0, false
			}
			b := list(s)[0]
			return b.Version, b.State, unmark(b.Owner), true
		}),
	}
}

var kinds = map[string]kind{
	"store": {
		put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
			v := fullStore(environment)
			v.Version, v.State, v.Kind = version, state, text(mark)
			return w.Writer.PutStore(ctx, v)
		},
		read: decided(func(s broker.Snapshot) (int64, broker.State, int, bool) {
			if len(s.Stores) != 1 {
				return 0, "", 0, false
			}
			return s.Stores[0].Version, s.Stores[0].State, unmark(s.Stores[0].Kind), true
		}),
	},
	"server": {
		put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
			v := fullServer(environment)
			v.Version, v.State, v.Owner = version, state, text(mark)
			return w.Writer.PutServer(ctx, v)
		},
		read: decided(func(s broker.Snapshot) (int64, broker.State, int, bool) {
			if s.Server == nil {
				return 0, "", 0, false
			}
			return s.Server.Version, s.Server.State, unmark(s.Server.Owner), true
		}),
	},
	"agent": {
		put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
			v := fullAgent(environment)
			v.Version, v.State, v.Team = version, state, text(mark)
			return w.Writer.PutAgent(ctx, v)
		},
		read: decided(func(s broker.Snapshot) (int64, broker.State, int, bool) {
			if s.Agent == nil {
				return 0, "", 0, false
			}
			return s.Agent.Version, s.Agent.State, unmark(s.Agent.Team), true
		}),
	},
	"tool": {
		put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
			v := fullTool(environment)
			v.Version, v.State, v.Owner = version, state, text(mark)
			return w.Writer.PutTool(ctx, v)
		},
		read: decided(func(s broker.Snapshot) (int64, broker.State, int, bool) {
			if s.Tool == nil {
				return 0, "", 0, false
			}
			return s.Tool.Version, s.Tool.State, unmark(s.Tool.Owner), true
		}),
	},
	"assignment":       assignmentKind,
	"incident":         incidentKind,
	"rotation plan":    planKind,
	"provider":         providerKind,
	"shared binding":   bindingKind(broker.Actor{Group: "engineers"}, func(s broker.Snapshot) []broker.Binding { return s.Shared }),
	"personal binding": bindingKind(broker.Actor{Principal: alice}, func(s broker.Snapshot) []broker.Binding { return s.Personal }),
}

func testKinds(t *testing.T, backend Factory) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			each(t, backend, map[string]func(*bench){
				"the version counts from 1 and only its holder may replace it": k.testVersions,
				"a repeated Put succeeds and changes nothing":                  k.testRepeated,
				"of sixteen writers exactly one wins":                          k.testRace,
				"nothing follows a tombstone":                                  k.testTombstone,
				"an applied Put whose answer was lost succeeds":                k.testLostAnswer,
				"nothing is seen from another environment":                     k.testEnvironments,
			})
		})
	}
	each(t, backend, map[string]func(*bench){
		"environment": testEnvironmentRow,
		"environment: sixteen writers agree on one winner": testEnvironmentRace,
	})
}

func (k kind) is(b *bench, version int64, state broker.State, mark int) {
	b.Helper()
	v, s, m, found := k.read(b, b.environment)
	if !found || v != version || s != state || m != mark {
		b.Fatalf("stored: found %v, version %d, state %q, mark %d; want version %d, state %q, mark %d", found, v, s, m, version, state, mark)
	}
}

func (k kind) testVersions(b *bench) {
	put := func(version int64, mark int) error {
		return k.put(b.Context(), b.Stores, b.environment, version, broker.Active, mark)
	}
	b.wants(put(1, 1), broker.ErrConflict)
	if _, _, _, found := k.read(b, b.environment); found {
		b.Fatal("a refused Put stored something")
	}
	b.must(put(0, 1))
	k.is(b, 1, broker.Active, 1)
	b.wants(put(0, 2), broker.ErrConflict)
	b.wants(put(2, 2), broker.ErrConflict)
	b.wants(put(-1, 2), broker.ErrInvalid)
	k.is(b, 1, broker.Active, 1)
	b.must(put(1, 3))
	k.is(b, 2, broker.Active, 3)
	b.wants(put(1, 4), broker.ErrConflict)
	b.must(k.put(b.Context(), b.Stores, b.environment, 2, broker.Suspended, 3))
	k.is(b, 3, broker.Suspended, 3)
}

func (k kind) testRepeated(b *bench) {
	for version := range int64(3) {
		for range 3 {
			b.must(k.put(b.Context(), b.Stores, b.environment, version, broker.Active, int(version)))
			k.is(b, version+1, broker.Active, int(version))
		}
	}
}

func (k kind) testRace(b *bench) {
	for version := range int64(2) {
		errs := race(racers, func(i int) error {
			return b.persist(func() error {
				return k.put(b.Context(), b.Stores, b.environment, version, broker.Active, 100+i)
			})
		})
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner < 0:
				winner = i
			case err == nil:
				b.Fatalf("writers %d and %d both won", winner, i)
			default:
				b.wants(err, broker.ErrConflict)
			}
		}
		if winner < 0 {
			b.Fatal("nobody won")
		}
		k.is(b, version+1, broker.Active, 100+winner)
	}
}

func (k kind) testTombstone(b *bench) {
	put := func(version int64, state broker.State) error {
		return k.put(b.Context(), b.Stores, b.environment, version, state, 1)
	}
	b.must(put(0, broker.Active))
	b.must(put(1, broker.Deleted))
	b.must(put(1, broker.Deleted)) // repeated
	k.is(b, 2, broker.Deleted, 1)
	b.wants(put(0, broker.Active), broker.ErrConflict)
	b.wants(put(2, broker.Active), broker.ErrConflict)
	k.is(b, 2, broker.Deleted, 1)
}

func (k kind) testLostAnswer(b *bench) {
	for version, losses := range []int{1, 1, 3} {
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error {
			return k.put(b.Context(), b.Stores, b.environment, int64(version), broker.Active, version)
		}))
		if left() != 0 {
			b.Fatalf("%d answers were not lost", left())
		}
		k.is(b, int64(version)+1, broker.Active, version)
	}
}

func (k kind) testEnvironments(b *bench) {
	b.must(k.put(b.Context(), b.Stores, b.other, 0, broker.Active, 1))
	if _, _, _, found := k.read(b, b.environment); found {
		b.Fatal("a row of one environment is read in another")
	}
	b.must(k.put(b.Context(), b.Stores, b.environment, 0, broker.Active, 2))
	b.must(k.put(b.Context(), b.Stores, b.environment, 1, broker.Revoked, 2))
	if version, state, mark, _ := k.read(b, b.other); version != 1 || state != broker.Active || mark != 1 {
		b.Fatal("a Put in one environment changed another")
	}
}

func testEnvironmentRow(b *bench) {
	put := func(version int64, state broker.State) error {
		return b.Writer.PutEnvironment(b.Context(), broker.Environment{Name: b.environment, Version: version, State: state})
	}
	is := func(version int64, state broker.State) {
		b.Helper()
		e := b.snapshot(lookup(b.environment)).Environment
		if e == nil || *e != (broker.Environment{Name: b.environment, Version: version, State: state}) {
			b.Fatalf("stored: %+v", e)
		}
	}
	b.wants(put(1, broker.Active), broker.ErrConflict)
	b.must(put(0, broker.Active))
	b.must(put(0, broker.Active)) // repeated
	is(1, broker.Active)
	b.wants(put(0, broker.Suspended), broker.ErrConflict)
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error { return put(1, broker.Suspended) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	is(2, broker.Suspended)
	b.must(put(2, broker.Deleted))
	b.wants(put(3, broker.Active), broker.ErrConflict)
	b.wants(put(0, broker.Active), broker.ErrConflict)
	is(3, broker.Deleted)
	if e := b.snapshot(lookup(b.other)).Environment; e != nil {
		b.Fatalf("another environment exists: %+v", e)
	}
}

// testEnvironmentRace has fewer contents than writers: those who wanted what
// the winner wrote may be told that it is done.
func testEnvironmentRace(b *bench) {
	states := []broker.State{broker.Active, broker.Pending, broker.Suspended, broker.Revoked}
	errs := race(racers, func(i int) error {
		return b.persist(func() error {
			return b.Writer.PutEnvironment(b.Context(), broker.Environment{Name: b.environment, State: states[i%len(states)]})
		})
	})
	e := b.snapshot(lookup(b.environment)).Environment
	if e == nil || e.Version != 1 {
		b.Fatalf("stored: %+v", e)
	}
	for i, err := range errs {
		if won := states[i%len(states)] == e.State; won != (err == nil) {
			b.Fatalf("%q is stored, and the writer of %q got %v", e.State, states[i%len(states)], err)
		}
		if err != nil && !errors.Is(err, broker.ErrConflict) {
			b.Fatal(err)
		}
	}
}
