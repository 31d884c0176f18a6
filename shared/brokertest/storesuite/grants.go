package storesuite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testGrants(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of a grant comes back":                         testGrantWhole,
		"a grant that never was is not found, and nothing makes it": testGrantNone,
		"a new consent ends lease, cooling, death and end":          testGrantAnew,
		"a consent in the meantime is a conflict":                   testGrantBegunTwice,
		"a refresh in the meantime is in no consent's way":          testGrantBegunAfterRefresh,
		"consents of former generations do not count":               testConsentsOfBefore,
		"only a living grant of its generation takes an agent":      testConsentAdded,
		"a begun grant whose answer was lost is begun once":         testGrantBegunLost,
		"of sixteen consents exactly one begins the grant":          testGrantBeginRace,
		"an ended grant holds no sealed text":                       testGrantEnded,
		"an ended grant gives its spare to be revoked":              testGrantEndedWithSpare,
		"an end whose answer was lost still gives the tokens":       testGrantEndLost,
		"nothing is written to a grant that has ended":              testGrantEndedStays,
		"a grant that ended while a consent was under way stays":    testGrantEndedMeanwhile,
		"a grant is of one person, server, origin and environment":  testGrantApart,
		"grants that no backend may keep are refused":               testGrantRefused,
		"a backend that cannot be asked gives no grant":             testGrantUnavailable,
		"what the writer goes on to change is not stored":           testGrantKept,
	})
}

func (b *bench) grantKey() broker.GrantKey {
	return broker.GrantKey{Environment: b.environment, Principal: "p-alice/1#%2F é", Server: "github", Origin: broker.Digest("origin")}
}

// newGrant has every field set that a grant begins with.
func (b *bench) newGrant(generation int64, mark string) broker.Grant {
	return broker.Grant{GrantKey: b.grantKey(), Generation: generation, Provider: "okta", Authority: "https://login.example.com", Resource: "https://github.example.com",
		Scopes:    []string{"repo", "read:org"},
		Consented: b.clock.Now().In(time.FixedZone("", 3600)), Until: b.clock.Now().Add(90*24*time.Hour + 1),
		Sealed: []byte("sealed " + mark + "\x00\xff"), Expires: b.clock.Now().Add(time.Hour + 1), Refreshes: true}
}

func (b *bench) consent(agent string) broker.Consent {
	return broker.Consent{Agent: agent, At: b.clock.Now().Add(1)}
}

// begin stores a consent and gives the grant.
func (b *bench) begin(generation int64, mark string) broker.Grant {
	b.Helper()
	if generation > 0 {
		b.clock.Advance(1) // the person agreed after the end of the one before
	}
	b.must(b.Grants.BeginGrant(b.Context(), b.newGrant(generation, mark), b.consent(robot)))
	return b.granted().Grant
}

func (b *bench) granted() broker.GrantView {
	b.Helper()
	var v broker.GrantView
	b.must(b.persist(func() (err error) {
		v, err = b.Grants.Grant(b.Context(), b.grantKey())
		return err
	}))
	return v
}

// stands fails unless the stored grant is this one.
func (b *bench) stands(want broker.Grant) {
	b.Helper()
	if d := cmp.Diff(want, b.granted().Grant, compare); d != "" {
		b.Fatal(d)
	}
}

func testGrantWhole(b *bench) {
	want := b.newGrant(0, "1").Begins()
	b.begin(0, "1")
	b.must(b.Grants.AddConsent(b.Context(), b.grantKey(), broker.Consent{Generation: 1, At: b.clock.Now()}))
	first := b.consent(robot)
	first.Generation = 1
	view := broker.GrantView{Grant: want, Consents: []broker.Consent{{Generation: 1, At: b.clock.Now()}, first}}
	if d := cmp.Diff(view, b.granted(), compare); d != "" {
		b.Fatal(d)
	}
	key := broker.Grant{GrantKey: b.grantKey(), Consented: b.clock.Now(), Sealed: []byte("a key that was typed in")}
	key.Server = "jira"
	b.must(b.Grants.BeginGrant(b.Context(), key, b.consent("")))
	got, err := b.Grants.Grant(b.Context(), key.GrantKey)
	b.must(err)
	if d := cmp.Diff(key.Begins(), got.Grant, compare); d != "" || len(got.Consents) != 1 || got.Consents[0].Agent != "" {
		b.Fatalf("%s, consents %+v", d, got.Consents)
	}
}

func testGrantNone(b *bench) {
	_, err := b.Grants.Grant(b.Context(), b.grantKey())
	b.wants(err, broker.ErrNotFound)
	_, err = b.Grants.EndGrant(b.Context(), b.grantKey(), broker.Revoked, b.clock.Now())
	b.wants(err, broker.ErrNotFound)
	b.wants(b.Grants.BeginGrant(b.Context(), b.newGrant(1, "1"), b.consent("")), broker.ErrConflict)
	b.wants(b.Grants.AddConsent(b.Context(), b.grantKey(), broker.Consent{Generation: 1, At: b.clock.Now()}), broker.ErrConflict)
	ghost := b.newGrant(0, "1").Begins()
	ghost.Lease, ghost.Attempted = "h-1", b.clock.Now()
	b.refusesAll(ghost)
	_, err = b.Grants.Grant(b.Context(), b.grantKey())
	b.wants(err, broker.ErrNotFound)
}

