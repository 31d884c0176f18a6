package storesuite

import (
	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testAttemptRace(b *bench) {
	counts := make([]broker.Attempt, racers)
	for _, err := range race(racers, func(i int) error {
		return b.persist(func() error {
			var err error
			counts[i], err = b.Attempts.BeginAttempt(b.Context(), b.attempt(text(i)))
			return err
		})
	}) {
		b.must(err)
	}
	own := 0
	for i, a := range counts {
		if d := cmp.Diff(counts[0], a, compare); d != "" {
			b.Fatal(d)
		}
		if a.Receipt == text(i) {
			own++
		}
	}
	if own != 1 {
		b.Fatalf("%d attempts take themselves for the one that counts", own)
	}
}

func testAttemptEndRace(b *bench) {
	mine := b.attempt("r-1")
	b.begins(mine, mine)
	errs := race(racers, func(i int) error {
		end := ended(mine)
		end.Answer = []byte(text(i))
		return b.persist(func() error { return b.Attempts.EndAttempt(b.Context(), end) })
	})
	got, err := b.Attempts.BeginAttempt(b.Context(), b.attempt("r-2"))
	b.must(err)
	for i, err := range errs {
		if won := string(got.Answer) == text(i); won != (err == nil) {
			b.Fatalf("%q is stored, and writer %d got %v", got.Answer, i, err)
		}
		if err != nil {
			b.wants(err, broker.ErrConflict)
		}
	}
}

func testAttemptLost(b *bench) {
	for _, losses := range []int{1, 3} {
		mine := b.attempt("r-1")
		mine.Key = text(losses)
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error {
			got, err := b.Attempts.BeginAttempt(b.Context(), mine)
			if err == nil && got.Receipt != mine.Receipt {
				b.Fatalf("somebody else's attempt counts: %+v", got)
			}
			return err
		}))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
		other := mine
		other.Receipt = "r-2"
		b.begins(other, mine)
	}
}

func testAttemptEndLost(b *bench) {
	mine := b.attempt("r-1")
	b.begins(mine, mine)
	left := b.LoseAnswers(3)
	b.must(b.persist(func() error { return b.Attempts.EndAttempt(b.Context(), ended(mine)) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.must(b.persist(func() error {
		got, err := b.Attempts.BeginAttempt(b.Context(), b.attempt("r-2"))
		if d := cmp.Diff(ended(mine), got, compare); err == nil && d != "" {
			b.Fatal(d)
		}
		return err
	}))
}
