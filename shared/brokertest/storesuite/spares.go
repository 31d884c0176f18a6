package storesuite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testSpares(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a spare comes with the grant and with the next lease":  testSpareGiven,
		"a spare keeps death away":                              testSpareKeepsAlive,
		"a spare of another version or generation is refused":   testSpareStale,
		"a spare whose answer was lost is kept, also once used": testSpareLost,
		"of a lease and a spare that meet neither is lost":      testSpareRace,
	})
}

func spareOf(g broker.Grant, t broker.Tokens) *broker.Spare {
	return &broker.Spare{Generation: g.Generation, Version: g.Version, Sealed: t.Sealed, Expires: t.Expires, Scopes: t.Scopes, Refreshes: t.Refreshes}
}

func (b *bench) spared(want *broker.Spare) {
	b.Helper()
	if d := cmp.Diff(want, b.granted().Spare, compare); d != "" {
		b.Fatal(d)
	}
}

func testSpareGiven(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	t := tokenSet(leased, "spare")
	b.clock.Advance(time.Minute + broker.ClockSkew + 1)
	other := b.lease(leased, "h-2").Grant
	b.must(b.Grants.KeepSpare(b.Context(), leased, t)) // though the lease is another's by now
	want := spareOf(leased, t)
	b.spared(want)
	b.stands(other)
	if v := b.lease(leased, "h-2"); !cmp.Equal(want, v.Spare, compare) {
		b.Fatalf("under the lease: %+v", v.Spare)
	}
	b.must(b.Grants.CoolGrant(b.Context(), other, b.clock.Now(), "503"))
	v := b.lease(leased, "h-3")
	if !cmp.Equal(want, v.Spare, compare) {
		b.Fatalf("under the next lease: %+v", v.Spare)
	}
	bare := broker.Tokens{Sealed: []byte("bare")}
	b.must(b.Grants.KeepSpare(b.Context(), leased, bare))
	b.spared(spareOf(leased, bare))
	b.store(v.Grant, "2")
	b.spared(nil)
}

func testSpareKeepsAlive(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	b.must(b.Grants.KeepSpare(b.Context(), leased, tokenSet(leased, "spare")))
	first, err := b.Grants.KillGrant(b.Context(), leased, b.clock.Now(), "invalid_grant", b.death())
	b.wants(err, broker.ErrConflict)
	if first {
		b.Fatal("killed")
	}
	b.stands(leased)
	next := b.store(leased, "spare")
	leased = b.lease(next, "h-2").Grant
	if first, err := b.Grants.KillGrant(b.Context(), leased, b.clock.Now(), "invalid_grant", b.death()); err != nil || !first {
		b.Fatalf("%v, %v", first, err)
	}
}

func testSpareStale(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	next := b.store(leased, "2")
	b.wants(b.Grants.KeepSpare(b.Context(), leased, tokenSet(leased, "spare")), broker.ErrConflict)
	b.spared(nil)
	b.must(b.Grants.KeepSpare(b.Context(), next, tokenSet(next, "spare")))
	b.begin(1, "3")
	b.spared(nil)
	b.wants(b.Grants.KeepSpare(b.Context(), next, tokenSet(next, "spare")), broker.ErrConflict)
	b.spared(nil)
}

func testSpareLost(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	t := tokenSet(leased, "spare")
	left := b.LoseAnswers(1)
	b.must(b.persist(func() error { return b.Grants.KeepSpare(b.Context(), leased, t) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.spared(spareOf(leased, t))
	b.must(b.persist(func() error {
		_, err := b.Grants.StoreTokens(b.Context(), leased, t, b.clock.Now())
		return err
	}))
	now := b.granted().Grant
	b.must(b.persist(func() error { return b.Grants.KeepSpare(b.Context(), leased, t) })) // it must not be thrown away: it is in use
	b.stands(now)
	b.spared(nil)
}

// testSpareRace has a spare arrive while sixteen others take, cool and kill: if
// it was kept it is there, and the grant is alive.
func testSpareRace(b *bench) {
	for n := range 4 {
		leased := b.lease(b.begin(int64(n), text(n)), "h-1").Grant
		t := tokenSet(leased, "spare")
		b.clock.Advance(time.Minute + broker.ClockSkew + 1)
		errs := race(racers, func(i int) error {
			if i == 0 {
				return b.persist(func() error { return b.Grants.KeepSpare(b.Context(), leased, t) })
			}
			return b.persist(func() error {
				v, err := b.Grants.LeaseGrant(b.Context(), leased, text(i), b.clock.Now(), b.clock.Now().Add(time.Minute))
				if err == nil {
					_, err = b.Grants.KillGrant(b.Context(), v.Grant, b.clock.Now(), "invalid_grant", b.death())
				}
				return err
			})
		})
		v := b.granted()
		switch {
		case errs[0] == nil && (v.Spare == nil || !v.Grant.Dead.IsZero()):
			b.Fatalf("the spare was kept, and the grant is %+v", v)
		case errs[0] != nil && (v.Spare != nil || v.Grant.Dead.IsZero()):
			b.Fatalf("the spare was refused, and the grant is %+v", v)
		}
	}
}
