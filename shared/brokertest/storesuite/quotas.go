package storesuite

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bindery/shared/broker"
)

func testCalls(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"as many calls as the limit, and not one more":         testCallsLimit,
		"a refused call is not counted":                        testCallsRefusedUncounted,
		"windows begin at whole minutes":                       testCallsWindow,
		"of sixteen callers exactly as many pass as may":       testCallsRace,
		"each subject has calls of its own":                    testCallsApart,
		"a call whose answer was lost was counted":             testCallsLost,
		"a quota that cannot be written lets nobody pass":      testCallsUnavailable,
		"quotas and times that make no sense are refused":      testCallsInvalid,
		"calls and places do not use up each other":            testCallsBesidePlaces,
		"the longest subject and any text in it are counted":   testCallsSubjects,
		"a clock that lags counts in the window that it is in": testCallsLate,
	})
}

// quota is one that no other test uses.
func (b *bench) quota(limit int) broker.Quota {
	return broker.Quota{Environment: b.environment, Subject: "principal/" + alice, Limit: limit}
}

func (b *bench) counts(q broker.Quota, at time.Time, want bool) {
	b.Helper()
	got, err := b.Quotas.CountCall(b.Context(), q, at)
	b.must(err)
	if got != want {
		b.Fatalf("counted: %v, want %v", got, want)
	}
}

func testCallsLimit(b *bench) {
	for range 5 {
		b.counts(b.quota(5), b.clock.Now(), true)
	}
	for range 3 {
		b.counts(b.quota(5), b.clock.Now(), false)
	}
}

func testCallsRefusedUncounted(b *bench) {
	b.counts(b.quota(1), b.clock.Now(), true)
	for range 3 {
		b.counts(b.quota(1), b.clock.Now(), false)
	}
	b.counts(b.quota(2), b.clock.Now(), true) // the limit was raised: there is one call in the window
	b.counts(b.quota(2), b.clock.Now(), false)
	b.counts(b.quota(1), b.clock.Now(), false) // and lowered
}

func testCallsWindow(b *bench) {
	noon := b.clock.Now()
	last := noon.Add(broker.QuotaWindow - 1)
	b.counts(b.quota(1), last, true)
	b.counts(b.quota(1), noon, false)
	b.counts(b.quota(1), last.In(time.FixedZone("", 5400+30)), false) // the same instant, elsewhere
	b.counts(b.quota(1), last.Add(1), true)
	b.counts(b.quota(1), noon.Add(-1), true)
}

// testCallsLate is a process whose clock is behind: it counts in a window that
// is over for the others, and not in a new one.
func testCallsLate(b *bench) {
	now := b.clock.Now()
	b.counts(b.quota(1), now.Add(-broker.QuotaWindow), true)
	b.counts(b.quota(1), now, true)
	b.counts(b.quota(1), now.Add(-broker.QuotaWindow), false)
}

func testCallsRace(b *bench) {
	for round, limit := range []int{1, 5, racers} {
		now := b.clock.Now().Add(time.Duration(round) * broker.QuotaWindow)
		var passed atomic.Int64
		for _, err := range race(racers, func(int) error {
			ok, err := b.Quotas.CountCall(b.Context(), b.quota(limit), now)
			if ok {
				passed.Add(1)
			}
			return err
		}) {
			b.must(err)
		}
		if n := passed.Load(); n != int64(limit) {
			b.Fatalf("%d of %d calls passed, %d may", n, racers, limit)
		}
	}
}

func testCallsApart(b *bench) {
	q := b.quota(1)
	b.counts(q, b.clock.Now(), true)
	for _, other := range []broker.Quota{
		{Environment: b.other, Subject: q.Subject, Limit: 1},
		{Environment: b.environment, Subject: "agent/" + alice, Limit: 1},
		{Environment: b.environment, Subject: q.Subject + "/", Limit: 1},
		{Environment: b.environment, Subject: "principal", Limit: 1},
	} {
		b.counts(other, b.clock.Now(), true)
	}
	b.counts(q, b.clock.Now(), false)
}

// testCallsLost holds a count to at least once, and to once for each request.
func testCallsLost(b *bench) {
	for round, losses := range []int{1, 3} {
		now := b.clock.Now().Add(time.Duration(round) * broker.QuotaWindow)
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error {
			_, err := b.Quotas.CountCall(b.Context(), b.quota(100), now)
			return err
		}))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
		b.counts(b.quota(1), now, false)
		b.counts(b.quota(losses+2), now, true)
	}
}

func testCallsUnavailable(b *bench) {
	heal := b.Fail()
	ok, err := b.Quotas.CountCall(b.Context(), b.quota(1), b.clock.Now())
	heal()
	b.wants(err, broker.ErrUnavailable)
	if ok {
		b.Fatal("a call that could not be counted passed")
	}
	b.counts(b.quota(1), b.clock.Now(), true)
}

// senseless are the quotas that every operation refuses.
func (b *bench) senseless() map[string]broker.Quota {
	quotas := map[string]broker.Quota{}
	for name, spoil := range map[string]func(*broker.Quota){
		"no environment":         func(q *broker.Quota) { q.Environment = "" },
		"a path for environment": func(q *broker.Quota) { q.Environment = "a/b" },
		"no subject":             func(q *broker.Quota) { q.Subject = "" },
		"a subject too long":     func(q *broker.Quota) { q.Subject = strings.Repeat("x", 4096) },
		"a subject of bytes":     func(q *broker.Quota) { q.Subject = "principal/\xff" },
		"limit 0":                func(q *broker.Quota) { q.Limit = 0 },
		"a negative limit":       func(q *broker.Quota) { q.Limit = -1 },
		"a limit that is none":   func(q *broker.Quota) { q.Limit = 1 << 40 },
	} {
		q := b.quota(1)
		spoil(&q)
		quotas[name] = q
	}
	return quotas
}

func testCallsInvalid(b *bench) {
	for name, q := range b.senseless() {
		if ok, err := b.Quotas.CountCall(b.Context(), q, b.clock.Now()); err == nil || ok {
			b.Fatalf("%s: counted", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	for _, at := range []time.Time{{}, time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		_, err := b.Quotas.CountCall(b.Context(), b.quota(1), at)
		b.wants(err, broker.ErrInvalid)
	}
}

func testCallsBesidePlaces(b *bench) {
	q, now := b.quota(1), b.clock.Now()
	b.takes(q, "r-1", now, 0)
	b.counts(q, now, true)
	b.counts(q, now, false)
	b.takesNone(q, "r-2", now)
	b.must(b.Quotas.FreePlace(b.Context(), broker.Place{Quota: q, Holder: "r-1"}))
	b.takes(q, "r-2", now, 0)
}

func testCallsSubjects(b *bench) {
	for _, subject := range []string{"agent/" + strings.Repeat("/", broker.MaxID), "server/é#1", "agent/okta:a%2Fb", "agent/okta:a/b", "agent/okta:a%252Fb"} {
		q := broker.Quota{Environment: b.environment, Subject: subject, Limit: 1}
		b.counts(q, b.clock.Now(), true)
		b.counts(q, b.clock.Now(), false)
		b.takes(q, "r-1", b.clock.Now(), 0)
		b.takesNone(q, "r-2", b.clock.Now())
	}
}
