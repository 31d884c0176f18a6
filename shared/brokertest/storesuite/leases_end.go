package storesuite

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"bindery/shared/broker"
)

func testCooled(b *bench) {
	g := b.begin(0, "1")
	for n := 1; n <= 2; n++ {
		leased := b.lease(g, "h-1").Grant
		until := b.clock.Now().Add(time.Minute + 1)
		b.must(b.Grants.CoolGrant(b.Context(), leased, until, "status 503"))
		want := g
		want.CoolUntil, want.Failures, want.Fault = until, n, "status 503"
		b.stands(want)
		b.noLease(g, "h-2")
		b.clock.Advance(time.Minute)
		b.noLease(g, "h-1")
		b.clock.Advance(1)
	}
	b.lease(g, "h-3")
}

func testCooledLost(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	left := b.LoseAnswers(3)
	cool := func() error { return b.Grants.CoolGrant(b.Context(), leased, b.clock.Now(), "503") }
	b.must(b.persist(cool))
	b.must(cool())
	if g := b.granted().Grant; left() != 0 || g.Failures != 1 || g.Lease != "" {
		b.Fatalf("%d answers left, %+v", left(), g)
	}
}

// death is a record of one, unlike any other.
func (b *bench) death() broker.Record {
	b.Helper()
	r := b.record(broker.Outcome)
	r.Receipt, r.Nonce = b.environment+rand.Text(), rand.Text()
	return r
}

// tells fails unless exactly these of the deaths are recorded.
func (b *bench) tells(deaths []broker.Record, recorded ...int) {
	b.Helper()
	for i, r := range deaths {
		if there, wanted := len(b.stored(r)) == 1, slices.Contains(recorded, i); there != wanted {
			b.Fatalf("death %d of %d: recorded %t, want %t", i, len(deaths), there, wanted)
		}
	}
}

func testKilled(b *bench) {
	g := b.begin(0, "1")
	leased := b.lease(g, "h-1").Grant
	var deaths []broker.Record
	kill := func(by broker.Grant) bool {
		b.Helper()
		deaths = append(deaths, b.death())
		first, err := b.Grants.KillGrant(b.Context(), by, b.clock.Now(), "invalid_grant", deaths[len(deaths)-1])
		b.must(err)
		return first
	}
	if !kill(leased) {
		b.Fatal("the first was not the first")
	}
	want := g
	want.Dead, want.Fault = b.clock.Now(), "invalid_grant"
	b.stands(want)
	later := leased
	later.Lease = "h-2"
	b.clock.Advance(1)
	if kill(later) || !kill(leased) {
		b.Fatal("another was the first, or its holder was not when it asked again")
	}
	b.tells(deaths, 0)
	b.stands(want)
	b.noLease(g, "h-2")
	_, err := b.Grants.StoreTokens(b.Context(), leased, tokenSet(leased, "2"), b.clock.Now())
	b.wants(err, broker.ErrConflict)
	b.wants(b.Grants.KeepSpare(b.Context(), leased, tokenSet(leased, "2")), broker.ErrConflict)
	b.wants(b.Grants.CoolGrant(b.Context(), later, b.clock.Now(), "503"), broker.ErrConflict)
	b.stands(want)
}

func testKilledLost(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	left := b.LoseAnswers(3)
	var first bool
	told := b.death()
	b.must(b.persist(func() (err error) {
		first, err = b.Grants.KillGrant(b.Context(), leased, b.clock.Now(), "invalid_grant", told)
		if err != nil && first {
			b.Fatal("first, and an error")
		}
		return err
	}))
	if left() != 0 || !first {
		b.Fatalf("%d answers left, first: %v", left(), first)
	}
	b.tells([]broker.Record{told}, 0)
}

