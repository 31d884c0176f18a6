package storesuite

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testMarkers(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"an epoch follows the one before and no other":          testMarkerEpochs,
		"un-revoking is a new epoch and not an absence":         testMarkerUnrevoked,
		"a marker of a session binds that session alone":        testMarkerSession,
		"of sixteen writers exactly one wins":                   testMarkerRace,
		"an applied marker whose answer was lost is recognised": testMarkerLost,
		"a marker that no decision reads is refused":            testMarkerRefused,
		"a marker binds in its own environment and kind only":   testMarkerApart,
	})
}

func (b *bench) markers() []broker.Marker {
	b.Helper()
	return b.snapshot(lookup(b.environment)).Markers
}

func (b *bench) putMarker(epoch int64, reason string) error {
	m := fullMarker(b.environment, broker.PrincipalMarker, alice)
	m.Epoch, m.Reason = epoch, reason
	return b.Markers.PutMarker(b.Context(), m)
}

func testMarkerEpochs(b *bench) {
	b.wants(b.putMarker(2, "early"), broker.ErrConflict)
	b.wants(b.putMarker(0, "none"), broker.ErrInvalid)
	if m := b.markers(); m != nil {
		b.Fatalf("a refused marker was stored: %+v", m)
	}
	b.must(b.putMarker(1, "first"))
	b.must(b.putMarker(1, "first")) // repeated
	b.wants(b.putMarker(1, "another"), broker.ErrConflict)
	b.wants(b.putMarker(3, "skipping"), broker.ErrConflict)
	b.must(b.putMarker(2, "second"))
	b.wants(b.putMarker(1, "first"), broker.ErrConflict)
	want := fullMarker(b.environment, broker.PrincipalMarker, alice)
	want.Epoch, want.Reason = 2, "second"
	if d := cmp.Diff([]broker.Marker{want}, b.markers()); d != "" {
		b.Fatal(d)
	}
}

func testMarkerUnrevoked(b *bench) {
	m := fullMarker(b.environment, broker.AgentMarker, robot)
	b.must(b.Markers.PutMarker(b.Context(), m))
	m.Epoch, m.Revoked = 2, false
	b.must(b.Markers.PutMarker(b.Context(), m))
	if d := cmp.Diff([]broker.Marker{m}, b.markers()); d != "" {
		b.Fatal(d)
	}
}

func testMarkerSession(b *bench) {
	m := fullMarker(b.environment, broker.SessionMarker, session)
	b.must(b.Markers.PutMarker(b.Context(), m))
	m.Epoch, m.Reason = 2, "again"
	b.must(b.Markers.PutMarker(b.Context(), m))
	for _, l := range []broker.Lookup{{Route: b.route(), Session: session}, lookup(b.environment)} {
		if d := cmp.Diff([]broker.Marker{m}, b.snapshot(l).Markers); d != "" {
			b.Fatal(d)
		}
	}
	for _, l := range []broker.Lookup{{Route: b.route()}, {Route: b.route(), Session: session + "1"},
		{Route: b.route(), Principal: session, Agent: session}, {Route: broker.Route{Environment: b.other, Server: "github"}, Session: session}} {
		if m := b.snapshot(l).Markers; m != nil {
			b.Fatalf("%+v reads %+v", l, m)
		}
	}
}

func testMarkerRace(b *bench) {
	for epoch := int64(1); epoch <= 2; epoch++ {
		errs := race(racers, func(i int) error {
			return b.persist(func() error { return b.putMarker(epoch, text(i)) })
		})
		winners := 0
		for i, err := range errs {
			if err != nil {
				b.wants(err, broker.ErrConflict)
				continue
			}
			winners++
			if m := b.markers(); m[0].Reason != text(i) || m[0].Epoch != epoch {
				b.Fatalf("writer %d was told it won, and %+v is stored", i, m)
			}
		}
		if winners != 1 {
			b.Fatalf("%d winners", winners)
		}
	}
}

func testMarkerLost(b *bench) {
	for i, losses := range []int{1, 3} {
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error { return b.putMarker(int64(i+1), "lost") }))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
	}
	if m := b.markers(); len(m) != 1 || m[0].Epoch != 2 {
		b.Fatalf("stored: %+v", m)
	}
}

func testMarkerRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Marker){
		"a kind that is not read": func(m *broker.Marker) { m.Kind = "team" },
		"no kind":                 func(m *broker.Marker) { m.Kind = "" },
		"no id":                   func(m *broker.Marker) { m.ID = "" },
		"no environment":          func(m *broker.Marker) { m.Environment = "" },
		"no time":                 func(m *broker.Marker) { m.At = m.At.AddDate(-9999, 0, 0) },
	} {
		m := fullMarker(b.environment, broker.PrincipalMarker, alice)
		spoil(&m)
		if err := b.Markers.PutMarker(b.Context(), m); err == nil {
			b.Fatalf("%s: acknowledged", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
}

func testMarkerApart(b *bench) {
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.other, broker.PrincipalMarker, alice)))
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.AgentMarker, alice)))
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.PrincipalMarker, robot)))
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.environment, broker.SessionMarker, alice)))
	b.must(b.Markers.PutMarker(b.Context(), fullMarker(b.other, broker.SessionMarker, session)))
	if m := b.markers(); m != nil {
		b.Fatalf("markers about others are read: %+v", m)
	}
}
