package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func TestFaultsFailClosedAndPass(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(d *deployment, err error)
		err  error
	}{
		"table down": {func(d *deployment, err error) { d.beforeLoad = func(context.Context) error { return err } }, broker.ErrUnavailable},
		"KMS down":   {func(d *deployment, err error) { d.breakWith(err) }, broker.ErrUnavailable},
		"KMS denies": {func(d *deployment, err error) { d.breakWith(err) }, broker.ErrKeyUnavailable},
	} {
		d := newDeployment()
		id := wrap(t, d.process(), alice, begun)
		c.fail(d, fmt.Errorf("%w: code", c.err))
		s, loads, opens := d.process(), d.loads, d.opens
		for range 100 {
			if v, err := s.Unwrap(t.Context(), alice, id); !errors.Is(err, c.err) || v.Upstream != "" {
				t.Errorf("%s: unwrap: %v, want %v", name, err, c.err)
			}
			if got, err := s.Wrap(t.Context(), alice, begun); !errors.Is(err, c.err) || got != "" || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: wrap: %v, want %v", name, err, c.err)
			}
		}
		if d.loads > loads+1 || d.opens > opens+1 {
			t.Errorf("%s: a flood cost %d reads and %d calls to KMS", name, d.loads-loads, d.opens-opens)
		}
		c.fail(d, nil)
		d.pass(retryAfter)
		mustOpen(t, name+", and back again", s, alice, id)
	}
}

func TestKMSDownOnANewDay(t *testing.T) {
	d := newDeployment()
	d.breakWith(broker.ErrKeyUnavailable)
	s := d.process()
	if _, err := s.Wrap(t.Context(), alice, begun); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("%v, want ErrKeyUnavailable", err)
	}
	if len(d.keys) != 0 {
		t.Error("a key was stored that nobody sealed")
	}
	d.breakWith(nil)
	d.pass(retryAfter)
	mustOpen(t, "when KMS is back", s, alice, wrap(t, s, alice, begun))
}

func TestKeyOfAnotherLengthIsRefused(t *testing.T) {
	for _, n := range []int{1, 16, 24, 31, 33} { // AES would take 16 and 24
		d := newDeployment()
		wrap(t, d.process(), alice, begun)
		for _, handle := range slices.Collect(maps.Keys(d.texts)) {
			d.texts[handle] = sealedText{d.texts[handle].SealContext, secret.New(strings.Repeat("k", n))}
		}
		if _, err := d.process().Wrap(t.Context(), alice, begun); !errors.Is(err, broker.ErrKeyUnavailable) {
			t.Errorf("a key of %d bytes: %v, want ErrKeyUnavailable", n, err)
		}
	}
}

func TestHangingTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeployment()
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
		}
		d.beforeLoad = hang
		s := New(d.rows, d.sealer, "prod", time.Now)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Wrap(impatient, alice, begun); !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller whose time is over: %v, want ErrUnavailable", err)
		}
		before := time.Now()
		if _, err := s.Wrap(t.Context(), alice, begun); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("a patient caller: %v, want ErrUnavailable", err)
		}
		if waited := time.Since(before); waited > getTimeout || d.loads != 1 {
			t.Errorf("the second caller did not join the first one's attempt: %s, %d reads", waited, d.loads)
		}
	})
}

// An attempt can sleep with its sandbox. Nobody waits for it then.
func TestAttemptThatStoodStillIsLeftBehind(t *testing.T) {
	d := newDeployment()
	asleep, wake := make(chan struct{}), make(chan struct{})
	d.beforeLoad = func(context.Context) error { close(asleep); <-wake; return nil }
	s := d.process()
	slow := make(chan error)
	go func() {
		_, err := s.Wrap(context.WithoutCancel(t.Context()), alice, begun)
		slow <- err
	}()
	<-asleep
	d.rows.mu.Lock()
	d.beforeLoad = nil
	d.rows.mu.Unlock()
	d.pass(time.Hour)
	id := wrap(t, s, alice, begun)
	close(wake)
	if err := <-slow; err != nil {
		t.Errorf("the one that slept: %v", err)
	}
	mustOpen(t, "afterwards", s, alice, id)
}

func TestClockSetBackHoldsNothingUp(t *testing.T) {
	d := newDeployment()
	d.breakWith(broker.ErrUnavailable)
	s := d.process()
	if _, err := s.Wrap(t.Context(), alice, begun); !errors.Is(err, broker.ErrUnavailable) {
		t.Fatal(err)
	}
	d.breakWith(nil)
	d.pass(-time.Hour)
	mustOpen(t, "after the clock was set back", s, alice, wrap(t, s, alice, begun))
}
