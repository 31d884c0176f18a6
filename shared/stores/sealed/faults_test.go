package sealed

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func TestFaultsFailClosed(t *testing.T) {
	for _, c := range []struct {
		name   string
		faulty string // handle
		fault  error
		want   error
	}{
		{"current: KMS throttled", "handle-1", broker.ErrUnavailable, broker.ErrUnavailable},
		{"current: key disabled", "handle-1", broker.ErrKeyUnavailable, broker.ErrKeyUnavailable},
		{"previous: KMS throttled", "handle-0", broker.ErrUnavailable, broker.ErrUnavailable},
	} {
		sealer := newSealer()
		s := New(newValues(), sealer, time.Now)
		put(t, s, "token", "made-up-value-one")
		put(t, s, "token", "made-up-value-two")
		sealer.fault = func(_ context.Context, handle string) error {
			if handle == c.faulty {
				return c.fault
			}
			return nil
		}
		if found, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, c.want) || found.Values != nil {
			t.Errorf("%s: %v, want %v and no value", c.name, err, c.want)
		}
	}
	values := newValues()
	values.err = broker.ErrUnavailable
	s := New(values, newSealer(), time.Now)
	if _, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("table unavailable: %v, want ErrUnavailable", err)
	}
	if _, err := s.Put(t.Context(), environment, "token", origin, secret.New("made-up-value-one")); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("put with the table unavailable: %v, want ErrUnavailable", err)
	}
}

// TestALostKeyIsStartedOver: what it sealed is lost; entered again under the same
// name, the value is there again.
func TestALostKeyIsStartedOver(t *testing.T) {
	sealer := newSealer()
	s := New(newValues(), sealer, time.Now)
	put(t, s, "token", "made-up-value-one")
	sealer.fault = func(_ context.Context, handle string) error {
		if handle == "handle-0" { // sealed under the key that is lost
			return broker.ErrKeyUnavailable
		}
		return nil
	}
	if found, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, broker.ErrKeyUnavailable) || found.Values != nil {
		t.Errorf("%v, want ErrKeyUnavailable and no value", err)
	}
	put(t, s, "token", "made-up-value-two")
	found, err := s.Fetch(t.Context(), want(t, "token"))
	if err != nil || !found.Values[""].Equal(secret.New("made-up-value-two")) || found.Version != "2" {
		t.Errorf("entered again it is version %s, %v", found.Version, err)
	}
}

func TestBothVersionsAreOpenedSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealer := newSealer()
		s := New(newValues(), sealer, time.Now)
		put(t, s, "token", "made-up-value-one")
		put(t, s, "token", "made-up-value-two")
		sealer.fault = func(context.Context, string) error { time.Sleep(time.Second); return nil }
		began := time.Now()
		if _, err := s.Fetch(t.Context(), want(t, "token")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("two opens of a second took %s", took)
		}
	})
}

func TestFailedOpenOfCurrentEndsTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealer := newSealer()
		s := New(newValues(), sealer, time.Now)
		put(t, s, "token", "made-up-value-one")
		put(t, s, "token", "made-up-value-two")
		ended := make(chan error, 1)
		sealer.fault = func(ctx context.Context, handle string) error {
			if handle == "handle-1" {
				return broker.ErrKeyUnavailable
			}
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		if _, err := s.Fetch(t.Context(), want(t, "token")); !errors.Is(err, broker.ErrKeyUnavailable) {
			t.Errorf("%v, want ErrKeyUnavailable", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the other open ended with %v", err)
		}
	})
}
