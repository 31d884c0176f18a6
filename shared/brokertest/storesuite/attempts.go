package storesuite

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testAttempts(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"the first attempt counts, for everyone who comes later":    testAttemptFirst,
		"an ended attempt is given with its whole answer":           testAttemptEnded,
		"an attempt ends once, and only as it was begun":            testAttemptEndsOnce,
		"of sixteen attempts under one key exactly one counts":      testAttemptRace,
		"of sixteen ends exactly one is kept":                       testAttemptEndRace,
		"an applied beginning whose answer was lost counts":         testAttemptLost,
		"an applied end whose answer was lost is kept":              testAttemptEndLost,
		"a key older than its life is not known":                    testAttemptLife,
		"an attempt that did not end in its time may be begun anew": testAttemptDied,
		"an attempt that failed may be begun anew at once":          testAttemptFailed,
		"keys of others and elsewhere are other keys":               testAttemptApart,
		"attempts that no backend may keep are refused":             testAttemptRefused,
		"a backend that cannot be asked gives no attempt":           testAttemptUnavailable,
	})
}

// attempt has every field set that an attempt begins with.
func (b *bench) attempt(receipt string) broker.Attempt {
	return broker.Attempt{Environment: b.environment, Principal: "p-admin/1#", Key: "key/1#%2F é", Request: "digest-1", Receipt: receipt,
		Begun: b.clock.Now().Add(-time.Nanosecond).In(time.FixedZone("", 3600))}
}

func ended(a broker.Attempt) broker.Attempt {
	a.Status, a.Answer, a.ETag = 201, []byte("{\"name\":\"é\"}\x00\xff"), `"7"`
	return a
}

func (b *bench) begins(a, want broker.Attempt) {
	b.Helper()
	got, err := b.Attempts.BeginAttempt(b.Context(), a)
	b.must(err)
	if d := cmp.Diff(want, got, compare); d != "" {
		b.Fatal(d)
	}
}

func testAttemptFirst(b *bench) {
	first := b.attempt("r-1")
	b.begins(first, first)
	b.begins(first, first)
	second := b.attempt("r-2")
	second.Request = "digest-2"
	b.clock.Advance(broker.AttemptTime / 2)
	second.Begun = b.clock.Now()
	b.begins(second, first)
}

func testAttemptEnded(b *bench) {
	full := ended(b.attempt("r-1"))
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			b.Fatalf("the full attempt leaves %s out", v.Type().Field(i).Name)
		}
	}
	b.begins(b.attempt("r-1"), b.attempt("r-1"))
	b.must(b.Attempts.EndAttempt(b.Context(), full))
	b.begins(b.attempt("r-2"), full)
	bare := b.attempt("r-3")
	bare.Key = "bare"
	b.begins(bare, bare)
	bare.Status = 204
	b.must(b.Attempts.EndAttempt(b.Context(), bare))
	b.must(b.Attempts.EndAttempt(b.Context(), bare))
	again := b.attempt("r-4")
	again.Key = "bare"
	b.begins(again, bare)
	large := b.attempt("r-5")
	large.Key = strings.Repeat("k", broker.MaxID)
	b.begins(large, large)
	large.Status, large.Answer = 200, bytes.Repeat([]byte{0xff}, 64<<10)
	b.must(b.Attempts.EndAttempt(b.Context(), large))
	again.Key = large.Key
	b.begins(again, large)
}

func testAttemptEndsOnce(b *bench) {
	mine := b.attempt("r-1")
	end := ended(mine)
	b.wants(b.Attempts.EndAttempt(b.Context(), end), broker.ErrConflict) // it never began
	b.begins(mine, mine)
	for name, spoil := range map[string]func(*broker.Attempt){
		"another receipt":   func(a *broker.Attempt) { a.Receipt = "r-2" },
		"another request":   func(a *broker.Attempt) { a.Request = "digest-2" },
		"another beginning": func(a *broker.Attempt) { a.Begun = a.Begun.Add(1) },
		"another key":       func(a *broker.Attempt) { a.Key += "/" },
		"another principal": func(a *broker.Attempt) { a.Principal = "p-eve" },
	} {
		other := end
		spoil(&other)
		if err := b.Attempts.EndAttempt(b.Context(), other); err == nil {
			b.Fatalf("%s: ended", name)
		} else {
			b.wants(err, broker.ErrConflict)
		}
	}
	b.begins(b.attempt("r-3"), mine)
	b.must(b.Attempts.EndAttempt(b.Context(), end))
	b.must(b.Attempts.EndAttempt(b.Context(), end)) // the same again
	for name, spoil := range map[string]func(*broker.Attempt){
		"another status": func(a *broker.Attempt) { a.Status = 500 },
		"another answer": func(a *broker.Attempt) { a.Answer = []byte("{}") },
		"no answer":      func(a *broker.Attempt) { a.Answer = nil },
		"another tag":    func(a *broker.Attempt) { a.ETag = `"8"` },
	} {
		other := end
		spoil(&other)
		if err := b.Attempts.EndAttempt(b.Context(), other); err == nil {
			b.Fatalf("%s: ended twice", name)
		} else {
			b.wants(err, broker.ErrConflict)
		}
	}
	b.begins(b.attempt("r-3"), end)
}

