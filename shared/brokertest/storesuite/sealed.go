package storesuite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bindery/shared/broker"
)

func testSealed(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"the latest and the one before, newest first":          testSealedLatest,
		"a version follows the one before and no other":        testSealedVersions,
		"of sixteen writers exactly one wins":                  testSealedRace,
		"an applied value whose answer was lost is recognised": testSealedLost,
		"a deleted value's versions go on":                     testSealedDeleted,
		"nothing is read in another environment":               testSealedApart,
		"values that could not be read back are refused":       testSealedRefused,
	})
	testNameLists(t, backend, "names of sealed values", nameList{
		names: wildNames,
		add: func(b *bench, environment, name string) error {
			v := b.sealedValue(1, name)
			v.Environment, v.ID = environment, name
			return b.Sealed.PutSealed(b.Context(), v)
		},
		page: func(b *bench, environment string, p broker.Page) ([]string, error) {
			return b.Names.SealedNames(b.Context(), environment, p)
		},
	})
}

const sealedID = "github/token#1"

func (b *bench) sealedValue(version int64, text string) broker.SealedValue {
	return broker.SealedValue{Environment: b.environment, ID: sealedID, Version: version, State: broker.Active,
		Sealed: []byte(text + "\x00\xff"), At: time.Date(2026, 3, 1, 12, 0, int(version), 7, time.UTC)}
}

func (b *bench) latest(want ...broker.SealedValue) {
	b.Helper()
	got, err := b.Sealed.Latest(b.Context(), b.environment, sealedID)
	if len(want) == 0 {
		b.wants(err, broker.ErrNotFound)
		return
	}
	b.must(err)
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		b.Fatal(d)
	}
}

func testSealedLatest(b *bench) {
	b.latest()
	var last []broker.SealedValue
	for version := int64(1); version <= 4; version++ {
		v := b.sealedValue(version, text(int(version)))
		b.must(b.Sealed.PutSealed(b.Context(), v))
		last = append([]broker.SealedValue{v}, last...)
		b.latest(last[:min(2, len(last))]...)
	}
}

func testSealedVersions(b *bench) {
	first, second := b.sealedValue(1, "a"), b.sealedValue(2, "b")
	b.wants(b.Sealed.PutSealed(b.Context(), second), broker.ErrConflict)
	b.latest()
	b.must(b.Sealed.PutSealed(b.Context(), first))
	b.must(b.Sealed.PutSealed(b.Context(), first)) // repeated
	b.wants(b.Sealed.PutSealed(b.Context(), b.sealedValue(1, "other")), broker.ErrConflict)
	b.wants(b.Sealed.PutSealed(b.Context(), b.sealedValue(3, "c")), broker.ErrConflict)
	b.latest(first)
	b.must(b.Sealed.PutSealed(b.Context(), second))
	b.must(b.Sealed.PutSealed(b.Context(), second)) // repeated: the one before is still the first
	b.wants(b.Sealed.PutSealed(b.Context(), first), broker.ErrConflict)
	b.latest(second, first)
}

func testSealedRace(b *bench) {
	first := b.sealedValue(1, "first")
	b.must(b.Sealed.PutSealed(b.Context(), first))
	errs := race(racers, func(i int) error {
		return b.persist(func() error { return b.Sealed.PutSealed(b.Context(), b.sealedValue(2, text(i))) })
	})
	winner := -1
	for i, err := range errs {
		switch {
		case err != nil:
			b.wants(err, broker.ErrConflict)
		case winner >= 0:
			b.Fatalf("writers %d and %d both won", winner, i)
		default:
			winner = i
		}
	}
	if winner < 0 {
		b.Fatal("nobody won")
	}
	b.latest(b.sealedValue(2, text(winner)), first)
}

func testSealedLost(b *bench) {
	first, second := b.sealedValue(1, "a"), b.sealedValue(2, "b")
	for i, v := range []broker.SealedValue{first, second} {
		left := b.LoseAnswers(1 + 2*i)
		b.must(b.persist(func() error { return b.Sealed.PutSealed(b.Context(), v) }))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
	}
	b.latest(second, first)
}

func testSealedDeleted(b *bench) {
	first, dead, again := b.sealedValue(1, "a"), b.sealedValue(2, ""), b.sealedValue(3, "b")
	dead.State, dead.Sealed = broker.Deleted, nil
	for _, v := range []broker.SealedValue{first, dead} {
		b.must(b.Sealed.PutSealed(b.Context(), v))
	}
	b.latest(dead, first)
	b.wants(b.Sealed.PutSealed(b.Context(), b.sealedValue(1, "restart")), broker.ErrConflict)
	b.must(b.Sealed.PutSealed(b.Context(), again))
	b.latest(again, dead)
}

func testSealedApart(b *bench) {
	v := b.sealedValue(1, "a")
	v.Environment = b.other
	b.must(b.Sealed.PutSealed(b.Context(), v))
	b.latest()
	v = b.sealedValue(1, "b")
	v.ID = "github"
	b.must(b.Sealed.PutSealed(b.Context(), v))
	b.latest()
}

func testSealedRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.SealedValue){
		"no id":            func(v *broker.SealedValue) { v.ID = "" },
		"no environment":   func(v *broker.SealedValue) { v.Environment = "" },
		"version 0":        func(v *broker.SealedValue) { v.Version = 0 },
		"no time":          func(v *broker.SealedValue) { v.At = time.Time{} },
		"an unknown state": func(v *broker.SealedValue) { v.State = "" },
		"a huge value":     func(v *broker.SealedValue) { v.Sealed = make([]byte, 1<<20) },
	} {
		v := b.sealedValue(1, "a")
		spoil(&v)
		if err := b.Sealed.PutSealed(b.Context(), v); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	b.latest()
}
