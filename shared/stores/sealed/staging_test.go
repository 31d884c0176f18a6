package sealed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/stagingsuite"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

// breaking breaks off the requests of a Stager: to the rows and to the key.
type breaking struct {
	broker.SealedRows
	*fakeSealer

	mu             sync.Mutex
	left           int
	armed, applied bool
}

func (b *breaking) arm(n int, applied bool) (heal func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left, b.armed, b.applied = n, true, applied
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.armed = false
		return b.left < 0
	}
}

func (b *breaking) request(f func() error) error {
	b.mu.Lock()
	b.left--
	breaks, applied, over := b.armed && b.left == -1, b.applied, b.armed && b.left < -1
	b.mu.Unlock()
	if over || breaks && !applied {
		return broker.ErrUnavailable
	}
	err := f()
	if breaks {
		return broker.ErrUnavailable
	}
	return err
}

func (b *breaking) SealedRow(ctx context.Context, environment, id string) (row broker.SealedRow, err error) {
	return row, b.request(func() error { row, err = b.SealedRows.SealedRow(ctx, environment, id); return err })
}

func (b *breaking) ReplaceSealed(ctx context.Context, r broker.SealedRow) error {
	return b.request(func() error { return b.SealedRows.ReplaceSealed(ctx, r) })
}

func (b *breaking) Seal(ctx context.Context, c broker.SealContext, v secret.Value) (text []byte, err error) {
	return text, b.request(func() error { text, err = b.fakeSealer.Seal(ctx, c, v); return err })
}

func (b *breaking) Open(ctx context.Context, c broker.SealContext, text []byte) (v secret.Value, err error) {
	return v, b.request(func() error { v, err = b.fakeSealer.Open(ctx, c, text); return err })
}

func newStaging() (*memory.DB, *breaking, *Stager) {
	db := memory.New(time.Now)
	b := &breaking{SealedRows: db, fakeSealer: newSealer()}
	return db, b, NewStager(New(db, b, time.Now), b)
}

func TestStagingSuite(t *testing.T) {
	stagingsuite.Run(t, func(*testing.T) stagingsuite.Backend {
		_, b, s := newStaging()
		return stagingsuite.Backend{
			Scheme: "sealed", Environment: environment, Origin: origin, Break: b.arm,
			Open: func() stagingsuite.Store { return s },
			Put: func(t *testing.T, path, material string) {
				if _, err := s.Put(t.Context(), environment, path, origin, secret.New(material)); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func wanted(t *testing.T) broker.Want {
	t.Helper()
	r, err := broker.ParseReference("sealed:token")
	if err != nil {
		t.Fatal(err)
	}
	return broker.Want{Reference: r, Keys: []string{""}, Environment: environment, Origin: origin}
}

const rotation = "01JD0000000000000000000001"

// TestAStagedValueDoesNotOutliveItsDeletion: what ends a value ends what was
// being prepared for it.
func TestAStagedValueDoesNotOutliveItsDeletion(t *testing.T) {
	db, _, s := newStaging()
	if _, err := s.Put(t.Context(), environment, "token", origin, secret.New("made-up-value-one")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Stage(t.Context(), wanted(t), "", rotation, secret.New("made-up-value-two")); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), environment, "token"); err != nil {
		t.Fatal(err)
	}
	row, err := db.SealedRow(t.Context(), environment, "token")
	if err != nil || row.Staging != nil {
		t.Errorf("the staged text is still there: %v", err)
	}
	if err := s.Promote(t.Context(), wanted(t), rotation); !errors.Is(err, broker.ErrConflict) {
		t.Errorf("a deleted value was promoted: %v", err)
	}
	if _, _, err := s.Stage(t.Context(), wanted(t), "", rotation, secret.New("made-up-value-two")); !errors.Is(err, broker.ErrSecretMissing) {
		t.Errorf("a value was staged for a deleted one: %v", err)
	}
}

// TestAStagedTextOpensForItsOriginAlone: moved to another server it is worth nothing.
func TestAStagedTextOpensForItsOriginAlone(t *testing.T) {
	_, _, s := newStaging()
	if _, err := s.Put(t.Context(), environment, "token", origin, secret.New("made-up-value-one")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Stage(t.Context(), wanted(t), "", rotation, secret.New("made-up-value-two")); err != nil {
		t.Fatal(err)
	}
	elsewhere := wanted(t)
	elsewhere.Origin = "digest-of-another"
	if _, err := s.Staged(t.Context(), elsewhere, rotation); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("it opened for another origin: %v", err)
	}
}

// TestARetiredTextIsGoneFromTheRow: not only unread.
func TestARetiredTextIsGoneFromTheRow(t *testing.T) {
	db, _, s := newStaging()
	if _, err := s.Put(t.Context(), environment, "token", origin, secret.New("made-up-value-one")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Stage(t.Context(), wanted(t), "", rotation, secret.New("made-up-value-two")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Promote(t.Context(), wanted(t), rotation), s.Retire(t.Context(), wanted(t), rotation)); err != nil {
		t.Fatal(err)
	}
	row, err := db.SealedRow(t.Context(), environment, "token")
	if err != nil || len(row.Versions) != 2 || len(row.Versions[1].Sealed) > 0 || row.Versions[1].State != broker.Deleted || row.Staging != nil {
		t.Errorf("%+v, %v", row, err)
	}
}
