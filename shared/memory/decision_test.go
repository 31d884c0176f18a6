package memory_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

var route = broker.Route{Environment: "prod", Server: "github"}

var lookup = broker.Lookup{Route: route, Principal: "p-alice", Agent: "okta:robot", Tool: "create"}

// inhabited has one row of each kind, three bindings of alice, three for
// everyone, and one each for so many other people.
func inhabited(tb testing.TB, people int) *memory.DB {
	tb.Helper()
	s, ctx := memory.New(time.Now), tb.Context()
	errs := []error{
		s.PutEnvironment(ctx, broker.Environment{Name: "prod", State: broker.Active}),
		s.PutServer(ctx, broker.Server{Environment: "prod", Name: "github", State: broker.Active, URL: "https://mcp.example.com"}),
		s.PutAgent(ctx, broker.Agent{Environment: "prod", ID: "okta:robot", State: broker.Active}),
		s.PutTool(ctx, broker.Tool{Environment: "prod", Server: "github", Name: "create", State: broker.Active}),
	}
	bind := func(name string, actor broker.Actor) {
		errs = append(errs, s.PutBinding(ctx, broker.Binding{Environment: "prod", Server: "github", Name: name, State: broker.Active,
			Actor: actor, Mode: broker.ServiceAccount, Source: broker.Static}))
	}
	for i := range 3 {
		bind(fmt.Sprint("shared-", i), broker.Actor{Group: "engineers"})
		bind(fmt.Sprint("personal-", i), broker.Actor{Principal: "p-alice"})
	}
	for i := range people {
		bind(fmt.Sprint("of-", i), broker.Actor{Principal: fmt.Sprint("p-", i)})
	}
	if err := errors.Join(errs...); err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestADecisionCostsTheSameHoweverManyPeopleHaveBindings(t *testing.T) {
	allocations := func(people int) float64 {
		s := inhabited(t, people)
		return testing.AllocsPerRun(100, func() {
			if got, err := s.Snapshot(t.Context(), lookup); err != nil || len(got.Personal) != 3 || len(got.Shared) != 3 {
				t.Fatalf("%v: %+v", err, got)
			}
		})
	}
	if few, many := allocations(10), allocations(20_000); few != many || few > 3 {
		t.Fatalf("%v allocations among 10 people, %v among 20,000", few, many)
	}
}

func BenchmarkDecisionReads(b *testing.B) {
	for _, people := range []int{10, 1_000, 100_000} {
		s := inhabited(b, people)
		b.Run(fmt.Sprintf("people=%d", people), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Snapshot(b.Context(), lookup); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestFaultsHappenOnceEachInOrder(t *testing.T) {
	s, ctx := inhabited(t, 0), t.Context()
	marker := broker.Marker{Environment: "prod", Kind: broker.AgentMarker, ID: "okta:robot", Epoch: 1, Revoked: true, At: time.Now()}
	markers := func() int {
		t.Helper()
		got, err := s.Snapshot(ctx, lookup)
		if err != nil {
			t.Fatal(err)
		}
		return len(got.Markers)
	}
	calls := s.Calls(memory.PutMarker)
	s.Inject(memory.PutMarker, memory.Refuse(), memory.Lose())
	if err := s.PutMarker(ctx, marker); !errors.Is(err, broker.ErrUnavailable) || markers() != 0 {
		t.Fatalf("refused: %v, %d stored", err, markers())
	}
	if err := s.PutMarker(ctx, marker); !errors.Is(err, broker.ErrUnavailable) || markers() != 1 {
		t.Fatalf("lost: %v, %d stored", err, markers())
	}
	if err := s.PutMarker(ctx, marker); err != nil || markers() != 1 {
		t.Fatalf("repeated: %v, %d stored", err, markers())
	}
	if n := s.Calls(memory.PutMarker) - calls; n != 3 {
		t.Fatalf("%d calls were counted", n)
	}
}

func TestALostPageWithholdsTheWholeSnapshot(t *testing.T) {
	s := inhabited(t, 0)
	s.Inject(memory.Snapshot, memory.Lose())
	got, err := s.Snapshot(t.Context(), lookup)
	if !errors.Is(err, broker.ErrUnavailable) || !reflect.DeepEqual(got, broker.Snapshot{}) {
		t.Fatalf("%v beside %+v", err, got)
	}
}

func TestADelayEndsWithItsCaller(t *testing.T) {
	s := inhabited(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	s.Inject(memory.Snapshot, memory.Fault{Wait: func(ctx context.Context) { cancel(); <-ctx.Done() }})
	if _, err := s.Snapshot(ctx, lookup); !errors.Is(err, context.Canceled) || !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
}

// TestWhatWasGivenOutDoesNotChange holds the copies that readers keep.
func TestWhatWasGivenOutDoesNotChange(t *testing.T) {
	s, ctx := inhabited(t, 0), t.Context()
	before, err := s.Snapshot(ctx, lookup)
	if err != nil {
		t.Fatal(err)
	}
	kept := []string{before.Shared[0].Name, before.Personal[0].Name, string(before.Server.State)}
	b, server := before.Shared[0], *before.Server
	b.Actor = broker.Actor{Principal: "p-alice"}
	server.State = broker.Suspended
	if err := errors.Join(s.PutBinding(ctx, b), s.PutServer(ctx, server)); err != nil {
		t.Fatal(err)
	}
	if after := []string{before.Shared[0].Name, before.Personal[0].Name, string(before.Server.State)}; !reflect.DeepEqual(kept, after) {
		t.Fatalf("%q became %q", kept, after)
	}
	tools := []string{"read"}
	b.Version, b.Allow.Tools = 2, tools
	if err := s.PutBinding(ctx, b); err != nil {
		t.Fatal(err)
	}
	tools[0] = "delete"
	now, err := s.Snapshot(ctx, lookup)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range now.Personal {
		if p.Name == b.Name && p.Allow.Tools[0] != "read" {
			t.Fatal("the writer's own slice was kept")
		}
	}
}
