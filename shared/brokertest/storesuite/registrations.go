package storesuite

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testRegistrations(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"the first registration stays until it expires":    testRegisteredFirst,
		"of sixteen registrations all end as the same one": testRegisteredRace,
		"a registration whose answer was lost counts":      testRegisteredLost,
		"a registration is of one provider and issuer":     testRegisteredApart,
		"registrations that no backend may keep":           testRegisteredRefused,
		"a backend that cannot be asked registers nobody":  testRegisteredUnavailable,
	})
}

func (b *bench) registration(client string) broker.Registered {
	return broker.Registered{Environment: b.environment, Provider: "okta", Issuer: "https://login.example.com/t#%2F é", ClientID: client,
		Sealed: []byte(client + "\x00\xff"), Expires: b.clock.Now().Add(time.Hour + 1), At: b.clock.Now().In(time.FixedZone("", 3600))}
}

func (b *bench) registers(r, want broker.Registered) {
	b.Helper()
	got, err := b.Providers.AddRegistered(b.Context(), r, b.clock.Now())
	b.must(err)
	stored, err := b.Providers.Registered(b.Context(), want.Environment, want.Provider, want.Issuer)
	b.must(err)
	if d := cmp.Diff([]broker.Registered{want, want}, []broker.Registered{got, stored}, compare); d != "" {
		b.Fatal(d)
	}
}

func testRegisteredFirst(b *bench) {
	first := b.registration("c-1")
	_, err := b.Providers.Registered(b.Context(), first.Environment, first.Provider, first.Issuer)
	b.wants(err, broker.ErrNotFound)
	b.registers(first, first)
	b.registers(b.registration("c-2"), first)
	b.clock.Advance(time.Hour)
	b.registers(b.registration("c-3"), first)
	b.clock.Advance(1)
	got, err := b.Providers.Registered(b.Context(), first.Environment, first.Provider, first.Issuer)
	b.must(err)
	if d := cmp.Diff(first, got, compare); d != "" {
		b.Fatal(d)
	}
	lasting := b.registration("c-4")
	lasting.Expires, lasting.Sealed = time.Time{}, nil
	b.registers(lasting, lasting)
	b.clock.Advance(100 * 365 * 24 * time.Hour)
	b.registers(b.registration("c-5"), lasting)
}

func testRegisteredRace(b *bench) {
	got := make([]broker.Registered, racers)
	for _, err := range race(racers, func(i int) error {
		return b.persist(func() (err error) {
			got[i], err = b.Providers.AddRegistered(b.Context(), b.registration(text(i)), b.clock.Now())
			return err
		})
	}) {
		b.must(err)
	}
	for _, r := range got {
		if d := cmp.Diff(got[0], r, compare); d != "" {
			b.Fatal(d)
		}
	}
}

func testRegisteredLost(b *bench) {
	mine := b.registration("c-1")
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error {
		got, err := b.Providers.AddRegistered(b.Context(), mine, b.clock.Now())
		if d := cmp.Diff(mine, got, compare); err == nil && d != "" {
			b.Fatal(d)
		}
		return err
	}))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.registers(b.registration("c-2"), mine)
}

func testRegisteredApart(b *bench) {
	mine := b.registration("c-1")
	b.registers(mine, mine)
	for i, alter := range []func(*broker.Registered){
		func(r *broker.Registered) { r.Environment = b.other },
		func(r *broker.Registered) { r.Provider = "okta-x" },
		func(r *broker.Registered) { r.Issuer = "https://login.example.com/t" },
	} {
		other := b.registration(text(i))
		alter(&other)
		b.registers(other, other)
	}
	b.registers(b.registration("c-2"), mine)
}

func testRegisteredRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Registered){
		"no environment":          func(r *broker.Registered) { r.Environment = "" },
		"a provider that is none": func(r *broker.Registered) { r.Provider = "a/b" },
		"no issuer":               func(r *broker.Registered) { r.Issuer = "" },
		"a huge issuer":           func(r *broker.Registered) { r.Issuer = strings.Repeat("x", 257) },
		"no client":               func(r *broker.Registered) { r.ClientID = "" },
		"a huge client":           func(r *broker.Registered) { r.ClientID = strings.Repeat("x", 4096) },
		"a huge secret":           func(r *broker.Registered) { r.Sealed = make([]byte, 64<<10+1) },
		"no time":                 func(r *broker.Registered) { r.At = time.Time{} },
	} {
		r := b.registration("c-1")
		spoil(&r)
		if _, err := b.Providers.AddRegistered(b.Context(), r, b.clock.Now()); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	_, err := b.Providers.Registered(b.Context(), b.environment, "okta", "")
	b.wants(err, broker.ErrInvalid)
}

func testRegisteredUnavailable(b *bench) {
	mine := b.registration("c-1")
	b.registers(mine, mine)
	heal := b.Fail()
	added, err := b.Providers.AddRegistered(b.Context(), b.registration("c-2"), b.clock.Now())
	b.wants(err, broker.ErrUnavailable)
	read, err := b.Providers.Registered(b.Context(), mine.Environment, mine.Provider, mine.Issuer)
	heal()
	b.wants(err, broker.ErrUnavailable)
	if d := cmp.Diff([]broker.Registered{{}, {}}, []broker.Registered{added, read}, compare); d != "" {
		b.Fatalf("a registration was given beside the error: %s", d)
	}
	b.registers(b.registration("c-2"), mine)
}
