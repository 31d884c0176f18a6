package awssm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"bindery/shared/broker"
)

// What is remembered must not double the cost of every call.
func TestPreviousIsReadTwicePerProcessAndOncePerRotation(t *testing.T) {
	m, c := newManager(), newClock()
	m.putText("a", "made-up-value-one")
	s := New(m, 0, c.now)
	both, one := []string{stageCurrent, stagePrevious}, []string{stageCurrent}
	step := func(what string, want []string, value string, previous ...string) {
		t.Helper()
		found, err := fetch(t, s, "aws-sm:a", "")
		mustBe(t, found, err, value, previous...)
		calls := m.take()
		slices.Sort(calls)
		if !slices.Equal(calls, want) {
			t.Errorf("%s: reads %v, want %v", what, calls, want)
		}
	}
	step("first call", both, "made-up-value-one")
	step("second call", both, "made-up-value-one")
	for range 5 {
		step("later call", one, "made-up-value-one")
	}
	m.putText("a", "made-up-value-two")
	step("first call after a rotation", both, "made-up-value-two", "made-up-value-one")
	step("later call", one, "made-up-value-two", "made-up-value-one")
	c.advance(pairLife)
	step("call after the pair's life", both, "made-up-value-two", "made-up-value-one")
}

// A rotation between the two reads of one call mixes generations; that must
// not be remembered.
func TestRotationBetweenTheTwoReadsIsNotRemembered(t *testing.T) {
	for _, late := range []string{stageCurrent, stagePrevious} {
		synctest.Test(t, func(t *testing.T) {
			m := newManager()
			m.putText("a", "made-up-value-one")
			m.putText("a", "made-up-value-two")
			var once sync.Once
			m.before = func(_ context.Context, in *secretsmanager.GetSecretValueInput) error {
				if aws.ToString(in.VersionStage) == late {
					once.Do(func() {
						synctest.Wait() // the other read is done
						m.putText("a", "made-up-value-three")
					})
				}
				return nil
			}
			s := New(m, 0, time.Now)
			if _, err := fetch(t, s, "aws-sm:a", ""); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				found, err := fetch(t, s, "aws-sm:a", "")
				mustBe(t, found, err, "made-up-value-three", "made-up-value-two")
			}
		})
	}
}

// In a process that knows the secret, the version before a new one is read after
// it. If the label has moved on by then, the value that upstreams may still echo
// would not be masked.
func TestRotationWhileTheVersionBeforeIsReadHidesNoVersion(t *testing.T) {
	m := newManager()
	m.putText("a", "made-up-value-one")
	s := New(m, 0, time.Now)
	for range 2 { // settle
		if _, err := fetch(t, s, "aws-sm:a", ""); err != nil {
			t.Fatal(err)
		}
	}
	m.putText("a", "made-up-value-two")
	var once sync.Once
	m.before = func(_ context.Context, in *secretsmanager.GetSecretValueInput) error {
		if aws.ToString(in.VersionStage) == stagePrevious {
			once.Do(func() { m.putText("a", "made-up-value-three") })
		}
		return nil
	}
	for range 2 {
		found, err := fetch(t, s, "aws-sm:a", "")
		mustBe(t, found, err, "made-up-value-three", "made-up-value-two")
	}
}

func TestASecretThatChangesFasterThanItIsReadIsNotGivenOut(t *testing.T) {
	m := newManager()
	m.putText("a", "made-up-value-0")
	s, n := New(m, 0, time.Now), 0
	m.before = func(_ context.Context, in *secretsmanager.GetSecretValueInput) error {
		if aws.ToString(in.VersionStage) == stagePrevious {
			synctest.Wait() // the other read is done
			n++
			m.putText("a", fmt.Sprintf("made-up-value-%d", n))
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := fetch(t, s, "aws-sm:a", ""); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("fetch gave %v, want ErrUnavailable", err)
		}
	})
}

