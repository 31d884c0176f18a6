package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// keeping is a store whose secret rotates with each version, behind a card with a
// max age, and what is heard of changes.
type keeping struct {
	*fakeStore
	*Static
	ask     broker.Ask
	changes map[string]int64
	version int
}

func newKeeping(t *testing.T, age time.Duration) *keeping {
	k := &keeping{fakeStore: &fakeStore{secrets: map[string]map[string]string{}, earlier: map[string][]string{}}, ask: ask(t, "token=aws-sm:prod/api"),
		changes: map[string]int64{}}
	k.ask.Binding.MaxAge = age
	k.ask.Changes = func(context.Context) (map[string]int64, error) { return k.changes, nil }
	k.Static = static(k)
	k.rotate()
	return k
}

// rotate puts another value into the store itself.
func (k *keeping) rotate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version > 0 {
		k.earlier["prod/api"] = []string{value(k.version)}
	}
	k.version++
	k.secrets["prod/api"] = map[string]string{"": value(k.version)}
}

// Fetch gives the value with the version that it is.
func (k *keeping) Fetch(ctx context.Context, w broker.Want) (broker.Secret, error) {
	found, err := k.fakeStore.Fetch(ctx, w)
	k.mu.Lock()
	defer k.mu.Unlock()
	found.Version = fmt.Sprintf("v%d", k.version)
	return found, err
}

func (k *keeping) reads() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.wants)
}

// gives requires a call to get this version of the value, after so many reads.
func (k *keeping) gives(t *testing.T, version, reads int) broker.Credential {
	t.Helper()
	c, err := k.Obtain(t.Context(), k.ask)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Fields["token"].Equal(secret.New(value(version))) || c.Access[0].Version != fmt.Sprintf("v%d", version) {
		t.Errorf("another value than version %d, recorded as %+v", version, c.Access)
	}
	if n := k.reads(); n != reads {
		t.Errorf("%d reads of the store, want %d", n, reads)
	}
	return c
}

func TestAValueThatWasRotatedInTheStoreIsUsedByTheNextCall(t *testing.T) {
	k := newKeeping(t, 0)
	k.gives(t, 1, 1)
	k.rotate()
	c := k.gives(t, 2, 2)
	if len(c.Previous) != 1 || !c.Previous[0].Equal(secret.New(value(1))) {
		t.Error("the value before is not masked")
	}
}

func TestACardsMaxAgeKeepsAValueForSoLongAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t, time.Minute)
		k.rotate() // so that there is one before
		if c := k.gives(t, 2, 1); c.Access[0].RequestID == "" {
			t.Error("the read of the store is not recorded as one")
		}
		k.rotate()
		time.Sleep(time.Minute - time.Nanosecond)
		c := k.gives(t, 2, 1)
		if c.Access[0].RequestID != "" {
			t.Error("a read is recorded that was none")
		}
		if len(c.Previous) != 1 || !c.Previous[0].Equal(secret.New(value(1))) {
			t.Error("the value before is not masked")
		}
		time.Sleep(time.Nanosecond)
		k.gives(t, 3, 2)
	})
}

func TestAChangeThatWasHeardOfDropsWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t, time.Hour)
		k.gives(t, 1, 1)
		k.rotate()
		k.changes["aws-sm:prod/other"] = 1
		k.gives(t, 1, 1)
		k.changes["aws-sm:prod/api"] = 1
		k.gives(t, 2, 2)
		k.gives(t, 2, 2)
	})
}

func TestNothingKeptIsUsedForAnotherRead(t *testing.T) {
	for name, change := range map[string]func(*broker.Ask){
		"another registration of the store": func(a *broker.Ask) { a.Stores[0].Version++ },
		"another origin":                    func(a *broker.Ask) { a.Binding.Origin = "another" },
		"another key": func(a *broker.Ask) {
			a.Binding.Fields[0].Reference, _ = broker.ParseReference("aws-sm:prod/api?stage=AWSPREVIOUS")
		},
		"a card of another age":        func(a *broker.Ask) { a.Binding.MaxAge = time.Minute },
		"a card that keeps nothing":    func(a *broker.Ask) { a.Binding.MaxAge = 0 },
		"who cannot say what changed":  func(a *broker.Ask) { a.Changes = nil },
		"an environment of other name": func(a *broker.Ask) { a.Binding.Environment, a.Stores[0].Environment = "dev", "dev" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKeeping(t, time.Hour)
				k.gives(t, 1, 1)
				other := k.ask
				other.Stores, other.Binding.Fields = slices.Clone(k.ask.Stores), slices.Clone(k.ask.Binding.Fields)
				change(&other)
				if _, err := k.Obtain(t.Context(), other); err != nil || k.reads() != 2 {
					t.Errorf("%v, %d reads", err, k.reads())
				}
			})
		})
	}
}

