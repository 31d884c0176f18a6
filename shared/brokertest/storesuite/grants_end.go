package storesuite

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// end ends the grant and gives it as it was.
func (b *bench) end(to broker.State) broker.Grant {
	b.Helper()
	was, err := b.Grants.EndGrant(b.Context(), b.grantKey(), to, b.clock.Now())
	b.must(err)
	return was
}

func testGrantEnded(b *bench) {
	for i, to := range []broker.State{broker.Revoked, broker.Deleted} {
		g := b.begin(int64(i), text(i))
		leased := b.lease(g, "h-1").Grant
		if d := cmp.Diff(leased, b.end(to), compare); d != "" {
			b.Fatal(d)
		}
		want := g
		want.State, want.Sealed, want.Ended = to, nil, b.clock.Now()
		b.stands(want)
		if d := cmp.Diff(want, b.end(to), compare); d != "" { // the same again
			b.Fatal(d)
		}
		b.stands(want)
	}
	if was := b.end(broker.Revoked); was.State != broker.Deleted || b.granted().Grant.State != broker.Deleted {
		b.Fatalf("a deleted grant came back as %+v", b.granted().Grant)
	}
	b.begin(2, "3")
	b.end(broker.Revoked)
	ended := b.clock.Now()
	b.clock.Advance(1)
	b.end(broker.Deleted)
	if g := b.granted().Grant; g.State != broker.Deleted || !g.Ended.Equal(ended) {
		b.Fatalf("%+v", g)
	}
}

// Somebody ends the grant after the person agreed anew and before that is
// stored: the end counts.
func testGrantEndedMeanwhile(b *bench) {
	for i, to := range []broker.State{broker.Revoked, broker.Deleted} {
		b.begin(int64(i), text(i))
		b.clock.Advance(1)
		agreed := b.newGrant(int64(i)+1, "late")
		b.end(to) // at the same moment
		ended := b.granted().Grant
		b.wants(b.Grants.BeginGrant(b.Context(), agreed, b.consent(robot)), broker.ErrConflict)
		b.clock.Advance(1)
		if i > 0 {
			agreed.Consented = ended.Ended.Add(-time.Hour)
			b.wants(b.Grants.BeginGrant(b.Context(), agreed, b.consent(robot)), broker.ErrConflict)
		}
		b.stands(ended)
	}
}

func testGrantEndedWithSpare(b *bench) {
	leased := b.lease(b.begin(0, "1"), "h-1").Grant
	t := tokenSet(leased, "spare")
	b.must(b.Grants.KeepSpare(b.Context(), leased, t))
	want := leased
	want.Sealed, want.Expires, want.Scopes, want.Refreshes = t.Sealed, t.Expires, t.Scopes, t.Refreshes
	if d := cmp.Diff(want, b.end(broker.Revoked), compare); d != "" {
		b.Fatal(d)
	}
	if v := b.granted(); v.Spare != nil || len(v.Grant.Sealed) != 0 {
		b.Fatalf("left behind: %+v", v)
	}
}

// One answer may be lost on the way without the caller's repeating anything; if
// the caller has to, the tokens are no longer there to be given.
func testGrantEndLost(b *bench) {
	g := b.begin(0, "1")
	left := b.LoseAnswers(1)
	var was broker.Grant
	b.must(b.persist(func() (err error) {
		was, err = b.Grants.EndGrant(b.Context(), b.grantKey(), broker.Deleted, b.clock.Now())
		return err
	}))
	now := b.granted().Grant
	if left() != 0 || now.State != broker.Deleted || now.Sealed != nil {
		b.Fatalf("%d answers left, %+v", left(), now)
	}
	if d := cmp.Diff(g, was, compare); d != "" {
		if d := cmp.Diff(now, was, compare); d != "" {
			b.Fatalf("neither as it was nor as it is: %s", d)
		}
	}
}

func testGrantEndedStays(b *bench) {
	for i, to := range []broker.State{broker.Revoked, broker.Deleted} {
		leased := b.lease(b.begin(int64(i), text(i)), "h-1").Grant
		b.end(to)
		ended := b.granted().Grant
		b.refusesAll(leased)
		b.stands(ended)
	}
}