func TestRollbackByHandIsSeen(t *testing.T) {
	m := newManager()
	m.putText("a", "made-up-value-one")
	m.putText("a", "made-up-value-two")
	s := New(m, 0, time.Now)
	for range 3 {
		found, err := fetch(t, s, "aws-sm:a", "")
		mustBe(t, found, err, "made-up-value-two", "made-up-value-one")
	}
	m.mu.Lock()
	labels := m.secrets["a"].labels
	labels[stageCurrent], labels[stagePrevious] = labels[stagePrevious], labels[stageCurrent]
	m.mu.Unlock()
	for range 3 {
		found, err := fetch(t, s, "aws-sm:a", "")
		mustBe(t, found, err, "made-up-value-one", "made-up-value-two")
	}
}

// Only "there is none" may leave the version before unmasked.
func TestUnreadablePreviousFailsTheCall(t *testing.T) {
	for _, c := range []struct{ fault, want error }{
		{answered("AccessDeniedException", 400), broker.ErrStoreDenied},
		{answered("ThrottlingException", 400), broker.ErrUnavailable},
		{&types.DecryptionFailure{}, broker.ErrKeyUnavailable},
		{errors.New("connection reset"), broker.ErrUnavailable},
	} {
		m := newManager()
		m.putText("a", "made-up-value-one")
		s := New(m, 0, time.Now)
		fault := error(nil)
		m.before = func(_ context.Context, in *secretsmanager.GetSecretValueInput) error {
			if aws.ToString(in.VersionStage) == stagePrevious {
				return fault
			}
			return nil
		}
		for _, rotated := range []bool{false, true} {
			if rotated {
				fault = nil
				for range 2 { // settle, then rotate
					if _, err := fetch(t, s, "aws-sm:a", ""); err != nil {
						t.Fatal(err)
					}
				}
				m.putText("a", "made-up-value-two")
			}
			fault = c.fault
			for range 2 {
				if found, err := fetch(t, s, "aws-sm:a", ""); !errors.Is(err, c.want) || found.Values != nil {
					t.Errorf("%v (rotated %v): %v, want %v and no value", c.fault, rotated, err, c.want)
				}
			}
		}
	}
}

func TestFailedCurrentEndsTheOtherRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager()
		ended := make(chan error, 1)
		m.before = func(ctx context.Context, in *secretsmanager.GetSecretValueInput) error {
			if aws.ToString(in.VersionStage) == stageCurrent {
				return answered("AccessDeniedException", 400)
			}
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}
		if _, err := fetch(t, New(m, 0, time.Now), "aws-sm:a", ""); !errors.Is(err, broker.ErrStoreDenied) {
			t.Errorf("%v, want ErrStoreDenied", err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the other read ended with %v", err)
		}
	})
}

func TestRememberedPairsAreBounded(t *testing.T) {
	c := newClock()
	p := newPairs(c.now)
	for i := range 3 * maxPairs {
		p.put(fmt.Sprint(i), pair{current: "1"})
		c.advance(time.Millisecond)
	}
	if len(p.by) != maxPairs {
		t.Errorf("%d pairs are kept, want %d", len(p.by), maxPairs)
	}
	if p.get("0").current != "" || p.get(fmt.Sprint(3*maxPairs-1)).current == "" {
		t.Error("the oldest pairs were not the ones that were dropped")
	}
}

func TestConcurrentFetchesDuringRotations(t *testing.T) {
	m := newManager()
	value := func(n int) string { return fmt.Sprintf("made-up-value-%04d", n) }
	m.putText("a", value(0))
	s := New(m, 0, time.Now)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				if _, err := fetch(t, s, "aws-sm:a", ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := 1; n < 50; n++ {
		m.putText("a", value(n))
	}
	all.Wait()
	m.putText("a", value(50))
	found, err := fetch(t, s, "aws-sm:a", "")
	mustBe(t, found, err, value(50), value(49))
}

func BenchmarkFetchRemembered(b *testing.B) {
	m := newManager()
	m.putText("a", `{"user":"made-up-user-one","password":"made-up-password-one"}`)
	m.putText("a", `{"user":"made-up-user-two","password":"made-up-password-two"}`)
	s := New(m, 0, time.Now)
	r, _ := broker.ParseReference("aws-sm:a")
	w := broker.Want{Reference: r, Keys: []string{"user", "password"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Fetch(b.Context(), w); err != nil {
			b.Fatal(err)
		}
		m.take()
	}
}
