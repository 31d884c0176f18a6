package storesuite

import (
	"testing"
	"time"

	"bindery/shared/broker"
)

func testPlaces(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"as many places as the limit, and not one more":           testPlacesLimit,
		"a place that was freed is taken again":                   testPlacesFreed,
		"a place is free when its time is over, and not before":   testPlacesOver,
		"the same holder asking again has the place it had":       testPlacesAgain,
		"a holder who asks again has the place for longer":        testPlacesLonger,
		"of sixteen holders exactly as many get one as there are": testPlacesRace,
		"places that are over are shared out once":                testPlacesOverRace,
		"takers and leavers never hold more than the limit":       testPlacesChurn,
		"a place of somebody else is left alone":                  testPlacesForeign,
		"freeing again is no error":                               testPlacesFreedAgain,
		"each subject has places of its own":                      testPlacesApart,
		"a limit that was lowered leaves no place above it":       testPlacesLowered,
		"a taken place whose answer was lost is the holder's":     testPlacesLost,
		"a freed place whose answer was lost is free":             testPlacesFreedLost,
		"a quota that cannot be read or written gives no place":   testPlacesUnavailable,
		"places that make no sense are refused":                   testPlacesInvalid,
	})
}

// stay is how long places are taken here.
const stay = 10 * time.Minute

// take takes a place for the stay.
func (b *bench) take(q broker.Quota, holder string, now time.Time) (broker.Place, bool) {
	b.Helper()
	var p broker.Place
	var ok bool
	b.must(b.persist(func() error {
		var err error
		p, ok, err = b.Quotas.TakePlace(b.Context(), q, holder, now, now.Add(stay))
		return err
	}))
	if none := (broker.Place{}); !ok && p != none {
		b.Fatalf("%+v was given and not given", p)
	}
	if ok && (p.Quota != q || p.Holder != holder || p.Number < 0 || p.Number >= q.Limit) {
		b.Fatalf("%s asked for one of %+v and got %+v", holder, q, p)
	}
	return p, ok
}

// takes takes the place of this number; -1 stands for any.
func (b *bench) takes(q broker.Quota, holder string, now time.Time, number int) broker.Place {
	b.Helper()
	p, ok := b.take(q, holder, now)
	if !ok || number >= 0 && p.Number != number {
		b.Fatalf("%s got %v %+v, want place %d", holder, ok, p, number)
	}
	return p
}

func (b *bench) takesNone(q broker.Quota, holder string, now time.Time) {
	b.Helper()
	if p, ok := b.take(q, holder, now); ok {
		b.Fatalf("%s got %+v where all places are taken", holder, p)
	}
}

// takesAll has holders take every place, each its own.
func (b *bench) takesAll(q broker.Quota, holder string, now time.Time) []broker.Place {
	b.Helper()
	var places []broker.Place
	seen := map[int]bool{}
	for i := range q.Limit {
		p := b.takes(q, holder+text(i), now, -1)
		if seen[p.Number] {
			b.Fatalf("place %d was given twice", p.Number)
		}
		seen[p.Number] = true
		places = append(places, p)
	}
	b.takesNone(q, "latecomer", now)
	return places
}

func testPlacesLimit(b *bench) { b.takesAll(b.quota(5), "", b.clock.Now()) }

func testPlacesFreed(b *bench) {
	q, now := b.quota(3), b.clock.Now()
	for _, p := range b.takesAll(q, "", now) {
		b.must(b.Quotas.FreePlace(b.Context(), p))
		b.takes(q, "next to "+p.Holder, now, p.Number)
		b.takesNone(q, p.Holder, now)
	}
}

// testPlacesOver has a taker whose clock may be ahead by ClockSkew: the holder
// still is in its place then.
func testPlacesOver(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	b.takes(q, "first", now, 0)
	b.takesNone(q, "second", now.Add(stay))
	b.takesNone(q, "second", now.Add(stay+broker.ClockSkew))
	b.takes(q, "second", now.Add(stay+broker.ClockSkew+1), 0)
	b.takesNone(q, "first", now.Add(stay+broker.ClockSkew+1)) // it is the second's now
}

func testPlacesAgain(b *bench) {
	q, now := b.quota(8), b.clock.Now()
	first := b.takes(q, "r-1", now, -1)
	for range 4 {
		b.takes(q, "r-1", now, first.Number)
	}
	for i := range q.Limit - 1 {
		b.takes(q, text(i), now, -1)
	}
	b.takesNone(q, "latecomer", now)
	b.takes(q, "r-1", now, first.Number)
	b.takes(q, "r-1", now.Add(2*stay), first.Number) // its time was over and nobody came
}

