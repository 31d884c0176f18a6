package sealed

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

func registered(paths ...string) broker.Want {
	return broker.Want{Environment: environment, Store: broker.Store{Name: "sealed", Kind: "sealed", Paths: paths}}
}

// bound is a sealer whose key works for one environment alone.
type bound struct {
	*fakeSealer
	other error
}

func (b bound) Seal(ctx context.Context, c broker.SealContext, plain secret.Value) ([]byte, error) {
	if c.Environment != environment && b.other != nil {
		return nil, b.other
	}
	return b.fakeSealer.Seal(ctx, c, plain)
}

func TestCheckTriesTheKeyWithAValueOfItsOwn(t *testing.T) {
	values := newValues()
	check, err := New(values, bound{newSealer(), broker.ErrKeyUnavailable}, time.Now).Check(t.Context(), registered("*"), nil)
	if err != nil || len(check.Warnings) != 0 || !strings.Contains(check.LeastPolicy, `"kms:EncryptionContext:bindery:environment": "prod"`) {
		t.Errorf("%+v, %v", check, err)
	}
	if len(values.rows) != 0 {
		t.Error("something was stored")
	}
}

func TestCheckWarnsOfAKeyThatIsNotBound(t *testing.T) {
	check, err := New(newValues(), newSealer(), time.Now).Check(t.Context(), registered("*"), nil)
	if err != nil || len(check.Warnings) != 1 || check.Warnings[0].Word != broker.KeyUnbound {
		t.Errorf("%+v, %v", check, err)
	}
	if _, err := New(newValues(), bound{newSealer(), broker.ErrUnavailable}, time.Now).Check(t.Context(), registered("*"), nil); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("a key that could not be asked: %v", err)
	}
}

func TestCheckSaysThatAKeyCannotBeUsed(t *testing.T) {
	sealer := newSealer()
	sealer.fault = func(context.Context, string) error { return broker.ErrKeyUnavailable }
	check, err := New(newValues(), sealer, time.Now).Check(t.Context(), registered("*"), nil)
	if !errors.Is(err, broker.ErrKeyUnavailable) || check.LeastPolicy == "" {
		t.Errorf("%+v, %v", check, err)
	}
}

func TestListGivesTheIDsInsideThePaths(t *testing.T) {
	db := memory.New(time.Now)
	s := New(db, newSealer(), time.Now)
	for _, id := range []string{"a", "b", "c"} {
		if _, err := s.Put(t.Context(), environment, id, origin, secret.New("made-up-value-"+id)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for after := ""; ; {
		found, next, err := s.List(t.Context(), registered("a", "c"), after, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found {
			got = append(got, r.String())
		}
		if after = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, []string{"sealed:a", "sealed:c"}) {
		t.Errorf("listed %v", got)
	}
	if _, _, err := New(newValues(), newSealer(), time.Now).List(t.Context(), registered("*"), "", 1); !errors.Is(err, broker.ErrStoreDenied) {
		t.Errorf("values that cannot be listed: %v", err)
	}
}

// TestARowThatDoesNotDecodeIsNoAbsenceAndNothingPassing: it is a fault of its own,
// and no other value has it.
func TestARowThatDoesNotDecodeIsNoAbsenceAndNothingPassing(t *testing.T) {
	db := memory.New(time.Now)
	s := New(db, newSealer(), time.Now)
	for _, id := range []string{"bad", "good"} {
		if _, err := s.Put(t.Context(), environment, id, origin, secret.New("made-up-value-"+id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Spoil(environment, broker.SealedValue{ID: "bad"}); err != nil {
		t.Fatal(err)
	}
	fetch := func(id string) error {
		r, err := broker.ParseReference("sealed:" + id)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Fetch(t.Context(), broker.Want{Reference: r, Keys: []string{""}, Environment: environment, Origin: origin})
		return err
	}
	for _, err := range []error{fetch("bad"), s.Delete(t.Context(), environment, "bad")} {
		if !errors.Is(err, broker.ErrUndecodable) || broker.ReasonOf(err) != broker.RowUndecodable {
			t.Errorf("it fails with %v", err)
		}
	}
	if err := fetch("good"); err != nil {
		t.Errorf("another value: %v", err)
	}
}