func TestWithoutTheCountsOfChangesNothingIsGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t, time.Hour)
		k.gives(t, 1, 1)
		k.ask.Changes = func(context.Context) (map[string]int64, error) { return nil, broker.ErrUnavailable }
		c, err := k.Obtain(t.Context(), k.ask)
		mustRefuse(t, "markers unreadable", c, err, broker.ErrUnavailable)
	})
}

func TestOneReadServesAllWhoWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t, time.Hour)
		k.before = func(context.Context, string) error { time.Sleep(time.Second); return nil }
		gone, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := k.Obtain(gone, k.ask); !errors.Is(err, context.Canceled) {
				t.Errorf("whoever is gone got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			all.Go(func() { k.gives(t, 1, 1) })
		}
		synctest.Wait()
		leave() // it was their read
		all.Wait()
	})
}

func TestAFailureIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t, time.Hour)
		k.before = func(context.Context, string) error { return broker.ErrUnavailable }
		c, err := k.Obtain(t.Context(), k.ask)
		mustRefuse(t, "a store that is away", c, err, broker.ErrUnavailable)
		k.before = nil
		k.gives(t, 1, 2)
	})
}

// TestARefusedCredentialIsReadPastWhatIsKept, and what is read then is kept.
func TestARefusedCredentialIsReadPastWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t, time.Hour)
		first := k.gives(t, 1, 1)
		if _, err := k.Refused(t.Context(), k.ask, first.Access); !errors.Is(err, broker.ErrNothingBetter) {
			t.Errorf("nothing has changed: %v", err)
		}
		k.rotate()
		next, err := k.Refused(t.Context(), k.ask, first.Access)
		if err != nil || !next.Fields["token"].Equal(secret.New(value(2))) {
			t.Errorf("%v, or the refused value again", err)
		}
		k.gives(t, 2, 3)
	})
}

// TestALateReadDoesNotReplaceALaterOne: of two that read past what is kept, what
// began last is kept.
func TestALateReadDoesNotReplaceALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := kept{entries: map[string]*keep{}}
		slow := make(chan struct{})
		read := func(version string, wait <-chan struct{}) {
			found, err := k.replace(t.Context(), "key", time.Hour, func(context.Context) (broker.Secret, error) {
				<-wait
				return broker.Secret{Version: version}, nil
			})
			if err != nil || found.Version != version {
				t.Errorf("%v, version %s", err, found.Version)
			}
		}
		go read("old", slow)
		synctest.Wait()
		time.Sleep(time.Second)
		at := make(chan struct{})
		close(at)
		read("new", at)
		close(slow)
		synctest.Wait()
		if found, err := k.get(t.Context(), "key", time.Hour, nil); err != nil || found.Version != "new" {
			t.Errorf("%v, version %s is kept", err, found.Version)
		}
	})
}

func TestWhatIsKeptIsBoundedAndGoesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t, time.Minute)
		for n := range int64(2 * keptEntries) {
			k.changes["aws-sm:prod/api"] = n
			if _, err := k.Obtain(t.Context(), k.ask); err != nil {
				t.Fatal(err)
			}
		}
		if n := k.entriesNow(); n != keptEntries {
			t.Errorf("%d values are kept", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := k.entriesNow(); n != 0 {
			t.Errorf("%d values outlive their age", n)
		}
	})
}

func (k *keeping) entriesNow() int {
	k.kept.mu.Lock()
	defer k.kept.mu.Unlock()
	return len(k.kept.entries)
}

// TestAFrozenProcessKeepsNothingLonger: its monotonic clock may stand still.
func TestAFrozenProcessKeepsNothingLonger(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		began time.Time
		young bool
	}{
		"just read":              {now, true},
		"frozen since":           {now.Round(0).Add(-time.Hour), false},
		"the clock was set back": {now.Round(0).Add(time.Hour), false},
	} {
		if e := (&keep{began: c.began, age: time.Minute}); e.young() != c.young {
			t.Errorf("%s: young is %v", name, !c.young)
		}
	}
}