func testPlacesLonger(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	b.takes(q, "r-1", now, 0)
	b.takes(q, "r-1", now.Add(stay), 0)
	b.takesNone(q, "r-2", now.Add(stay+broker.ClockSkew+1))
	b.takes(q, "r-2", now.Add(2*stay+broker.ClockSkew+1), 0)
}

func testPlacesForeign(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	mine := b.takes(q, "mine", now, 0)
	later := now.Add(2 * stay)
	b.takes(q, "theirs", later, 0)
	b.must(b.Quotas.FreePlace(b.Context(), mine))
	b.takesNone(q, "latecomer", later)
	b.takes(q, "theirs", later, 0)
}

func testPlacesFreedAgain(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	b.must(b.Quotas.FreePlace(b.Context(), broker.Place{Quota: q, Holder: "nobody"}))
	p := b.takes(q, "r-1", now, 0)
	for range 3 {
		b.must(b.Quotas.FreePlace(b.Context(), p))
	}
	b.takes(q, "r-2", now, 0)
}

func testPlacesApart(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	b.takes(q, "r-1", now, 0)
	for _, other := range []broker.Quota{
		{Environment: b.other, Subject: q.Subject, Limit: 1},
		{Environment: b.environment, Subject: "agent/" + alice, Limit: 1},
		{Environment: b.environment, Subject: q.Subject + "/", Limit: 1},
		{Environment: b.environment, Subject: "principal", Limit: 1},
	} {
		b.takes(other, "r-1", now, 0)
		b.must(b.Quotas.FreePlace(b.Context(), broker.Place{Quota: other, Holder: "r-1"}))
	}
	b.takesNone(q, "r-2", now)
}

func testPlacesLowered(b *bench) {
	q, now := b.quota(4), b.clock.Now()
	all := b.takesAll(q, "", now)
	lower := b.quota(2)
	b.takesNone(lower, "latecomer", now)
	for _, p := range all {
		if p.Number == 3 {
			b.takesNone(lower, p.Holder, now) // the place that it has is none any more
		}
	}
}

func testPlacesLost(b *bench) {
	q, now := b.quota(2), b.clock.Now()
	left := b.LoseAnswers(3)
	p := b.takes(q, "r-1", now, -1)
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.takes(q, "r-2", now, 1-p.Number) // the first holder has one place, not two
	b.takesNone(q, "r-3", now)
}

func testPlacesFreedLost(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	p := b.takes(q, "r-1", now, 0)
	left := b.LoseAnswers(1)
	b.must(b.persist(func() error { return b.Quotas.FreePlace(b.Context(), p) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	_ = b.persist(func() error { _, _, err := b.Quotas.TakePlace(b.Context(), q, "r-2", now, now.Add(stay)); return err })
	b.takes(q, "r-2", now, 0)
}

func testPlacesUnavailable(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	heal := b.Fail()
	p, ok, err := b.Quotas.TakePlace(b.Context(), q, "r-1", now, now.Add(stay))
	heal()
	b.wants(err, broker.ErrUnavailable)
	if none := (broker.Place{}); ok || p != none {
		b.Fatalf("%+v was given beside the error", p)
	}
	mine := b.takes(q, "r-2", now, 0)
	heal = b.Fail()
	err = b.Quotas.FreePlace(b.Context(), mine)
	heal()
	b.wants(err, broker.ErrUnavailable)
	b.takesNone(q, "r-3", now)
}

func testPlacesInvalid(b *bench) {
	now := b.clock.Now()
	for name, q := range b.senseless() {
		if _, ok, err := b.Quotas.TakePlace(b.Context(), q, "r-1", now, now.Add(stay)); err == nil || ok {
			b.Fatalf("%s: taken", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
		b.wants(b.Quotas.FreePlace(b.Context(), broker.Place{Quota: q, Holder: "r-1"}), broker.ErrInvalid)
	}
	for _, bad := range []struct {
		holder     string
		now, until time.Time
	}{{"", now, now.Add(stay)}, {"\xff", now, now.Add(stay)}, {"r-1", time.Time{}, now}, {"r-1", now, now}, {"r-1", now, now.Add(-1)},
		{"r-1", now, time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		_, ok, err := b.Quotas.TakePlace(b.Context(), b.quota(1), bad.holder, bad.now, bad.until)
		b.wants(err, broker.ErrInvalid)
		if ok {
			b.Fatalf("%+v: taken", bad)
		}
	}
	for _, p := range []broker.Place{{Quota: b.quota(1)}, {Quota: b.quota(1), Number: -1, Holder: "r-1"}, {Quota: b.quota(1), Number: 1, Holder: "r-1"}} {
		b.wants(b.Quotas.FreePlace(b.Context(), p), broker.ErrInvalid)
	}
	b.takes(b.quota(1), "r-2", now, 0)
}
