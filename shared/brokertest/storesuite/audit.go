package storesuite

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

func testAudit(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"a record comes back whole, with the same hash":         testAuditWhole,
		"a stored record is never replaced":                     testAuditAppendOnly,
		"the phases of a receipt are records of their own":      testAuditPhases,
		"of sixteen writers of one receipt exactly one appends": testAuditRace,
		"an applied record whose answer was lost is recognised": testAuditLost,
		"a lost answer does not vouch for somebody else":        testAuditLostForeign,
		"records that could not be told apart are refused":      testAuditRefused,
		"a change is kept as it was before and after, in full":  testAuditChange,
	})
}

// record has every field set, by its type, so that none can be forgotten.
func (b *bench) record(phase broker.Phase) broker.Record {
	b.Helper()
	r := broker.Record{Schema: broker.RecordSchema, Receipt: b.environment + "-receipt", Phase: phase,
		At: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))}
	fillZero(b, reflect.ValueOf(&r).Elem(), "record")
	return r
}

func fillZero(b *bench, v reflect.Value, name string) {
	b.Helper()
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			fillZero(b, v.Field(i), v.Type().Field(i).Name)
		}
	case !v.IsZero():
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillZero(b, v.Elem(), name)
	case v.Kind() == reflect.String:
		v.SetString(name + ` <&> "é"`)
	case v.CanInt():
		v.SetInt(1<<40 + int64(len(name)))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fillZero(b, v.Index(i), fmt.Sprint(name, i))
		}
	default:
		b.Fatalf("%s has a type that this test does not know", name)
	}
}

func (b *bench) stored(r broker.Record) []broker.Record {
	b.Helper()
	records, err := b.Evidence.Receipt(b.Context(), r.Receipt)
	b.must(err)
	return records
}

func (b *bench) onlyStored(want broker.Record) {
	b.Helper()
	if d := cmp.Diff([]broker.Record{want}, b.stored(want)); d != "" {
		b.Fatal(d)
	}
}

func testAuditWhole(b *bench) {
	smallest := broker.Record{Schema: broker.RecordSchema, Receipt: b.environment + "-small", Phase: broker.Refused,
		Nonce: "n", At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, want := range []broker.Record{b.record(broker.Intent), smallest} {
		b.must(b.Audit.Append(b.Context(), want))
		b.onlyStored(want)
		hash, err := want.Hash()
		b.must(err)
		got, err := b.stored(want)[0].Hash()
		b.must(err)
		if got != hash {
			b.Fatalf("the hash was %s and is now %s", hash, got)
		}
	}
}

func testAuditAppendOnly(b *bench) {
	first := b.record(broker.Intent)
	b.must(b.Audit.Append(b.Context(), first))
	b.must(b.Audit.Append(b.Context(), first)) // the same nonce: applied before
	forged := first
	forged.Nonce, forged.Principal = "another", "p-somebody-else"
	b.wants(b.Audit.Append(b.Context(), forged), broker.ErrConflict)
	forged.Nonce = first.Nonce
	_ = b.Audit.Append(b.Context(), forged) // whatever it says, nothing changes
	b.onlyStored(first)
}

func testAuditPhases(b *bench) {
	var want []broker.Record
	for _, phase := range []broker.Phase{broker.Outcome, broker.Intent} {
		r := b.record(phase)
		r.Nonce = string(phase)
		b.must(b.Audit.Append(b.Context(), r))
		want = append([]broker.Record{r}, want...)
	}
	if d := cmp.Diff(want, b.stored(want[0])); d != "" {
		b.Fatal(d)
	}
}

func testAuditRace(b *bench) {
	errs := race(racers, func(i int) error {
		r := b.record(broker.Intent)
		r.Nonce = text(i)
		return b.persist(func() error { return b.Audit.Append(b.Context(), r) })
	})
	stored := b.stored(b.record(broker.Intent))
	if len(stored) != 1 {
		b.Fatalf("%d records", len(stored))
	}
	for i, err := range errs {
		if won := stored[0].Nonce == text(i); won != (err == nil) {
			b.Fatalf("%s is stored, and writer %d got %v", stored[0].Nonce, i, err)
		}
		if err != nil {
			b.wants(err, broker.ErrConflict)
		}
	}
}

func testAuditLost(b *bench) {
	for _, losses := range []int{1, 3} {
		r := b.record(broker.Outcome)
		r.Receipt = fmt.Sprint(r.Receipt, losses)
		left := b.LoseAnswers(losses)
		b.must(b.persist(func() error { return b.Audit.Append(b.Context(), r) }))
		if left() != 0 {
			b.Fatal("no answer was lost")
		}
		b.onlyStored(r)
	}
}

func testAuditLostForeign(b *bench) {
	theirs, mine := b.record(broker.Intent), b.record(broker.Intent)
	theirs.Nonce, mine.Nonce = "theirs", "mine"
	b.must(b.Audit.Append(b.Context(), theirs))
	b.LoseAnswers(1)
	b.wants(b.persist(func() error { return b.Audit.Append(b.Context(), mine) }), broker.ErrConflict)
	b.onlyStored(theirs)
}

func testAuditRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Record){
		"no nonce":               func(r *broker.Record) { r.Nonce = "" },
		"no receipt":             func(r *broker.Record) { r.Receipt = "" },
		"no phase":               func(r *broker.Record) { r.Phase = "" },
		"an unknown phase":       func(r *broker.Record) { r.Phase = "intent#2" },
		"an unknown schema":      func(r *broker.Record) { r.Schema = 99 },
		"text that is not UTF-8": func(r *broker.Record) { r.Target = "\xff" },
		"a before that is none":  func(r *broker.Record) { r.Before = "\xff" },
		"a huge before":          func(r *broker.Record) { r.Before = strings.Repeat("x", 64<<10+1) },
		"a huge after":           func(r *broker.Record) { r.After = strings.Repeat("x", 64<<10+1) },
		"a huge object":          func(r *broker.Record) { r.Object = strings.Repeat("x", 64<<10) },
	} {
		r := b.record(broker.Intent)
		spoil(&r)
		if err := b.Audit.Append(b.Context(), r); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	if got := b.stored(b.record(broker.Intent)); len(got) != 0 {
		b.Fatalf("stored: %+v", got)
	}
}

// testAuditChange stores the longest change there can be, what was created and
// what was deleted.
func testAuditChange(b *bench) {
	document := func(letter string) string {
		return `{"text":"` + strings.Repeat(letter, (64<<10-len(`{"text":""}`))/len(letter)) + `"}`
	}
	for name, change := range map[string]struct{ before, after string }{
		"longest": {document("<"), document("é")},
		"created": {"", `{"name":"card"}`},
		"deleted": {`{"name":"card"}`, ""},
	} {
		want := b.record(broker.Intent)
		want.Receipt, want.Object, want.Before, want.After = want.Receipt+name, "binding/github/card", change.before, change.after
		b.must(b.Audit.Append(b.Context(), want))
		b.onlyStored(want)
		hash, err := want.Hash()
		b.must(err)
		got, err := b.stored(want)[0].Hash()
		b.must(err)
		if got != hash {
			b.Fatalf("%s: the hash was %s and is now %s", name, hash, got)
		}
	}
}
