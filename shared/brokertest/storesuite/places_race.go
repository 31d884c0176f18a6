package storesuite

import (
	"sync"
	"time"

	"bindery/shared/broker"
)

// testPlacesRace also stands for a limit above the number of takers: none of
// them is sent away.
func testPlacesRace(b *bench) {
	for _, limit := range []int{1, 5, racers, 2 * racers} {
		q := b.quota(limit)
		q.Subject += text(limit)
		b.raceForPlaces(q, "", b.clock.Now())
		b.raceForPlaces(q, "again-", b.clock.Now().Add(2*stay))
	}
}

func testPlacesOverRace(b *bench) {
	q, now := b.quota(5), b.clock.Now()
	b.takesAll(q, "", now)
	later := now.Add(stay + broker.ClockSkew + 1)
	b.raceForPlaces(q, "next-", later)
	b.takesNone(q, "latecomer", later)
}

// raceForPlaces has sixteen holders ask at once, each until it is told.
func (b *bench) raceForPlaces(q broker.Quota, holder string, now time.Time) {
	b.Helper()
	got, took := make([]broker.Place, racers), make([]bool, racers)
	for _, err := range race(racers, func(i int) error {
		return b.persist(func() error {
			var err error
			got[i], took[i], err = b.Quotas.TakePlace(b.Context(), q, holder+text(i), now, now.Add(stay))
			return err
		})
	}) {
		b.must(err)
	}
	owner := map[int]string{}
	for i, ok := range took {
		if !ok {
			continue
		}
		if other := owner[got[i].Number]; other != "" || got[i].Holder != holder+text(i) || got[i].Number >= q.Limit {
			b.Fatalf("%+v was given to %s, with %q in it", got[i], holder+text(i), other)
		}
		owner[got[i].Number] = got[i].Holder
	}
	if want := min(q.Limit, racers); len(owner) != want {
		b.Fatalf("%d of %d holders have a place, %d can", len(owner), racers, want)
	}
}

func testPlacesChurn(b *bench) {
	const limit = 3
	q, now := b.quota(limit), b.clock.Now()
	var mu sync.Mutex
	held := map[int]string{}
	for _, err := range race(racers, func(i int) error {
		for range 4 {
			p, ok, err := b.Quotas.TakePlace(b.Context(), q, text(i), now, now.Add(stay))
			if err != nil || !ok {
				continue // contended, or full
			}
			mu.Lock()
			other, n := held[p.Number], len(held)
			held[p.Number] = text(i)
			mu.Unlock()
			if other != "" || n >= limit {
				b.Errorf("%+v was given with %q in it and %d held", p, other, n)
			}
			mu.Lock()
			delete(held, p.Number)
			mu.Unlock()
			if err := b.persist(func() error { return b.Quotas.FreePlace(b.Context(), p) }); err != nil {
				return err
			}
		}
		return nil
	}) {
		b.must(err)
	}
	b.takesAll(q, "afterwards-", now)
}
