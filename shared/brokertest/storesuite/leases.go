package storesuite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testLeases(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a lease gives the grant as it is under it":           testLeaseGiven,
		"nobody else gets a lease before it is over":          testLeaseHeld,
		"a stale sight of the grant gets no lease":            testLeaseStale,
		"whoever was not heard of again stays unsettled":      testLeaseUnsettled,
		"of sixteen processes exactly one holds the lease":    testLeaseRace,
		"of sixteen late ones exactly one takes a lease over": testLeaseOverRace,
		"a lease whose answer was lost is the holder's":       testLeaseLost,
		"tokens end the lease, one version on":                testStored,
		"tokens whose answer was lost are stored once":        testStoredLost,
		"tokens of a lease that is lost are a conflict":       testStoredLate,
		"a refresh never widens the scopes":                   testStoredWider,
		"cooling ends the lease and counts the failure":       testCooled,
		"cooling whose answer was lost counts once":           testCooledLost,
		"death is latched, and first told to one":             testKilled,
		"death whose answer was lost is told to its holder":   testKilledLost,
		"death and its record are stored both or neither":     testKilledUntold,
		"of sixteen deaths exactly one is the first":          testKillRace,
		"leases that no backend may keep are refused":         testLeaseRefused,
	})
}

// lease takes the lease for a minute.
func (b *bench) lease(g broker.Grant, holder string) broker.GrantView {
	b.Helper()
	v, err := b.Grants.LeaseGrant(b.Context(), g, holder, b.clock.Now(), b.clock.Now().Add(time.Minute))
	b.must(err)
	return v
}

func (b *bench) noLease(g broker.Grant, holder string) {
	b.Helper()
	v, err := b.Grants.LeaseGrant(b.Context(), g, holder, b.clock.Now(), b.clock.Now().Add(time.Minute))
	b.wants(err, broker.ErrConflict)
	if d := cmp.Diff(broker.GrantView{}, v, compare); d != "" {
		b.Fatalf("a grant was given beside the error: %s", d)
	}
}

// tokenSet is what a refresh of the grant gives.
func tokenSet(g broker.Grant, mark string) broker.Tokens {
	t := broker.Tokens{Sealed: []byte("fresh " + mark + "\x00"), Expires: g.Expires.Add(time.Hour + 1), Refreshes: true}
	if len(g.Scopes) > 0 {
		t.Scopes = []string{g.Scopes[0]}
	}
	return t
}

func (b *bench) store(leased broker.Grant, mark string) broker.Grant {
	b.Helper()
	g, err := b.Grants.StoreTokens(b.Context(), leased, tokenSet(leased, mark), b.clock.Now())
	b.must(err)
	return g
}

func testLeaseGiven(b *bench) {
	g := b.begin(0, "1")
	want := g
	want.Lease, want.LeaseUntil, want.Attempted = "h-1", b.clock.Now().Add(time.Minute), b.clock.Now()
	if d := cmp.Diff(broker.GrantView{Grant: want}, b.lease(g, "h-1"), compare); d != "" {
		b.Fatal(d)
	}
	b.stands(want)
	b.clock.Advance(time.Second)
	if d := cmp.Diff(broker.GrantView{Grant: want}, b.lease(g, "h-1"), compare); d != "" { // asked again
		b.Fatal(d)
	}
	b.clock.Advance(time.Minute)
	b.noLease(g, "h-1") // over for its holder, and not yet for others
}

func testLeaseHeld(b *bench) {
	g := b.begin(0, "1")
	until := b.lease(g, "h-1").Grant.LeaseUntil
	b.noLease(g, "h-2")
	b.clock.Advance(until.Sub(b.clock.Now()) + broker.ClockSkew)
	b.noLease(g, "h-2")
	b.clock.Advance(1)
	b.noLease(g, "h-2") // whoever takes the place of an attempt has seen it
	b.lease(b.granted().Grant, "h-2")
	b.noLease(g, "h-1")
}

