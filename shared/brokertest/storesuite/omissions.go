package storesuite

import (
	"errors"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testOmissions(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"how far was looked moves from where it is":   testLooked,
		"of many who move it one does":                testLookedRace,
		"a move whose answer was lost is repeated":    testLookedLost,
		"an intent without outcome is found":          testOmissionFound,
		"beside what else is asked":                   testOmissionFilters,
		"what is no intent is none without outcome":   testOmissionRefused,
		"an intent is added though answers were lost": testOmissionLost,
		"nothing is known where nothing can be read":  testOmissionsUnavailable,
	})
}

func (b *bench) looked(want time.Time) {
	b.Helper()
	got, err := b.Intents.Looked(b.Context(), b.environment)
	b.must(err)
	if !got.Equal(want) {
		b.Errorf("looked until %v, want %v", got, want)
	}
}

func (b *bench) moveLooked(from, to time.Time) error {
	return b.Intents.MoveLooked(b.Context(), b.environment, from, to)
}

func testLooked(b *bench) {
	at := b.clock.Now()
	b.looked(time.Time{})
	b.wants(b.moveLooked(at, at.Add(time.Hour)), broker.ErrConflict)
	b.must(b.moveLooked(time.Time{}, at))
	b.looked(at)
	b.must(b.moveLooked(time.Time{}, at)) // it is there
	b.wants(b.moveLooked(time.Time{}, at.Add(time.Minute)), broker.ErrConflict)
	b.must(b.moveLooked(at, at.Add(time.Hour)))
	b.must(b.moveLooked(at.Add(time.Hour), at.Add(-time.Hour))) // back, for what came late
	b.looked(at.Add(-time.Hour))
	elsewhere, err := b.Intents.Looked(b.Context(), b.other)
	b.must(err)
	if !elsewhere.IsZero() {
		b.Error("another environment was moved")
	}
	b.wants(b.moveLooked(at, time.Time{}), broker.ErrInvalid)
	b.wants(b.Intents.MoveLooked(b.Context(), "", time.Time{}, at), broker.ErrInvalid)
}

func testLookedRace(b *bench) {
	at := b.clock.Now()
	b.must(b.moveLooked(time.Time{}, at))
	moved := 0
	for i, err := range race(8, func(i int) error { return b.moveLooked(at, at.Add(time.Duration(i+1)*time.Minute)) }) {
		switch {
		case err == nil:
			moved++
			b.looked(at.Add(time.Duration(i+1) * time.Minute))
		case !errors.Is(err, broker.ErrConflict):
			b.Error(err)
		}
	}
	if moved != 1 {
		b.Errorf("%d moved it", moved)
	}
}

func testLookedLost(b *bench) {
	at := b.clock.Now()
	left := b.LoseAnswers(1)
	b.must(b.persist(func() error { return b.moveLooked(time.Time{}, at) }))
	if left() != 0 {
		b.Error("no answer was lost")
	}
	b.looked(at)
}

// omission adds the intent of a record.
func (b *bench) omission(r broker.Record) broker.Entry {
	b.Helper()
	e, err := broker.EntryOf(r)
	b.must(err)
	b.must(b.Intents.AddWithoutOutcome(b.Context(), e))
	return e
}

func testOmissionFound(b *bench) {
	at := b.clock.Now()
	with, without := b.recordOf(at.Add(time.Second), broker.Intent), b.recordOf(at, broker.Intent)
	b.index(with, without)
	found := b.always()
	found.WithoutOutcome = true
	if got := b.all(found, 10); len(got) != 0 {
		b.Errorf("found before it was added: %+v", got)
	}
	e := b.omission(without)
	b.omission(without)
	if d := gocmp.Diff([]broker.Entry{e}, b.all(found, 10)); d != "" {
		b.Error(d)
	}
	found.Environment = b.other
	if got := b.all(found, 10); len(got) != 0 {
		b.Errorf("another environment has it: %+v", got)
	}
}

func testOmissionFilters(b *bench) {
	var all []broker.Record
	for i := range 7 {
		r := b.recordOf(b.clock.Now().Add(time.Duration(-20*i)*24*time.Hour), broker.Intent)
		if i%2 == 0 {
			r.Server, r.Principal = "jira", "p-1"
		}
		b.omission(r)
		all = append(all, r)
	}
	for _, f := range b.questions() {
		f.WithoutOutcome = true
		for _, limit := range []int{2, 100} {
			if d := gocmp.Diff(b.expected(f, all), b.all(f, limit)); d != "" {
				b.Errorf("%v in pages of %d: %s", f, limit, d)
			}
		}
	}
}

func testOmissionRefused(b *bench) {
	e, err := broker.EntryOf(b.recordOf(b.clock.Now(), broker.Outcome))
	b.must(err)
	b.wants(b.Intents.AddWithoutOutcome(b.Context(), e), broker.ErrInvalid)
	e.Phase, e.Receipt = broker.Intent, "no receipt"
	b.wants(b.Intents.AddWithoutOutcome(b.Context(), e), broker.ErrInvalid)
}

func testOmissionLost(b *bench) {
	e, err := broker.EntryOf(b.recordOf(b.clock.Now(), broker.Intent))
	b.must(err)
	left := b.LoseAnswers(1)
	b.must(b.persist(func() error { return b.Intents.AddWithoutOutcome(b.Context(), e) }))
	found := b.always()
	found.WithoutOutcome = true
	if d := gocmp.Diff([]broker.Entry{e}, b.all(found, 10)); d != "" || left() != 0 {
		b.Error(d)
	}
}

func testOmissionsUnavailable(b *bench) {
	at := b.clock.Now()
	e, err := broker.EntryOf(b.recordOf(at, broker.Intent))
	b.must(err)
	heal := b.Fail()
	_, err = b.Intents.Looked(b.Context(), b.environment)
	b.wants(err, broker.ErrUnavailable)
	b.wants(b.moveLooked(time.Time{}, at), broker.ErrUnavailable)
	b.wants(b.Intents.AddWithoutOutcome(b.Context(), e), broker.ErrUnavailable)
	heal()
	b.looked(time.Time{})
}