func testAttemptLife(b *bench) {
	mine := b.attempt("r-1")
	mine.Begun = b.clock.Now()
	b.begins(mine, mine)
	b.must(b.Attempts.EndAttempt(b.Context(), ended(mine)))
	next := mine
	next.Receipt, next.Request = "r-2", "digest-2"
	b.clock.Advance(broker.AttemptLife - 1)
	next.Begun = b.clock.Now()
	b.begins(next, ended(mine))
	b.clock.Advance(1)
	b.wants(b.Attempts.EndAttempt(b.Context(), ended(mine)), broker.ErrConflict)
	next.Begun = b.clock.Now()
	b.begins(next, next)
	b.wants(b.Attempts.EndAttempt(b.Context(), ended(mine)), broker.ErrConflict)
	b.must(b.Attempts.EndAttempt(b.Context(), ended(next)))
	b.begins(mine, ended(next))
}

// The one that died may yet come back: its end does not count any more.
func testAttemptDied(b *bench) {
	mine := b.attempt("r-1")
	mine.Begun = b.clock.Now()
	b.begins(mine, mine)
	next := mine
	next.Receipt = "r-2"
	b.clock.Advance(broker.AttemptTime - 1)
	next.Begun = b.clock.Now()
	b.begins(next, mine)
	b.clock.Advance(1)
	next.Begun = b.clock.Now()
	b.begins(next, next)
	b.wants(b.Attempts.EndAttempt(b.Context(), ended(mine)), broker.ErrConflict)
	b.must(b.Attempts.EndAttempt(b.Context(), ended(next)))
	b.clock.Advance(broker.AttemptTime)
	b.begins(mine, ended(next))
}

// Its own end may arrive once more, and counts only until somebody has begun anew.
func testAttemptFailed(b *bench) {
	mine := b.attempt("r-1")
	mine.Begun = b.clock.Now()
	b.begins(mine, mine)
	failed := mine
	failed.Status = broker.AttemptFailed
	b.must(b.Attempts.EndAttempt(b.Context(), failed))
	b.must(b.Attempts.EndAttempt(b.Context(), failed))
	next := mine
	next.Receipt = "r-2"
	b.begins(next, next)
	b.wants(b.Attempts.EndAttempt(b.Context(), failed), broker.ErrConflict)
	b.begins(mine, next)
	b.must(b.Attempts.EndAttempt(b.Context(), ended(next)))
	b.begins(mine, ended(next))
}

func testAttemptApart(b *bench) {
	mine := b.attempt("r-1")
	b.begins(mine, mine)
	for i, alter := range []func(*broker.Attempt){
		func(a *broker.Attempt) { a.Environment = b.other },
		func(a *broker.Attempt) { a.Principal = "p-admin" },
		func(a *broker.Attempt) { a.Key = "key" },
		func(a *broker.Attempt) { a.Principal, a.Key = "p-admin/1#/key", "1#%2F é" },
	} {
		other := b.attempt(text(i))
		alter(&other)
		b.begins(other, other)
	}
	b.begins(b.attempt("r-2"), mine)
}

func testAttemptRefused(b *bench) {
	refuse := func(name string, a broker.Attempt, end bool) {
		b.Helper()
		var err error
		if end {
			err = b.Attempts.EndAttempt(b.Context(), a)
		} else {
			_, err = b.Attempts.BeginAttempt(b.Context(), a)
		}
		if err == nil {
			b.Fatalf("%s: kept", name)
		}
		b.wants(err, broker.ErrInvalid)
	}
	for name, spoil := range map[string]func(*broker.Attempt){
		"no environment":         func(a *broker.Attempt) { a.Environment = "" },
		"a path for environment": func(a *broker.Attempt) { a.Environment = "prod/eu" },
		"no principal":           func(a *broker.Attempt) { a.Principal = "" },
		"no key":                 func(a *broker.Attempt) { a.Key = "" },
		"a huge key":             func(a *broker.Attempt) { a.Key = strings.Repeat("k", broker.MaxID+1) },
		"a key that is no text":  func(a *broker.Attempt) { a.Key = "\xff" },
		"no request":             func(a *broker.Attempt) { a.Request = "" },
		"no receipt":             func(a *broker.Attempt) { a.Receipt = "" },
		"no time":                func(a *broker.Attempt) { a.Begun = time.Time{} },
	} {
		a := b.attempt("r-1")
		spoil(&a)
		refuse(name, a, false)
		refuse(name, ended(a), true)
	}
	for name, spoil := range map[string]func(*broker.Attempt){
		"no status":          func(a *broker.Attempt) { a.Status = 0 },
		"a status unheard":   func(a *broker.Attempt) { a.Status = 99 },
		"a huge answer":      func(a *broker.Attempt) { a.Answer = make([]byte, 64<<10+1) },
		"a tag that is huge": func(a *broker.Attempt) { a.ETag = strings.Repeat("x", 1<<20) },
	} {
		a := ended(b.attempt("r-1"))
		spoil(&a)
		refuse(name, a, true)
	}
	refuse("begun with an end", ended(b.attempt("r-1")), false)
	b.begins(b.attempt("r-2"), b.attempt("r-2"))
}

func testAttemptUnavailable(b *bench) {
	mine := b.attempt("r-1")
	b.begins(mine, mine)
	heal := b.Fail()
	got, err := b.Attempts.BeginAttempt(b.Context(), b.attempt("r-2"))
	b.wants(err, broker.ErrUnavailable)
	b.wants(b.Attempts.EndAttempt(b.Context(), ended(mine)), broker.ErrUnavailable)
	heal()
	if d := cmp.Diff(broker.Attempt{}, got, compare); d != "" {
		b.Fatalf("an attempt was given beside the error: %s", d)
	}
	b.begins(b.attempt("r-2"), mine)
}
