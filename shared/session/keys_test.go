package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
)

// forged is a text of the right shape that names the day's key.
func forged(day int64) string {
	raw := appendDay(nil, day)
	box := make([]byte, 120)
	_, _ = rand.Read(box)
	return prefix + base64.RawURLEncoding.EncodeToString(append(raw, box...))
}

func TestAnotherDeploymentsIDIsUnknown(t *testing.T) {
	one, two := newDeployment(), newDeployment()
	id := wrap(t, one.process(), alice, begun)
	wrap(t, two.process(), alice, begun)
	mustBeUnknown(t, "another deployment's id", two.process(), alice, id)
}

func TestAnotherEnvironmentWithTheSameKeyDoesNotOpen(t *testing.T) {
	d := newDeployment()
	id := wrap(t, d.process(), alice, begun)
	stolen := d.copyOfRows()
	today := dayOf(d.now())
	stolen.keys[row("staging", today)] = stolen.keys[row("prod", today)]
	s := New(stolen, d.sealer, "staging", d.now)
	if _, err := s.Unwrap(t.Context(), alice, id); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("a row moved to another environment: %v, want ErrKeyUnavailable", err)
	}
	d.forgetful = true
	mustBeUnknown(t, "even when the sealer does not see it", New(stolen, d.sealer, "staging", d.now), alice, id)
}

func TestKeyRowMovedToAnotherDayDoesNotOpen(t *testing.T) {
	d := newDeployment()
	wrap(t, d.process(), alice, begun)
	today := dayOf(d.now())
	d.keys[row("prod", today-1)] = d.keys[row("prod", today)]
	if _, err := d.process().Unwrap(t.Context(), alice, forged(today-1)); !errors.Is(err, broker.ErrKeyUnavailable) {
		t.Errorf("%v, want ErrKeyUnavailable", err)
	}
}

func TestKeysRollWithOverlap(t *testing.T) {
	d := newDeployment()
	type living struct {
		id  string
		end time.Time
	}
	var all []living
	old := d.process()
	for range 40 { // twelve days
		all = append(all, living{wrap(t, old, alice, begun), d.now().Add(Life)})
		fresh := d.process()
		for _, l := range all {
			for _, s := range []*Sessions{old, fresh} {
				if _, err := s.Unwrap(t.Context(), alice, l.id); (err == nil) != d.now().Before(l.end) {
					t.Fatalf("at %s an id that lives until %s: %v", d.now(), l.end, err)
				}
			}
		}
		d.pass(7*time.Hour + 13*time.Minute)
	}
	if n := len(d.keys); n < 12 || n > 14 {
		t.Errorf("%d keys in twelve days", n)
	}
	if n := len(old.keys.days); n > 9 {
		t.Errorf("the process keeps %d keys", n)
	}
}

func TestMidnightWithClocksApart(t *testing.T) {
	midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, at := range []time.Duration{-2 * time.Minute, -time.Minute, -time.Second, 0, time.Second, time.Minute, 2*time.Minute - time.Second, 2 * time.Minute} {
		for _, skew := range []time.Duration{-broker.ClockSkew, broker.ClockSkew} {
			fresh := newDeployment()
			fresh.set(midnight.Add(at))
			here, there := fresh.process(), fresh.skewed(skew)
			// The forged ids come first: what they miss must not be held against the honest one.
			for _, day := range []int64{dayOf(midnight) - 1, dayOf(midnight)} {
				mustBeUnknown(t, "forged", here, alice, forged(day))
				mustBeUnknown(t, "forged", there, alice, forged(day))
			}
			mustOpen(t, fmt.Sprint("from a clock ", skew, " apart, ", at, " from midnight"), here, alice, wrap(t, there, alice, begun))
			mustOpen(t, fmt.Sprint("at a clock ", skew, " apart, ", at, " from midnight"), there, alice, wrap(t, here, alice, begun))
		}
	}
}

// Both processes see that the day has no key before either adds one.
func TestTwoProcessesAtTheSameFirstMomentEndWithOneKey(t *testing.T) {
	for name, lost := range map[string]bool{"": false, "the first answer is lost": true} {
		d := newDeployment()
		var both sync.WaitGroup
		both.Add(2)
		d.beforeAdd = func(context.Context) error { both.Done(); both.Wait(); return nil }
		if lost {
			first := true
			d.afterAdd = func() error {
				defer func() { first = false }()
				if first {
					return fmt.Errorf("%w: the answer was lost", broker.ErrUnavailable)
				}
				return nil
			}
		}
		one, two := d.process(), d.process()
		var wait sync.WaitGroup
		var failed [2]error
		for i, s := range []*Sessions{one, two} {
			wait.Go(func() { _, failed[i] = s.Wrap(t.Context(), alice, begun) })
		}
		wait.Wait()
		if lost != (failed[0] != nil || failed[1] != nil) || (failed[0] != nil && failed[1] != nil) {
			t.Fatalf("%s: %v, %v", name, failed[0], failed[1])
		}
		if err := errors.Join(failed[:]...); lost && !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
		d.pass(retryAfter)
		mustOpen(t, name, one, alice, wrap(t, two, alice, begun))
		mustOpen(t, name, two, alice, wrap(t, one, alice, begun))
		if _, adds := d.counts(); adds != 2 || len(d.keys) != 1 {
			t.Errorf("%s: %d attempts left %d keys", name, adds, len(d.keys))
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	d := newDeployment()
	s := []*Sessions{d.process(), d.process()}
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			o := alice
			o.Principal = fmt.Sprint("p-", i)
			for range 20 {
				id, err := s[i%2].Wrap(t.Context(), o, begun)
				v, back := s[(i+1)%2].Unwrap(t.Context(), o, id)
				if err != nil || back != nil || v.Upstream != begun.Upstream {
					t.Errorf("%v, %v", err, back)
				}
				_, _ = s[i%2].Unwrap(t.Context(), o, forged(dayOf(d.now())-int64(i%9)))
			}
		})
	}
	wait.Wait()
	if loads, adds := d.counts(); loads > 2*8 || adds > 2 || len(d.keys) != 1 {
		t.Errorf("two processes made %d reads and %d writes for %d keys", loads, adds, len(d.keys))
	}
}

func TestFloodOfForgedIDsCostsFewReads(t *testing.T) {
	d := newDeployment()
	s := d.process()
	today := dayOf(d.now())
	flood := func() {
		for range 50 {
			for day := today - 100; day <= today+100; day++ {
				mustBeUnknown(t, "forged", s, alice, forged(day))
			}
			mustBeUnknown(t, "the first day", s, alice, forged(0))
			mustBeUnknown(t, "the last day", s, alice, forged(1<<32-1))
		}
	}
	flood()
	if loads, adds := d.counts(); loads != 8 || adds != 1 {
		t.Errorf("%d reads and %d writes, want one read for each living day, and today's key", loads, adds)
	}
	d.pass(retryAfter - time.Second)
	flood()
	if loads, _ := d.counts(); loads != 8 {
		t.Errorf("%d reads a moment later, want no more", loads)
	}
	d.pass(time.Second)
	flood()
	if loads, adds := d.counts(); loads != 8+7 || adds != 1 {
		t.Errorf("%d reads and %d writes after the pause, want one more for each day without a key", loads, adds)
	}
	if n := len(s.keys.days); n > 9 {
		t.Errorf("the process remembers %d days", n)
	}
}
