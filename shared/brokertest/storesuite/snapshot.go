package storesuite

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bindery/shared/broker"
)

// compare takes values with unexported fields by ==, and an empty list for none.
var compare = cmp.Options{cmpopts.EquateComparable(broker.Reference{}, netip.Prefix{}), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b broker.Server) bool { return reflect.DeepEqual(a, b) })}

func testSnapshot(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of every row comes back":            testSnapshotWhole,
		"what is not there is nil":                       testSnapshotEmpty,
		"only what was looked up is read":                testSnapshotNarrow,
		"all tools of the server, and of no other":       testSnapshotTools,
		"ids with separators do not meet":                testSnapshotSeparators,
		"a lookup that no row could answer is refused":   testSnapshotInvalid,
		"a backend that cannot be asked gives nothing":   testSnapshotUnavailable,
		"a caller who is gone gets nothing":              testSnapshotCanceled,
		"a Put is seen by every read that begins after":  testSnapshotFresh,
		"each server and each caller has bindings apart": testSnapshotApart,
	})
}

// fill stores one full row of each kind.
func fill(b *bench, environment string) broker.Snapshot {
	b.Helper()
	ctx := b.Context()
	e := fullEnvironment(environment)
	store, server, agent, record := fullStore(environment), fullServer(environment), fullAgent(environment), fullTool(environment)
	shared, personal := fullBinding(environment, "shared", group), fullBinding(environment, "personal", broker.Actor{Principal: alice, Agent: robot})
	markers := []broker.Marker{fullMarker(environment, broker.PrincipalMarker, alice), fullMarker(environment, broker.AgentMarker, robot),
		fullMarker(environment, broker.SessionMarker, session), fullMarker(environment, broker.GroupMarker, group.Group),
		fullMarker(environment, broker.BindingMarker, "github/other")}
	for _, err := range []error{b.Writer.PutEnvironment(ctx, e), b.Writer.PutStore(ctx, store), b.Writer.PutServer(ctx, server),
		b.Writer.PutAgent(ctx, agent), b.Writer.PutTool(ctx, record), b.Writer.PutBinding(ctx, shared), b.Writer.PutBinding(ctx, personal),
	} {
		b.must(err)
	}
	for _, m := range markers {
		b.must(b.Markers.PutMarker(ctx, m))
	}
	for _, version := range []*int64{&e.Version, &store.Version, &server.Version, &agent.Version, &record.Version, &shared.Version, &personal.Version} {
		*version = 1
	}
	return broker.Snapshot{Environment: &e, Stores: []broker.Store{store}, Server: &server, Shared: []broker.Binding{shared},
		Personal: []broker.Binding{personal}, Agent: &agent, Tool: &record, Tools: []broker.Tool{record}, Markers: markers}
}

func testSnapshotWhole(b *bench) {
	want := fill(b, b.environment)
	for _, row := range []any{*want.Environment, want.Stores[0], *want.Server, *want.Agent, *want.Tool, want.Shared[0], want.Markers[0],
		want.Server.Limits, want.Agent.Limits} {
		v := reflect.ValueOf(row)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				b.Fatalf("the full %T leaves %s out: it would not be seen if it got lost", row, v.Type().Field(i).Name)
			}
		}
	}
	for range 3 { // a backend may keep several copies
		got := b.snapshot(lookup(b.environment))
		byKind := cmpopts.SortSlices(func(x, y broker.Marker) bool { return x.Kind < y.Kind })
		if d := cmp.Diff(want, got, compare, byKind); d != "" {
			b.Fatal(d)
		}
	}
}

func testSnapshotEmpty(b *bench) {
	fill(b, b.other)
	if d := cmp.Diff(broker.Snapshot{}, b.snapshot(lookup(b.environment)), compare); d != "" {
		b.Fatal(d)
	}
}

func testSnapshotNarrow(b *bench) {
	fill(b, b.environment)
	s := b.snapshot(broker.Lookup{Route: b.route()})
	if s.Environment == nil || s.Server == nil || len(s.Stores) != 1 || len(s.Shared) != 1 {
		b.Fatalf("the route's own rows are missing: %+v", s)
	}
	if s.Personal != nil || s.Agent != nil || s.Tool != nil || s.Tools != nil || len(s.Markers) != 2 {
		b.Fatalf("more than the route was read: %+v", s)
	}
	s = b.snapshot(broker.Lookup{Route: b.route(), Principal: robot, Agent: alice, Tool: "other", Session: alice})
	if s.Personal != nil || s.Agent != nil || s.Tool != nil || s.Tools != nil || len(s.Markers) != 2 {
		b.Fatalf("rows of others were read: %+v", s)
	}
}