// refusesAll fails unless every write that names a version is a conflict.
func (b *bench) refusesAll(g broker.Grant) {
	b.Helper()
	now := b.clock.Now()
	_, err := b.Grants.LeaseGrant(b.Context(), g, "h-other", now, now.Add(time.Minute))
	b.wants(err, broker.ErrConflict)
	_, err = b.Grants.StoreTokens(b.Context(), g, tokenSet(g, "refused"), now)
	b.wants(err, broker.ErrConflict)
	b.wants(b.Grants.KeepSpare(b.Context(), g, tokenSet(g, "refused")), broker.ErrConflict)
	b.wants(b.Grants.CoolGrant(b.Context(), g, now.Add(time.Minute), "refused"), broker.ErrConflict)
	first, err := b.Grants.KillGrant(b.Context(), g, now, "refused", b.death())
	b.wants(err, broker.ErrConflict)
	if first {
		b.Fatal("killed and refused at once")
	}
}

func testGrantAnew(b *bench) {
	for generation, spoil := range []func(leased broker.Grant){
		func(broker.Grant) {},
		func(g broker.Grant) { b.must(b.Grants.KeepSpare(b.Context(), g, tokenSet(g, "spare"))) },
		func(g broker.Grant) { b.must(b.Grants.CoolGrant(b.Context(), g, b.clock.Now().Add(time.Hour), "503")) },
		func(g broker.Grant) {
			_, err := b.Grants.KillGrant(b.Context(), g, b.clock.Now(), "invalid_grant", b.death())
			b.must(err)
		},
		func(broker.Grant) { b.end(broker.Revoked) },
		func(broker.Grant) { b.end(broker.Deleted) },
	} {
		mark := text(generation)
		spoil(b.lease(b.begin(int64(generation), mark), "h-1").Grant)
		again := b.newGrant(int64(generation)+1, mark+" again")
		again.Generation--
		b.wants(b.Grants.BeginGrant(b.Context(), again, b.consent("")), broker.ErrConflict)
	}
	fresh := b.begin(6, "at last")
	want := b.newGrant(6, "at last").Begins()
	want.Version = 7
	if d := cmp.Diff(broker.GrantView{Grant: want}, broker.GrantView{Grant: fresh}, compare); d != "" {
		b.Fatal(d)
	}
	b.lease(fresh, "h-2")
}

func testGrantBegunTwice(b *bench) {
	b.begin(0, "1")
	b.wants(b.Grants.BeginGrant(b.Context(), b.newGrant(0, "2"), b.consent(robot)), broker.ErrConflict)
	b.must(b.Grants.BeginGrant(b.Context(), b.newGrant(0, "1"), b.consent(robot))) // the same again
	b.wants(b.Grants.BeginGrant(b.Context(), b.newGrant(2, "3"), b.consent(robot)), broker.ErrConflict)
	b.stands(b.newGrant(0, "1").Begins())
	b.begin(1, "2")
	b.wants(b.Grants.BeginGrant(b.Context(), b.newGrant(0, "1"), b.consent(robot)), broker.ErrConflict)
}

func testGrantBegunAfterRefresh(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	b.store(leased, "2")
	b.must(b.Grants.BeginGrant(b.Context(), b.newGrant(0, "1"), b.consent(robot))) // whose first answer was lost
	if g := b.begin(1, "3"); g.Generation != 2 || g.Version != 3 {
		b.Fatalf("begun: %+v", g)
	}
	b.refusesAll(leased)
}

func testConsentsOfBefore(b *bench) {
	b.begin(0, "1")
	b.must(b.Grants.AddConsent(b.Context(), b.grantKey(), broker.Consent{Agent: "okta:other", Generation: 1, At: b.clock.Now()}))
	b.must(b.Grants.BeginGrant(b.Context(), b.newGrant(1, "2"), b.consent("")))
	if v := b.granted(); len(v.Consents) != 1 || v.Consents[0].Agent != "" || v.Consents[0].Generation != 2 {
		b.Fatalf("consents: %+v", v.Consents)
	}
}

func testConsentAdded(b *bench) {
	g := b.begin(0, "1")
	add := func(generation int64) error {
		return b.Grants.AddConsent(b.Context(), b.grantKey(), broker.Consent{Agent: "okta:other", Generation: generation, At: b.clock.Now()})
	}
	b.wants(add(2), broker.ErrConflict)
	b.must(add(1))
	b.must(add(1))
	_, err := b.Grants.KillGrant(b.Context(), b.lease(g, "h-1").Grant, b.clock.Now(), "invalid_grant", b.death())
	b.must(err)
	b.wants(add(1), broker.ErrConflict)
	b.begin(1, "2")
	b.wants(add(1), broker.ErrConflict)
	b.must(add(2))
	b.end(broker.Deleted)
	b.wants(add(2), broker.ErrConflict)
	b.begin(2, "3")
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error { return add(3) }))
	if left() != 0 || len(b.granted().Consents) != 2 {
		b.Fatalf("%d answers left, %+v", left(), b.granted().Consents)
	}
}

func testGrantBegunLost(b *bench) {
	for i, losses := range []int{1, 3} {
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error {
			return b.Grants.BeginGrant(b.Context(), b.newGrant(int64(i), text(i)), b.consent(robot))
		}))
		if g := b.granted().Grant; left() != 0 || g.Generation != int64(i)+1 || g.Version != int64(i)+1 {
			b.Fatalf("%d answers left, %+v", left(), g)
		}
	}
}

func testGrantBeginRace(b *bench) {
	errs := race(racers, func(i int) error {
		return b.persist(func() error { return b.Grants.BeginGrant(b.Context(), b.newGrant(0, text(i)), b.consent(text(i))) })
	})
	v := b.granted()
	for i, err := range errs {
		mine := string(v.Grant.Sealed) == string(b.newGrant(0, text(i)).Sealed)
		if mine != (err == nil) || mine && (len(v.Consents) != 1 || v.Consents[0].Agent != text(i)) {
			b.Fatalf("writer %d got %v, and the grant is %+v", i, err, v)
		}
		if err != nil {
			b.wants(err, broker.ErrConflict)
		}
	}
}
