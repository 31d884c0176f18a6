package storesuite

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func fullAssignment(environment, name string) broker.Assignment {
	return broker.Assignment{Environment: environment, Name: name, State: broker.Active, Store: "aws-sm",
		Paths:  broker.Scope{"prod/github/*", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:x-AbCdEf"},
		Groups: []string{"engineers", "Équipe <git>"}, Servers: []string{"github", "jira"}}
}

var assignmentKind = kind{
	put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
		v := fullAssignment(environment, "git")
		v.Version, v.State, v.Groups = version, state, []string{text(mark)}
		return w.Assigned.PutAssignment(ctx, v)
	},
	read: func(b *bench, environment string) (int64, broker.State, int, bool) {
		b.Helper()
		all, err := b.Assigned.Assignments(b.Context(), environment, broker.Page{Limit: 2})
		b.must(err)
		if len(all) != 1 {
			return 0, "", 0, false
		}
		return all[0].Version, all[0].State, unmark(all[0].Groups[0]), true
	},
}

func ofAssignment(v broker.Assignment) entry { return entry{v.Name, v.Version, v.State} }

var assignmentListing = listing{
	names: plainNames,
	put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
		v := fullAssignment(environment, name)
		v.Version, v.State = version, state
		return s.Assigned.PutAssignment(ctx, v)
	},
	list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
		rows, err := s.Assigned.Assignments(ctx, environment, p)
		return entriesOf(rows, err, ofAssignment)
	},
	one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
		v, err := s.Assigned.Assignment(ctx, environment, name)
		return entryOf(v, err, ofAssignment)
	},
}

func testAssignments(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of an assignment comes back":         testAssignmentWhole,
		"assignments that nobody could read are refused":  testAssignmentRefused,
		"what the writer goes on to change is not stored": testAssignmentKept,
	})
}

func testAssignmentWhole(b *bench) {
	for name, want := range map[string]broker.Assignment{
		"full":     fullAssignment(b.environment, "full"),
		"smallest": {Environment: b.environment, Name: "smallest", State: broker.Pending, Store: "vault", Paths: broker.Scope{"*"}},
	} {
		b.must(b.Assigned.PutAssignment(b.Context(), want))
		want.Version = 1
		got, err := b.Assigned.Assignment(b.Context(), b.environment, name)
		b.must(err)
		if d := cmp.Diff(want, got, compare); d != "" {
			b.Fatal(d)
		}
	}
	_, err := b.Assigned.Assignment(b.Context(), b.environment, "none")
	b.wants(err, broker.ErrNotFound)
}

func testAssignmentKept(b *bench) {
	mine := fullAssignment(b.environment, "git")
	b.must(b.Assigned.PutAssignment(b.Context(), mine))
	mine.Paths[0], mine.Groups[0], mine.Servers[0] = "*", "everybody", "jira"
	got, err := b.Assigned.Assignment(b.Context(), b.environment, "git")
	b.must(err)
	want := fullAssignment(b.environment, "git")
	want.Version = 1
	if d := cmp.Diff(want, got, compare); d != "" {
		b.Fatal(d)
	}
}

func testAssignmentRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Assignment){
		"no name":               func(v *broker.Assignment) { v.Name = "" },
		"no environment":        func(v *broker.Assignment) { v.Environment = "" },
		"a name that is none":   func(v *broker.Assignment) { v.Name = "a/b" },
		"no store":              func(v *broker.Assignment) { v.Store = "" },
		"no paths":              func(v *broker.Assignment) { v.Paths = nil },
		"a path that is none":   func(v *broker.Assignment) { v.Paths = broker.Scope{"a*b/*"} },
		"a server that is none": func(v *broker.Assignment) { v.Servers = []string{"GitHub"} },
		"a group of no text":    func(v *broker.Assignment) { v.Groups = []string{"\xff"} },
		"too many groups":       func(v *broker.Assignment) { v.Groups = make([]string, 257) },
		"an unknown state":      func(v *broker.Assignment) { v.State = "alive" },
	} {
		v := fullAssignment(b.environment, "git")
		spoil(&v)
		if err := b.Assigned.PutAssignment(b.Context(), v); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, bad := range []string{"", "a/b", "\xff"} {
		_, err := b.Assigned.Assignment(b.Context(), b.environment, bad)
		b.wants(err, broker.ErrInvalid)
		_, err = b.Assigned.Assignment(b.Context(), bad, "git")
		b.wants(err, broker.ErrInvalid)
	}
	all, err := b.Assigned.Assignments(b.Context(), b.environment, broker.Page{Limit: 1})
	b.must(err)
	if len(all) != 0 {
		b.Fatalf("stored: %+v", all)
	}
}