// testKilledUntold: a death whose record cannot be kept is none.
func testKilledUntold(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	foreign := b.death()
	b.must(b.Audit.Append(b.Context(), foreign))
	told := foreign
	told.Nonce = "of somebody else"
	first, err := b.Grants.KillGrant(b.Context(), leased, b.clock.Now(), "invalid_grant", told)
	b.wants(err, broker.ErrConflict)
	if first {
		b.Fatal("killed and refused at once")
	}
	_, err = b.Grants.KillGrant(b.Context(), leased, b.clock.Now(), "invalid_grant", broker.Record{})
	b.wants(err, broker.ErrInvalid)
	b.stands(leased)
	b.onlyStored(foreign)
}

// testKillRace has one that holds the lease, and fifteen that once did.
func testKillRace(b *bench) {
	g := b.begin(0, "1")
	leases := make([]broker.Grant, racers)
	for i := range leases {
		g = b.lease(g, text(i)).Grant
		leases[i] = g
		b.clock.Advance(time.Minute + broker.ClockSkew + 1)
	}
	firsts, deaths := make([]bool, racers), make([]broker.Record, racers)
	for i := range deaths {
		deaths[i] = b.death()
	}
	errs := race(racers, func(i int) error {
		return b.persist(func() (err error) {
			firsts[i], err = b.Grants.KillGrant(b.Context(), leases[i], b.clock.Now(), text(i), deaths[i])
			return err
		})
	})
	b.must(errs[racers-1])
	for i, first := range firsts {
		if first != (i == racers-1) {
			b.Fatalf("first for %d: %v", i, first)
		}
		if errs[i] != nil {
			b.wants(errs[i], broker.ErrConflict)
		}
	}
	b.tells(deaths, racers-1)
	if g := b.granted().Grant; g.Fault != text(racers-1) || g.Dead.IsZero() {
		b.Fatalf("%+v", g)
	}
}

func testLeaseRefused(b *bench) {
	g := b.begin(0, "1")
	now := b.clock.Now()
	lease := func(seen broker.Grant, holder string, now, until time.Time) {
		b.Helper()
		_, err := b.Grants.LeaseGrant(b.Context(), seen, holder, now, until)
		b.wants(err, broker.ErrInvalid)
	}
	lease(g, "", now, now.Add(1))
	lease(g, strings.Repeat("h", broker.MaxID+1), now, now.Add(1))
	lease(g, "h-1", now, now)
	lease(g, "h-1", time.Time{}, now)
	lease(broker.Grant{}, "h-1", now, now.Add(1))
	lease(broker.Grant{GrantKey: g.GrantKey}, "h-1", now, now.Add(1))
	_, err := b.Grants.StoreTokens(b.Context(), g, tokenSet(g, "2"), now) // it was not given under a lease
	b.wants(err, broker.ErrInvalid)
	b.wants(b.Grants.CoolGrant(b.Context(), g, now, "503"), broker.ErrInvalid)
	_, err = b.Grants.KillGrant(b.Context(), g, now, "invalid_grant", b.death())
	b.wants(err, broker.ErrInvalid)
	leased := b.lease(g, "h-1").Grant
	for name, spoil := range map[string]func(*broker.Tokens){
		"no tokens":   func(t *broker.Tokens) { t.Sealed = nil },
		"huge tokens": func(t *broker.Tokens) { t.Sealed = make([]byte, 64<<10+1) },
		"no text":     func(t *broker.Tokens) { t.Scopes = []string{"\xff"} },
	} {
		t := tokenSet(leased, "2")
		spoil(&t)
		_, err := b.Grants.StoreTokens(b.Context(), leased, t, now)
		if spared := b.Grants.KeepSpare(b.Context(), leased, t); err == nil || spared == nil {
			b.Fatalf("%s: stored", name)
		}
		b.wants(err, broker.ErrInvalid)
	}
	_, err = b.Grants.KillGrant(b.Context(), leased, time.Time{}, "invalid_grant", b.death())
	b.wants(err, broker.ErrInvalid)
	b.wants(b.Grants.CoolGrant(b.Context(), leased, now, strings.Repeat("x", 4096)), broker.ErrInvalid)
	b.stands(leased)
}