// testSnapshotTools stores more than a megabyte, which is what a query gives
// at once. A tool that was deleted is among them: to a list it must be known.
func testSnapshotTools(b *bench) {
	const many = 40
	long := make([]string, 31)
	for i := range long {
		long[i] = strings.Repeat("x", 1000)
	}
	want := map[string]broker.State{}
	for i := range many {
		v := fullTool(b.environment)
		v.Name, v.Teams = fmt.Sprintf("tool/%d", i), long
		b.must(b.Writer.PutTool(b.Context(), v))
		want[v.Name] = broker.Active
		if i%10 == 0 {
			v.Version, v.State = 1, broker.Deleted
			b.must(b.Writer.PutTool(b.Context(), v))
			want[v.Name] = broker.Deleted
		}
	}
	elsewhere, next := fullTool(b.other), fullTool(b.environment)
	next.Server = "github-2"
	b.must(errors.Join(b.Writer.PutTool(b.Context(), elsewhere), b.Writer.PutTool(b.Context(), next)))
	got := map[string]broker.State{}
	for _, v := range b.snapshot(broker.Lookup{Route: b.route(), Tools: true}).Tools {
		got[v.Name] = v.State
	}
	if d := cmp.Diff(want, got); d != "" {
		b.Fatal(d)
	}
	if s := b.snapshot(broker.Lookup{Route: b.route(), Tool: "tool/1"}); s.Tool == nil || s.Tools != nil {
		b.Fatalf("a call of one tool reads %d", len(s.Tools))
	}
}

func testSnapshotSeparators(b *bench) {
	ids := []string{"a/b", "a", "b", "a%2Fb", "a%252Fb", "a#b", "a#", "#a", "/a", "a/", "a//b", "a b", "a+b", "é", "%", "a/../b", "name/a", strings.Repeat("/", 256)}
	for _, id := range ids {
		agent, record, card := fullAgent(b.environment), fullTool(b.environment), fullBinding(b.environment, broker.Digest(id), broker.Actor{Principal: id})
		agent.ID, record.Name = id, id
		b.must(b.Writer.PutAgent(b.Context(), agent))
		b.must(b.Writer.PutTool(b.Context(), record))
		b.must(b.Writer.PutBinding(b.Context(), card))
		b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.PrincipalMarker, id)))
		b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.SessionMarker, id)))
	}
	for _, id := range ids {
		s := b.snapshot(broker.Lookup{Route: b.route(), Principal: id, Agent: id, Tool: id, Session: id})
		if s.Agent == nil || s.Agent.ID != id || s.Tool == nil || s.Tool.Name != id ||
			len(s.Personal) != 1 || s.Personal[0].Actor.Principal != id || len(s.Markers) != 2 || s.Markers[0].ID != id || s.Markers[1].ID != id {
			b.Fatalf("%q reads %+v", id, s)
		}
	}
}

func testSnapshotInvalid(b *bench) {
	long := strings.Repeat("x", broker.MaxID+1)
	for _, l := range []broker.Lookup{
		{}, {Route: broker.Route{Environment: b.environment}}, {Route: broker.Route{Environment: "A/b", Server: "github"}},
		{Route: broker.Route{Environment: b.environment, Server: "github/x"}},
		{Route: b.route(), Principal: long}, {Route: b.route(), Agent: long}, {Route: b.route(), Tool: long}, {Route: b.route(), Tool: "\xff"},
		{Route: b.route(), Session: long}, {Route: b.route(), Session: "\xff", Tools: true},
	} {
		s, err := b.Catalogue.Snapshot(b.Context(), l)
		b.wants(err, broker.ErrInvalid)
		isEmpty(b, s)
	}
}

func isEmpty(b *bench, s broker.Snapshot) {
	b.Helper()
	if !reflect.DeepEqual(s, broker.Snapshot{}) {
		b.Fatalf("something was given out beside the error: %+v", s)
	}
}

func testSnapshotUnavailable(b *bench) {
	fill(b, b.environment)
	heal := b.Fail()
	s, err := b.Catalogue.Snapshot(b.Context(), lookup(b.environment))
	heal()
	b.wants(err, broker.ErrUnavailable)
	isEmpty(b, s)
	if b.snapshot(lookup(b.environment)).Server == nil {
		b.Fatal("not healed")
	}
}

func testSnapshotCanceled(b *bench) {
	fill(b, b.environment)
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	s, err := b.Catalogue.Snapshot(ctx, lookup(b.environment))
	b.wants(err, broker.ErrUnavailable)
	b.wants(err, context.Canceled)
	isEmpty(b, s)
}

func testSnapshotFresh(b *bench) {
	states := []broker.State{broker.Active, broker.Suspended}
	for version := range int64(20) {
		want := states[version%2]
		b.must(b.Writer.PutEnvironment(b.Context(), broker.Environment{Name: b.environment, Version: version, State: want}))
		if e := b.snapshot(broker.Lookup{Route: b.route()}).Environment; e == nil || e.State != want {
			b.Fatalf("version %d was acknowledged and %+v is read", version+1, e)
		}
	}
}

func testSnapshotApart(b *bench) {
	jira := fullBinding(b.environment, "jira-card", group)
	jira.Server = "jira"
	bob := fullBinding(b.environment, "bob-card", broker.Actor{Principal: "p-bob"})
	prefix := fullBinding(b.environment, "prefix-card", broker.Actor{Principal: alice + "x"})
	b.must(errors.Join(b.Writer.PutBinding(b.Context(), jira), b.Writer.PutBinding(b.Context(), bob), b.Writer.PutBinding(b.Context(), prefix)))
	if s := b.snapshot(lookup(b.environment)); len(s.Shared)+len(s.Personal) != 0 {
		b.Fatalf("bindings of others are read: %+v", s)
	}
}