func testLeaseStale(b *bench) {
	g := b.begin(0, "1")
	fresh := b.store(b.lease(g, "h-1").Grant, "2")
	b.noLease(g, "h-2")
	for _, spoil := range []func(*broker.Grant){
		func(g *broker.Grant) { g.Version++ },
		func(g *broker.Grant) { g.Generation++ },
	} {
		other := fresh
		spoil(&other)
		b.noLease(other, "h-2")
	}
	b.lease(fresh, "h-2")
}

func testLeaseUnsettled(b *bench) {
	g := b.begin(0, "1")
	first := b.lease(g, "h-1").Grant.Attempted
	over := time.Minute + broker.ClockSkew + 1
	b.clock.Advance(over)
	second := b.lease(b.granted().Grant, "h-2").Grant
	if !second.Unsettled.Equal(first) || !second.Attempted.Equal(b.clock.Now()) {
		b.Fatalf("%+v", second)
	}
	b.must(b.Grants.CoolGrant(b.Context(), second, b.clock.Now(), "503"))
	if g := b.granted().Grant; !g.Attempted.Equal(first) || !g.Unsettled.IsZero() {
		b.Fatalf("the attempt that nobody heard of is forgotten: %+v", g)
	}
	third := b.lease(b.granted().Grant, "h-3").Grant
	if !third.Unsettled.Equal(first) {
		b.Fatalf("%+v", third)
	}
	b.store(third, "2")
	if g := b.granted().Grant; !g.Attempted.IsZero() || !g.Unsettled.IsZero() {
		b.Fatalf("%+v", g)
	}
}

func (b *bench) oneHolder(g broker.Grant) {
	b.Helper()
	under := make([]broker.GrantView, racers)
	errs := race(racers, func(i int) error {
		return b.persist(func() (err error) {
			under[i], err = b.Grants.LeaseGrant(b.Context(), g, text(i), b.clock.Now(), b.clock.Now().Add(time.Minute))
			return err
		})
	})
	holder := b.granted().Grant.Lease
	for i, err := range errs {
		if (err == nil) != (holder == text(i)) || (err == nil) != (under[i].Grant.Lease == text(i)) {
			b.Fatalf("%q holds the lease, and process %d got %v", holder, i, err)
		}
		if err != nil {
			b.wants(err, broker.ErrConflict)
		}
	}
}

func testLeaseRace(b *bench) { b.oneHolder(b.begin(0, "1")) }

func testLeaseOverRace(b *bench) {
	g := b.begin(0, "1")
	dead := b.lease(g, "h-dead").Grant
	b.clock.Advance(time.Minute + broker.ClockSkew + 1)
	b.oneHolder(dead)
	if now := b.granted().Grant; !now.Unsettled.Equal(dead.Attempted) {
		b.Fatalf("%+v", now)
	}
}

func testLeaseLost(b *bench) {
	g := b.begin(0, "1")
	left := b.LoseAnswers(3)
	var v broker.GrantView
	b.must(b.persist(func() (err error) {
		v, err = b.Grants.LeaseGrant(b.Context(), g, "h-1", b.clock.Now(), b.clock.Now().Add(time.Minute))
		return err
	}))
	if left() != 0 || v.Grant.Lease != "h-1" || !v.Grant.Unsettled.IsZero() {
		b.Fatalf("%d answers left, %+v", left(), v.Grant)
	}
	b.stands(v.Grant)
	b.noLease(g, "h-2")
}

func testStored(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	b.must(b.Grants.CoolGrant(b.Context(), leased, b.clock.Now(), "503"))
	leased = b.lease(b.granted().Grant, "h-2").Grant
	b.must(b.Grants.KeepSpare(b.Context(), leased, tokenSet(leased, "spare")))
	t := tokenSet(leased, "2")
	got, err := b.Grants.StoreTokens(b.Context(), leased, t, b.clock.Now())
	b.must(err)
	want := b.newGrant(0, "1").Begins()
	want.Version, want.Sealed, want.Expires, want.Scopes, want.Refreshes = 2, t.Sealed, t.Expires, t.Scopes, t.Refreshes
	if d := cmp.Diff(want, got, compare); d != "" {
		b.Fatal(d)
	}
	if v := b.granted(); v.Spare != nil || len(v.Consents) != 1 {
		b.Fatalf("%+v", v)
	}
	b.stands(want)
	bare := broker.Tokens{Sealed: []byte("without refresh"), Scopes: nil}
	got, err = b.Grants.StoreTokens(b.Context(), b.lease(got, "h-3").Grant, bare, b.clock.Now())
	b.must(err)
	want.Version, want.Sealed, want.Expires, want.Scopes, want.Refreshes = 3, bare.Sealed, bare.Expires, nil, false
	if d := cmp.Diff(want, got, compare); d != "" {
		b.Fatal(d)
	}
}

