package storesuite

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testRolling(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"the key of a day is loaded as it was added":        testRollingAdded,
		"the key of a day never changes":                    testRollingKept,
		"of sixteen processes all end with the same key":    testRollingRace,
		"an added key whose answer was lost is the day's":   testRollingLost,
		"a key past its life is not found":                  testRollingLife,
		"a key is of one environment and one day":           testRollingApart,
		"keys that no day could have are refused":           testRollingRefused,
		"a backend that cannot be asked gives no key":       testRollingUnavailable,
		"a key that could not be stored is given to no one": testRollingUnstored,
	})
}

// today is the day that every test here begins on.
const today = 20513

func (b *bench) rollingKey(day int64, text string) broker.RollingKey {
	return broker.RollingKey{Environment: b.environment, Day: day, Sealed: []byte(text + "\x00\xff")}
}

func (b *bench) addRolling(k, want broker.RollingKey) {
	b.Helper()
	got, err := b.Rolling.AddRollingKey(b.Context(), k)
	b.must(err)
	if d := cmp.Diff(want, got); d != "" {
		b.Fatal(d)
	}
}

func (b *bench) loadRolling(want broker.RollingKey) {
	b.Helper()
	got, err := b.Rolling.LoadRollingKey(b.Context(), b.environment, want.Day)
	b.must(err)
	if d := cmp.Diff(want, got); d != "" {
		b.Fatal(d)
	}
}

func (b *bench) noRolling(day int64) {
	b.Helper()
	got, err := b.Rolling.LoadRollingKey(b.Context(), b.environment, day)
	b.wants(err, broker.ErrNotFound)
	b.noKey(got)
}

func (b *bench) noKey(k broker.RollingKey) {
	b.Helper()
	if d := cmp.Diff(broker.RollingKey{}, k); d != "" {
		b.Fatalf("a key was given beside the error: %s", d)
	}
}

func testRollingAdded(b *bench) {
	if begins := time.Unix(today*24*60*60, 0); b.clock.Now().Sub(begins) != 12*time.Hour {
		b.Fatalf("the tests begin at %s, not on day %d", b.clock.Now(), today)
	}
	for day := int64(today); day < today+3; day++ {
		b.noRolling(day)
		k := b.rollingKey(day, text(int(day)))
		b.addRolling(k, k)
		b.loadRolling(k)
	}
	for _, day := range []int64{0, -1, -today, 1 << 50} {
		b.noRolling(day)
	}
}

func testRollingKept(b *bench) {
	first := b.rollingKey(today, "first")
	b.addRolling(first, first)
	for i := range 3 {
		b.addRolling(b.rollingKey(today, text(i)), first)
		b.loadRolling(first)
	}
}

func testRollingRace(b *bench) {
	got := make([]broker.RollingKey, racers)
	for _, err := range race(racers, func(i int) error {
		return b.persist(func() error {
			var err error
			got[i], err = b.Rolling.AddRollingKey(b.Context(), b.rollingKey(today, text(i)))
			return err
		})
	}) {
		b.must(err)
	}
	for _, k := range got {
		if d := cmp.Diff(got[0], k); d != "" {
			b.Fatal(d)
		}
	}
	b.loadRolling(got[0])
}

func testRollingLost(b *bench) {
	for i, losses := range []int{1, 3} {
		k := b.rollingKey(today+int64(i), "mine")
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error {
			got, err := b.Rolling.AddRollingKey(b.Context(), k)
			if err != nil {
				b.noKey(got)
				return err
			}
			if d := cmp.Diff(k, got); d != "" {
				b.Fatal(d)
			}
			return nil
		}))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
		b.loadRolling(k)
		b.addRolling(b.rollingKey(k.Day, "another"), k)
	}
}

func testRollingLife(b *bench) {
	k := b.rollingKey(today, "key")
	b.addRolling(k, k)
	b.clock.Advance(broker.RollingKeyLife - 12*time.Hour - 1) // a life is counted from the beginning of its day
	b.loadRolling(k)
	b.clock.Advance(1)
	b.noRolling(today)
}

func testRollingApart(b *bench) {
	theirs := b.rollingKey(today, "theirs")
	theirs.Environment = b.other
	b.addRolling(theirs, theirs)
	tomorrow := b.rollingKey(today+1, "tomorrow")
	b.addRolling(tomorrow, tomorrow)
	b.noRolling(today)
	mine := b.rollingKey(today, "mine")
	b.addRolling(mine, mine)
	b.loadRolling(mine)
}

func testRollingRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.RollingKey){
		"no environment":         func(k *broker.RollingKey) { k.Environment = "" },
		"a path for environment": func(k *broker.RollingKey) { k.Environment = "prod/eu" },
		"day 0":                  func(k *broker.RollingKey) { k.Day = 0 },
		"seconds for days":       func(k *broker.RollingKey) { k.Day *= 24 * 60 * 60 },
		"nothing sealed":         func(k *broker.RollingKey) { k.Sealed = nil },
		"a huge key":             func(k *broker.RollingKey) { k.Sealed = make([]byte, 1<<20) },
	} {
		k := b.rollingKey(today, "key")
		spoil(&k)
		got, err := b.Rolling.AddRollingKey(b.Context(), k)
		if err == nil {
			b.Fatalf("%s: stored", name)
		}
		b.wants(err, broker.ErrInvalid)
		b.noKey(got)
	}
	for _, environment := range []string{"", "prod/eu", strings.Repeat("x", 4096)} {
		_, err := b.Rolling.LoadRollingKey(b.Context(), environment, today)
		b.wants(err, broker.ErrInvalid)
	}
	b.noRolling(today)
}

func testRollingUnavailable(b *bench) {
	k := b.rollingKey(today, "key")
	b.addRolling(k, k)
	heal := b.Fail()
	got, err := b.Rolling.LoadRollingKey(b.Context(), b.environment, today)
	heal()
	b.wants(err, broker.ErrUnavailable)
	b.noKey(got)
	b.loadRolling(k)
}

func testRollingUnstored(b *bench) {
	heal := b.Fail()
	got, err := b.Rolling.AddRollingKey(b.Context(), b.rollingKey(today, "key"))
	heal()
	b.wants(err, broker.ErrUnavailable)
	b.noKey(got)
	b.noRolling(today)
}
