package storesuite

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bindery/shared/broker"
)

func testSealedRows(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"what is staged no reader of values gets":           testRowStaged,
		"a change names the revision it saw":                testRowRevisions,
		"of sixteen changes exactly one wins":               testRowRace,
		"an applied change whose answer was lost succeeds":  testRowLost,
		"a new value ends what was staged":                  testRowPut,
		"rows that could not be read back are refused":      testRowRefused,
		"there is nothing to change where nothing is":       testRowAbsent,
		"a row as another environment has it is left alone": testRowApart,
	})
}

func (b *bench) row() broker.SealedRow {
	b.Helper()
	row, err := b.Rows.SealedRow(b.Context(), b.environment, sealedID)
	b.must(err)
	return row
}

func (b *bench) staging(text string) *broker.SealedStaging {
	return &broker.SealedStaging{Rotation: "r-1", From: 1, Sealed: []byte(text), At: time.Date(2026, 3, 1, 13, 0, 0, 9, time.UTC)}
}

// rowIs requires the row as it is, its revision excepted.
func (b *bench) rowIs(want broker.SealedRow) {
	b.Helper()
	if d := cmp.Diff(want, b.row(), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(broker.SealedRow{}, "Revision")); d != "" {
		b.Fatal(d)
	}
}

func testRowStaged(b *bench) {
	first := b.sealedValue(1, "a")
	b.must(b.Sealed.PutSealed(b.Context(), first))
	row := b.row()
	row.Staging = b.staging("staged")
	b.must(b.Rows.ReplaceSealed(b.Context(), row))
	b.rowIs(broker.SealedRow{Versions: []broker.SealedValue{first}, Staging: b.staging("staged")})
	b.latest(first)
	row = b.row()
	row.Versions = []broker.SealedValue{b.sealedValue(2, "b"), first}
	row.Staging.Sealed = nil
	b.must(b.Rows.ReplaceSealed(b.Context(), row))
	b.latest(b.sealedValue(2, "b"), first)
	row = b.row()
	row.Staging = nil
	b.must(b.Rows.ReplaceSealed(b.Context(), row))
	b.rowIs(broker.SealedRow{Versions: []broker.SealedValue{b.sealedValue(2, "b"), first}})
}

func testRowRevisions(b *bench) {
	b.must(b.Sealed.PutSealed(b.Context(), b.sealedValue(1, "a")))
	seen := b.row()
	one, two := seen, seen
	one.Staging, two.Staging = b.staging("one"), b.staging("two")
	b.must(b.Rows.ReplaceSealed(b.Context(), one))
	b.must(b.Rows.ReplaceSealed(b.Context(), one)) // repeated
	b.wants(b.Rows.ReplaceSealed(b.Context(), two), broker.ErrConflict)
	b.wants(b.Rows.ReplaceSealed(b.Context(), seen), broker.ErrConflict)
	back := b.row()
	back.Staging = nil
	b.must(b.Rows.ReplaceSealed(b.Context(), back)) // as it was, and yet another revision
	b.wants(b.Rows.ReplaceSealed(b.Context(), two), broker.ErrConflict)
	b.must(b.Sealed.PutSealed(b.Context(), b.sealedValue(2, "b")))
	back = b.row()
	b.must(b.Rows.ReplaceSealed(b.Context(), back))
	b.wants(b.Rows.ReplaceSealed(b.Context(), one), broker.ErrConflict)
}

func testRowRace(b *bench) {
	b.must(b.Sealed.PutSealed(b.Context(), b.sealedValue(1, "a")))
	seen := b.row()
	won := 0
	for _, err := range race(racers, func(i int) error {
		row := seen
		row.Staging = b.staging(text(i))
		return b.persist(func() error { return b.Rows.ReplaceSealed(b.Context(), row) })
	}) {
		if err == nil {
			won++
			continue
		}
		b.wants(err, broker.ErrConflict)
	}
	if won != 1 {
		b.Fatalf("%d won", won)
	}
}

func testRowLost(b *bench) {
	b.must(b.Sealed.PutSealed(b.Context(), b.sealedValue(1, "a")))
	row := b.row()
	row.Staging = b.staging("staged")
	left := b.LoseAnswers(1)
	b.must(b.persist(func() error { return b.Rows.ReplaceSealed(b.Context(), row) }))
	if left() != 0 {
		b.Fatal("no answer was lost")
	}
	b.rowIs(row)
}

func testRowPut(b *bench) {
	first, second := b.sealedValue(1, "a"), b.sealedValue(2, "b")
	b.must(b.Sealed.PutSealed(b.Context(), first))
	row := b.row()
	row.Staging = b.staging("staged")
	b.must(b.Rows.ReplaceSealed(b.Context(), row))
	b.must(b.Sealed.PutSealed(b.Context(), second))
	b.rowIs(broker.SealedRow{Versions: []broker.SealedValue{second, first}})
}

func testRowRefused(b *bench) {
	b.must(b.Sealed.PutSealed(b.Context(), b.sealedValue(1, "a")))
	for name, spoil := range map[string]func(*broker.SealedRow){
		"no version":        func(r *broker.SealedRow) { r.Versions = nil },
		"a version missing": func(r *broker.SealedRow) { r.Versions = append(r.Versions, b.sealedValue(3, "c")) },
		"another value's": func(r *broker.SealedRow) {
			r.Versions = []broker.SealedValue{b.sealedValue(2, "b"), b.sealedValue(1, "a")}
			r.Versions[1].ID = "other"
		},
		"no rotation":  func(r *broker.SealedRow) { r.Staging.Rotation = "" },
		"from nothing": func(r *broker.SealedRow) { r.Staging.From = 0 },
		"no time":      func(r *broker.SealedRow) { r.Staging.At = time.Time{} },
		"a huge text":  func(r *broker.SealedRow) { r.Staging.Sealed = make([]byte, 1<<20) },
		"version 0":    func(r *broker.SealedRow) { r.Versions[0].Version = 0 },
	} {
		row := b.row()
		row.Staging = b.staging("staged")
		spoil(&row)
		if err := b.Rows.ReplaceSealed(b.Context(), row); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	b.rowIs(broker.SealedRow{Versions: []broker.SealedValue{b.sealedValue(1, "a")}})
}

func testRowAbsent(b *bench) {
	_, err := b.Rows.SealedRow(b.Context(), b.environment, sealedID)
	b.wants(err, broker.ErrNotFound)
	b.wants(b.Rows.ReplaceSealed(b.Context(), broker.SealedRow{Versions: []broker.SealedValue{b.sealedValue(1, "a")}}), broker.ErrConflict)
	b.latest()
}

func testRowApart(b *bench) {
	v := b.sealedValue(1, "a")
	v.Environment = b.other
	b.must(b.Sealed.PutSealed(b.Context(), v))
	_, err := b.Rows.SealedRow(b.Context(), b.environment, sealedID)
	b.wants(err, broker.ErrNotFound)
}