func testStoredLost(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	left := b.LoseAnswers(3)
	var got broker.Grant
	b.must(b.persist(func() (err error) {
		got, err = b.Grants.StoreTokens(b.Context(), leased, tokenSet(leased, "2"), b.clock.Now())
		return err
	}))
	if left() != 0 || got.Version != 2 {
		b.Fatalf("%d answers left, %+v", left(), got)
	}
	b.stands(got)
	forged := leased
	forged.Lease = "h-2"
	_, err := b.Grants.StoreTokens(b.Context(), forged, tokenSet(leased, "2"), b.clock.Now())
	b.wants(err, broker.ErrConflict)
	_, err = b.Grants.StoreTokens(b.Context(), leased, tokenSet(leased, "3"), b.clock.Now())
	b.wants(err, broker.ErrConflict)
	b.stands(got)
}

// testStoredLate has a holder come back after each of what may have happened.
func testStoredLate(b *bench) {
	for i, between := range []func(g broker.Grant){
		func(g broker.Grant) { b.lease(g, "h-2") },
		func(g broker.Grant) { b.store(b.lease(g, "h-2").Grant, "2") },
		func(g broker.Grant) {
			b.must(b.Grants.CoolGrant(b.Context(), b.lease(g, "h-2").Grant, b.clock.Now(), "503"))
		},
		func(g broker.Grant) { b.begin(g.Generation, "3") },
		func(broker.Grant) { b.end(broker.Revoked) },
		func(broker.Grant) { b.end(broker.Deleted) },
	} {
		leased := b.lease(b.begin(b.generation(), text(i)), "h-1").Grant
		b.clock.Advance(time.Minute + broker.ClockSkew + 1)
		between(leased)
		now := b.granted().Grant
		_, err := b.Grants.StoreTokens(b.Context(), leased, tokenSet(leased, "late"), b.clock.Now())
		b.wants(err, broker.ErrConflict)
		b.wants(b.Grants.CoolGrant(b.Context(), leased, b.clock.Now(), "late"), broker.ErrConflict)
		_, err = b.Grants.KillGrant(b.Context(), leased, b.clock.Now(), "late", b.death())
		b.wants(err, broker.ErrConflict)
		b.stands(now)
	}
	first := b.lease(b.begin(b.generation(), "again"), "h-1").Grant
	b.clock.Advance(time.Minute + broker.ClockSkew + 1)
	second := b.lease(first, "h-1").Grant
	_, err := b.Grants.StoreTokens(b.Context(), first, tokenSet(first, "late"), b.clock.Now())
	b.wants(err, broker.ErrConflict) // the name alone is not the lease
	b.stands(second)
	leased := b.lease(b.begin(b.generation(), "alone"), "h-1").Grant
	b.clock.Advance(time.Hour)
	b.store(leased, "late, and nobody minds")
}

// generation is the grant's so far.
func (b *bench) generation() int64 {
	v, err := b.Grants.Grant(b.Context(), b.grantKey())
	if err != nil {
		b.wants(err, broker.ErrNotFound)
	}
	return v.Grant.Generation
}

func testStoredWider(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	wider := tokenSet(leased, "2")
	wider.Scopes = append(wider.Scopes, "admin")
	_, err := b.Grants.StoreTokens(b.Context(), leased, wider, b.clock.Now())
	b.wants(err, broker.ErrInvalid)
	b.wants(b.Grants.KeepSpare(b.Context(), leased, wider), broker.ErrInvalid)
	b.stands(leased)
}
