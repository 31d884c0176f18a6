package storesuite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testKeySets(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"the last saved set is loaded":                        testKeysSaved,
		"a newer set is never replaced by an older one":       testKeysOlder,
		"a set past its life is not found":                    testKeysLife,
		"a set is of one environment and one issuer":          testKeysApart,
		"one claim at a time":                                 testClaim,
		"of sixteen claimants exactly one may fetch":          testClaimRace,
		"a fast clock holds up nobody":                        testFastClock,
		"a saved set whose answer was lost is saved once":     testKeysLost,
		"sets and claims that make no sense are refused":      testKeysRefused,
		"a claim that could not be stored gives nobody leave": testClaimUnavailable,
	})
}

const issuer = "https://login.example.com/tenant/v2.0"

func (b *bench) keySet(text string, fetched time.Time) broker.KeySet {
	return broker.KeySet{Environment: b.environment, Issuer: issuer, Sealed: []byte(text), Fetched: fetched}
}

func (b *bench) loaded(want broker.KeySet) {
	b.Helper()
	got, err := b.Keys.LoadKeys(b.Context(), b.environment, issuer)
	b.must(err)
	if d := cmp.Diff(want, got); d != "" {
		b.Fatal(d)
	}
}

func testKeysSaved(b *bench) {
	_, err := b.Keys.LoadKeys(b.Context(), b.environment, issuer)
	b.wants(err, broker.ErrNotFound)
	for i := range 3 {
		k := b.keySet(text(i), b.clock.Now().Add(time.Duration(i)))
		b.must(b.Keys.SaveKeys(b.Context(), k))
		b.loaded(k)
	}
}

func testKeysOlder(b *bench) {
	newer := b.keySet("newer", b.clock.Now())
	b.must(b.Keys.SaveKeys(b.Context(), newer))
	b.must(b.Keys.SaveKeys(b.Context(), b.keySet("older", b.clock.Now().Add(-time.Nanosecond))))
	b.loaded(newer)
	race(racers, func(i int) error {
		return b.Keys.SaveKeys(b.Context(), b.keySet(text(i), newer.Fetched.Add(time.Duration(i)*time.Second)))
	})
	b.loaded(b.keySet(text(racers-1), newer.Fetched.Add((racers-1)*time.Second)))
}

func testKeysLife(b *bench) {
	k := b.keySet("set", b.clock.Now())
	b.must(b.Keys.SaveKeys(b.Context(), k))
	b.clock.Advance(broker.KeySetLife - 1)
	b.loaded(k)
	b.clock.Advance(1)
	_, err := b.Keys.LoadKeys(b.Context(), b.environment, issuer)
	b.wants(err, broker.ErrNotFound)
	k = b.keySet("fresh", b.clock.Now())
	b.must(b.Keys.SaveKeys(b.Context(), k))
	b.loaded(k)
}

func testKeysApart(b *bench) {
	k := b.keySet("set", b.clock.Now())
	k.Environment = b.other
	b.must(b.Keys.SaveKeys(b.Context(), k))
	k.Environment, k.Issuer = b.environment, issuer+"/"
	b.must(b.Keys.SaveKeys(b.Context(), k))
	_, err := b.Keys.LoadKeys(b.Context(), b.environment, issuer)
	b.wants(err, broker.ErrNotFound)
}

func (b *bench) claims(environment, issuer string, now, notSince time.Time, want bool) {
	b.Helper()
	got, err := b.Keys.ClaimFetch(b.Context(), environment, issuer, now, notSince)
	b.must(err)
	if got != want {
		b.Fatalf("claim: %v, want %v", got, want)
	}
}

func testClaim(b *bench) {
	const interval = 10 * time.Second
	t0 := b.clock.Now()
	b.claims(b.environment, issuer, t0, t0.Add(-interval), true)
	b.claims(b.environment, issuer, t0, t0.Add(-interval), false)
	b.claims(b.environment, issuer, t0.Add(interval), t0, false) // since t0, t0 included
	b.claims(b.environment, issuer+"/", t0, t0.Add(-interval), true)
	b.claims(b.other, issuer, t0, t0.Add(-interval), true)
	t1 := t0.Add(interval + 1)
	b.claims(b.environment, issuer, t1, t1.Add(-interval), true)
	b.claims(b.environment, issuer, t1, t1.Add(-interval), false)
	b.claims(b.environment, issuer, t1, time.Time{}, false)
	b.must(b.Keys.SaveKeys(b.Context(), b.keySet("set", t1))) // sets and claims do not touch each other
	b.claims(b.environment, issuer, t1, t1.Add(-interval), false)
}

// testFastClock is one process whose clock is hours ahead of the others'.
func testFastClock(b *bench) {
	now, ahead := b.clock.Now(), b.clock.Now().Add(2*time.Hour)
	b.claims(b.environment, issuer, ahead, ahead.Add(-time.Minute), true)
	b.claims(b.environment, issuer, now, now.Add(-time.Minute), true)
	b.claims(b.environment, issuer, now, now.Add(-time.Minute), false)
	b.must(b.Keys.SaveKeys(b.Context(), b.keySet("from the future", ahead)))
	k := b.keySet("now", now)
	b.must(b.Keys.SaveKeys(b.Context(), k))
	b.loaded(k)
}

func testClaimRace(b *bench) {
	for round := range 3 {
		now := b.clock.Now().Add(time.Duration(round) * time.Hour)
		won := make([]bool, racers)
		errs := race(racers, func(i int) error {
			var err error
			won[i], err = b.Keys.ClaimFetch(b.Context(), b.environment, issuer, now, now.Add(-time.Minute))
			return err
		})
		winners := 0
		for i, err := range errs {
			b.must(err)
			if won[i] {
				winners++
			}
		}
		if winners != 1 {
			b.Fatalf("%d winners in round %d", winners, round)
		}
	}
}

func testKeysLost(b *bench) {
	k := b.keySet("set", b.clock.Now())
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error { return b.Keys.SaveKeys(b.Context(), k) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.loaded(k)
}

func testKeysRefused(b *bench) {
	now := b.clock.Now()
	for name, spoil := range map[string]func(*broker.KeySet){
		"no issuer":      func(k *broker.KeySet) { k.Issuer = "" },
		"no environment": func(k *broker.KeySet) { k.Environment = "" },
		"no time":        func(k *broker.KeySet) { k.Fetched = time.Time{} },
		"nothing sealed": func(k *broker.KeySet) { k.Sealed = nil },
		"a huge set":     func(k *broker.KeySet) { k.Sealed = make([]byte, 1<<20) },
	} {
		k := b.keySet("set", now)
		spoil(&k)
		if err := b.Keys.SaveKeys(b.Context(), k); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, times := range [][2]time.Time{{}, {now, now.Add(1)}} {
		_, err := b.Keys.ClaimFetch(b.Context(), b.environment, issuer, times[0], times[1])
		b.wants(err, broker.ErrInvalid)
	}
}

func testClaimUnavailable(b *bench) {
	now := b.clock.Now()
	heal := b.Fail()
	got, err := b.Keys.ClaimFetch(b.Context(), b.environment, issuer, now, now.Add(-time.Minute))
	heal()
	b.wants(err, broker.ErrUnavailable)
	if got {
		b.Fatal("a claim that failed was granted")
	}
	b.claims(b.environment, issuer, now, now.Add(-time.Minute), true)
}
