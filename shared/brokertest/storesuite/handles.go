package storesuite

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testHandles(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a handle is read as it was added, and taken once": testHandleTaken,
		"an id is taken once":                              testHandleAdded,
		"a handle past its end is not found":               testHandleExpired,
		"of sixteen takers exactly one gets the handle":    testHandleRace,
		"an added handle whose answer was lost is there":   testHandleAddedLost,
		"a taken handle whose answer was lost is lost":     testHandleTakenLost,
		"a handle is of one environment, kind and id":      testHandleApart,
		"handles that no backend may keep are refused":     testHandleRefused,
		"a backend that cannot be asked gives no handle":   testHandleUnavailable,
	})
}

func (b *bench) handle(id string) broker.Handle {
	return broker.Handle{Environment: b.environment, Kind: "ticket", ID: "d-1/#%2F é" + id, Body: []byte(`{"for":"é` + id + `"}`),
		Expires: b.clock.Now().Add(10*time.Minute + 1).In(time.FixedZone("", 3600))}
}

func (b *bench) takeHandle(h broker.Handle) (broker.Handle, error) {
	return b.Handles.TakeHandle(b.Context(), h.Environment, h.Kind, h.ID, b.clock.Now())
}

func (b *bench) noHandle(h broker.Handle) {
	b.Helper()
	read, err := b.Handles.Handle(b.Context(), h.Environment, h.Kind, h.ID, b.clock.Now())
	b.wants(err, broker.ErrNotFound)
	taken, err := b.takeHandle(h)
	b.wants(err, broker.ErrNotFound)
	if d := cmp.Diff([]broker.Handle{{}, {}}, []broker.Handle{read, taken}, compare); d != "" {
		b.Fatalf("a handle was given beside the error: %s", d)
	}
}

func testHandleTaken(b *bench) {
	h := b.handle("")
	b.noHandle(h)
	b.must(b.Handles.AddHandle(b.Context(), h))
	for range 2 {
		got, err := b.Handles.Handle(b.Context(), h.Environment, h.Kind, h.ID, b.clock.Now())
		b.must(err)
		if d := cmp.Diff(h, got, compare); d != "" {
			b.Fatal(d)
		}
	}
	got, err := b.takeHandle(h)
	b.must(err)
	if d := cmp.Diff(h, got, compare); d != "" {
		b.Fatal(d)
	}
	b.noHandle(h)
}

func testHandleAdded(b *bench) {
	h := b.handle("")
	b.must(b.Handles.AddHandle(b.Context(), h))
	other := h
	other.Body = []byte("{}")
	b.wants(b.Handles.AddHandle(b.Context(), other), broker.ErrConflict)
	other = h
	other.Expires = h.Expires.Add(1)
	b.wants(b.Handles.AddHandle(b.Context(), other), broker.ErrConflict)
	got, err := b.takeHandle(h)
	b.must(err)
	if d := cmp.Diff(h, got, compare); d != "" {
		b.Fatal(d)
	}
	large := b.handle("large")
	large.Body = []byte(`"` + strings.Repeat("x", 64<<10-2) + `"`)
	b.must(b.Handles.AddHandle(b.Context(), large))
	got, err = b.takeHandle(large)
	b.must(err)
	if d := cmp.Diff(large, got, compare); d != "" {
		b.Fatal(d)
	}
}

func testHandleExpired(b *bench) {
	h := b.handle("")
	b.must(b.Handles.AddHandle(b.Context(), h))
	b.clock.Advance(10 * time.Minute)
	if _, err := b.Handles.Handle(b.Context(), h.Environment, h.Kind, h.ID, b.clock.Now()); err != nil {
		b.Fatal(err)
	}
	b.clock.Advance(1)
	b.noHandle(h)
}

func testHandleRace(b *bench) {
	for n := range 4 {
		h := b.handle(text(n))
		b.must(b.Handles.AddHandle(b.Context(), h))
		taken := 0
		for _, err := range race(racers, func(int) error { _, err := b.takeHandle(h); return err }) {
			if err == nil {
				taken++
			} else {
				b.wants(err, broker.ErrNotFound)
			}
		}
		if taken != 1 {
			b.Fatalf("%d got the handle", taken)
		}
	}
}

func testHandleAddedLost(b *bench) {
	h := b.handle("")
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error { return b.Handles.AddHandle(b.Context(), h) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	if _, err := b.Handles.Handle(b.Context(), h.Environment, h.Kind, h.ID, b.clock.Now()); err != nil {
		b.Fatal(err)
	}
}

func testHandleTakenLost(b *bench) {
	h := b.handle("")
	b.must(b.Handles.AddHandle(b.Context(), h))
	left := b.LoseAnswers(1)
	b.wants(b.persist(func() error { _, err := b.takeHandle(h); return err }), broker.ErrNotFound)
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.noHandle(h)
}

func testHandleApart(b *bench) {
	h := b.handle("")
	b.must(b.Handles.AddHandle(b.Context(), h))
	for _, alter := range []func(*broker.Handle){
		func(h *broker.Handle) { h.Environment = b.other },
		func(h *broker.Handle) { h.Kind = "login" },
		func(h *broker.Handle) { h.ID = "d-1" },
	} {
		other := h
		alter(&other)
		b.noHandle(other)
		b.must(b.Handles.AddHandle(b.Context(), other))
		_, err := b.takeHandle(other)
		b.must(err)
	}
	_, err := b.takeHandle(h)
	b.must(err)
}

func testHandleRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Handle){
		"no environment":      func(h *broker.Handle) { h.Environment = "" },
		"a kind that is none": func(h *broker.Handle) { h.Kind = "a/b" },
		"no id":               func(h *broker.Handle) { h.ID = "" },
		"a huge id":           func(h *broker.Handle) { h.ID = strings.Repeat("x", broker.MaxID+1) },
		"no body":             func(h *broker.Handle) { h.Body = nil },
		"no JSON":             func(h *broker.Handle) { h.Body = []byte("{") },
		"a huge body":         func(h *broker.Handle) { h.Body = []byte(`"` + strings.Repeat("x", 64<<10) + `"`) },
		"no end":              func(h *broker.Handle) { h.Expires = time.Time{} },
	} {
		h := b.handle("")
		spoil(&h)
		if err := b.Handles.AddHandle(b.Context(), h); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, h := range []broker.Handle{{}, {Environment: b.environment, Kind: "ticket"}, {Environment: "a/b", Kind: "ticket", ID: "x"}} {
		_, err := b.Handles.Handle(b.Context(), h.Environment, h.Kind, h.ID, b.clock.Now())
		b.wants(err, broker.ErrInvalid)
		_, err = b.takeHandle(h)
		b.wants(err, broker.ErrInvalid)
	}
	b.noHandle(b.handle(""))
}

func testHandleUnavailable(b *bench) {
	h := b.handle("")
	b.must(b.Handles.AddHandle(b.Context(), h))
	heal := b.Fail()
	read, err := b.Handles.Handle(b.Context(), h.Environment, h.Kind, h.ID, b.clock.Now())
	taken, untaken := b.takeHandle(h)
	added := b.Handles.AddHandle(b.Context(), b.handle("another"))
	heal()
	for _, err := range []error{err, untaken, added} {
		b.wants(err, broker.ErrUnavailable)
	}
	if d := cmp.Diff([]broker.Handle{{}, {}}, []broker.Handle{read, taken}, compare); d != "" {
		b.Fatalf("a handle was given beside the error: %s", d)
	}
	_, err = b.takeHandle(h)
	b.must(err)
}
