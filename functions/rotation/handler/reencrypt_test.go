package handler

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"bindery/shared/broker"
)

// texts are sealed texts by place: "old" ones are under the former key.
type texts struct {
	mu    sync.Mutex
	rows  []string
	page  int
	fault error // of the next write
}

func (x *texts) SealedTexts(ctx context.Context, environment string, s broker.Segment, after string, _ int) (found []broker.SealedText, next string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	if environment != "prod" || s.Of < 1 || s.Number >= s.Of {
		return nil, "", broker.ErrInvalid
	}
	from, _ := strconv.Atoi(after)
	to := min(from+x.page, len(x.rows))
	for i := from; i < to; i++ {
		if i%s.Of == s.Number {
			found = append(found, broker.SealedText{Place: strconv.Itoa(i), Text: []byte(x.rows[i])})
		}
	}
	if to < len(x.rows) {
		next = strconv.Itoa(to)
	}
	return found, next, nil
}

func (x *texts) ReplaceText(_ context.Context, found broker.SealedText, text []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.fault; err != nil {
		x.fault = nil
		return err
	}
	i, _ := strconv.Atoi(found.Place)
	if x.rows[i] != string(found.Text) {
		return broker.ErrConflict
	}
	x.rows[i] = string(text)
	return nil
}

type keys struct{ fault error }

func (k *keys) Reseal(_ context.Context, environment string, sealed []byte) ([]byte, bool, error) {
	rest, old := strings.CutPrefix(string(sealed), "old ")
	switch {
	case k.fault != nil:
		return nil, false, k.fault
	case environment != "prod" || strings.HasPrefix(string(sealed), "altered"):
		return nil, false, broker.ErrKeyUnavailable
	}
	return []byte("new " + rest), old, nil
}

func sealedHandler(t *testing.T, rows ...string) (*Handler, *texts, *keys) {
	t.Helper()
	h, _ := newHandler(nil)
	x, k := &texts{rows: rows, page: 2}, &keys{}
	h.sealed = reencryption{x, k}
	return h, x, k
}

func TestWhatIsUnderAFormerKeyIsMovedAndTheRestLeft(t *testing.T) {
	h, x, _ := sealedHandler(t, "old 0", "new 1", "old 2", "altered 3", "old 4")
	got, err := h.Handle(t.Context(), []byte(`{"task":"reencrypt"}`))
	if want := (Reencrypted{Seen: 5, Moved: 3, Failed: 1, Done: true}); err != nil || got != any(want) {
		t.Errorf("%+v, %v", got, err)
	}
	if now := strings.Join(x.rows, ","); now != "new 0,new 1,new 2,altered 3,new 4" {
		t.Errorf("the rows are %s", now)
	}
	got, err = h.Handle(t.Context(), []byte(`{"task":"reencrypt"}`))
	if want := (Reencrypted{Seen: 5, Failed: 1, Done: true}); err != nil || got != any(want) {
		t.Errorf("again: %+v, %v", got, err)
	}
}

func TestSegmentsTogetherMoveEverything(t *testing.T) {
	var rows []string
	for i := range 20 {
		rows = append(rows, fmt.Sprint("old ", i))
	}
	h, x, _ := sealedHandler(t, rows...)
	for n := range 3 {
		if _, err := h.Handle(t.Context(), fmt.Appendf(nil, `{"task":"reencrypt","segment":%d,"segments":3}`, n)); err != nil {
			t.Fatal(err)
		}
	}
	if left := strings.Count(strings.Join(x.rows, ","), "old"); left != 0 {
		t.Errorf("%d are left", left)
	}
	for _, event := range []string{`{"task":"reencrypt","segment":3,"segments":3}`, `{"task":"reencrypt","segments":0}`, `{"task":"reencrypt","key":"x"}`} {
		if _, err := h.Handle(t.Context(), []byte(event)); err == nil {
			t.Errorf("%s was taken", event)
		}
	}
}

func TestARunWhoseTimeIsOverSaysWhereTheNextGoesOn(t *testing.T) {
	h, _, _ := sealedHandler(t, "old 0", "old 1", "old 2")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := h.Handle(ctx, []byte(`{"task":"reencrypt","after":"2"}`))
	if want := (Reencrypted{Next: "2"}); err != nil || got != any(want) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = h.Handle(t.Context(), []byte(`{"task":"reencrypt","after":"2"}`))
	if want := (Reencrypted{Seen: 1, Moved: 1, Done: true}); err != nil || got != any(want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAKeyThatCouldNotBeAskedIsNoResult(t *testing.T) {
	h, x, k := sealedHandler(t, "old 0")
	k.fault = broker.ErrUnavailable
	if _, err := h.Handle(t.Context(), []byte(`{"task":"reencrypt"}`)); !errors.Is(err, broker.ErrUnavailable) {
		t.Error(err)
	}
	k.fault, x.fault = nil, broker.ErrUnavailable
	if _, err := h.Handle(t.Context(), []byte(`{"task":"reencrypt"}`)); !errors.Is(err, broker.ErrUnavailable) {
		t.Error(err)
	}
	x.fault = broker.ErrConflict
	got, err := h.Handle(t.Context(), []byte(`{"task":"reencrypt"}`))
	if want := (Reencrypted{Seen: 1, Changed: 1, Done: true}); err != nil || got != any(want) {
		t.Errorf("%+v, %v", got, err)
	}
}
