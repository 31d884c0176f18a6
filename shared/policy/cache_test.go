package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"bindery/shared/broker"
)

// shelf is a store of sets, as far as this package asks.
type shelf struct {
	reads atomic.Int64
	read  func(ctx context.Context, id string) (broker.PolicySet, error)
}

func (s *shelf) PolicySet(ctx context.Context, _, id string) (broker.PolicySet, error) {
	s.reads.Add(1)
	return s.read(ctx, id)
}

// impatient marks a context whose reading never ends.
type impatient struct{}

// stored gives sets by their true ids.
func stored(texts ...string) (all map[string]broker.PolicySet, ids []string) {
	all = map[string]broker.PolicySet{}
	for _, text := range texts {
		id := DocumentID(text, "")
		all[id], ids = broker.PolicySet{Environment: "prod", ID: id, Text: text}, append(ids, id)
	}
	return all, ids
}

func (s *shelf) keep(all map[string]broker.PolicySet) *shelf {
	s.read = func(_ context.Context, id string) (broker.PolicySet, error) {
		if set, found := all[id]; found {
			return set, nil
		}
		return broker.PolicySet{}, broker.ErrNotFound
	}
	return s
}

// TestDocumentIDsTellSetsApart: also text from tests.
func TestDocumentIDsTellSetsApart(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range [][2]string{{"", ""}, {"a", ""}, {"", "a"}, {"ab", ""}, {"a", "b"}, {"", "ab"}, {"a\x00", ""}, {"a", "\x00"}} {
		id := DocumentID(d[0], d[1])
		if seen[id] || broker.CheckSetID(id) != nil || id != DocumentID(d[0], d[1]) {
			t.Errorf("%q has id %s", d, id)
		}
		seen[id] = true
	}
	const empty = "374708fff7719dd5979ec875d56cd2286f6d3cf7ec317a3b25632aab28ec37bb" // SHA-256 of 16 zero bytes
	if got := DocumentID("", ""); got != empty {
		t.Errorf("the empty set has id %s, want %s: ids that are stored must not change", got, empty)
	}
}

// TestNothingIsServedUnderAWrongID, and no failure is kept.
func TestNothingIsServedUnderAWrongID(t *testing.T) {
	all, ids := stored(onCall("a", "true"), onCall("b", "context.CANARY"))
	good, faulty := ids[0], ids[1]
	all["0"] = all[good]
	fault := errors.New("CANARY")
	for name, c := range map[string]struct {
		id      string
		set     broker.PolicySet
		err     error
		is, not error
	}{
		"other text":        {good, broker.PolicySet{Text: onCall("b", "true")}, nil, broker.ErrInvalid, nil},
		"other tests":       {good, broker.PolicySet{Text: onCall("a", "true"), Tests: "[]"}, nil, broker.ErrInvalid, nil},
		"nothing":           {good, broker.PolicySet{}, nil, broker.ErrInvalid, nil},
		"id of the row":     {good, broker.PolicySet{ID: good}, nil, broker.ErrInvalid, nil},
		"does not compile":  {faulty, all[faulty], nil, broker.ErrInvalid, nil},
		"id that is none":   {"0", all[good], nil, broker.ErrInvalid, nil},
		"not there":         {good, broker.PolicySet{}, broker.ErrNotFound, broker.ErrNotFound, broker.ErrUnavailable},
		"row that is none":  {good, broker.PolicySet{}, fmt.Errorf("%w row", broker.ErrInvalid), broker.ErrInvalid, broker.ErrUnavailable},
		"not readable":      {good, broker.PolicySet{}, broker.ErrUnavailable, broker.ErrUnavailable, nil},
		"fault of any kind": {good, all[good], fault, broker.ErrUnavailable, broker.ErrInvalid},
	} {
		s := &shelf{read: func(context.Context, string) (broker.PolicySet, error) { return c.set, c.err }}
		calls := NewCalls(s)
		set, err := calls.RuleSet(t.Context(), "prod", c.id)
		if set != nil || !errors.Is(err, c.is) || c.not != nil && errors.Is(err, c.not) {
			t.Errorf("%s: error %v, want %v", name, err, c.is)
		}
		if len(calls.kept)+len(calls.order)+len(calls.loading) > 0 {
			t.Errorf("%s: something of it is kept", name)
		}
		s.keep(all)
		if c.id != good {
			continue
		}
		if set, err := calls.RuleSet(t.Context(), "prod", good); err != nil || said(set.Judge(question(""))) != "forbid a" {
			t.Errorf("%s: afterwards error %v", name, err)
		}
	}
}

// TestSetsAreReadOnce, and the one used least lately makes room.
func TestSetsAreReadOnce(t *testing.T) {
	var texts []string
	for i := range MaxCached + 1 {
		texts = append(texts, onCall(fmt.Sprintf("p%d", i), "true"))
	}
	all, ids := stored(texts...)
	s := new(shelf).keep(all)
	calls := NewCalls(s)
	get := func(i int) {
		t.Helper()
		set, err := calls.RuleSet(t.Context(), "prod", ids[i])
		if err != nil {
			t.Fatal(err)
		}
		if got, want := said(set.Judge(question(""))), fmt.Sprintf("forbid p%d", i); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	for range 3 {
		for i := range MaxCached {
			get(i)
		}
	}
	if got := s.reads.Load(); got != MaxCached {
		t.Fatalf("%d reads, want %d", got, MaxCached)
	}
	get(0)
	get(MaxCached) // 1 makes room
	get(0)
	if got := s.reads.Load(); got != MaxCached+1 {
		t.Errorf("%d reads, want %d", got, MaxCached+1)
	}
	get(1)
	if got := s.reads.Load(); got != MaxCached+2 {
		t.Errorf("%d reads, want %d", got, MaxCached+2)
	}
	if len(calls.kept) != MaxCached || len(calls.order) != MaxCached || len(calls.loading) != 0 {
		t.Errorf("it keeps %d sets in an order of %d and loads %d", len(calls.kept), len(calls.order), len(calls.loading))
	}
	if _, err := calls.RuleSet(t.Context(), "dev", ids[0]); err != nil || s.reads.Load() != MaxCached+3 {
		t.Errorf("another environment's set was not asked for: error %v, %d reads", err, s.reads.Load())
	}
}

// TestOneReadsForAll who ask at the same time; whoever cannot wait does not.
func TestOneReadsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, ids := stored(onCall("a", "true"))
		release := make(chan struct{})
		s := &shelf{read: func(context.Context, string) (broker.PolicySet, error) {
			<-release
			return all[ids[0]], nil
		}}
		calls := NewCalls(s)
		var good atomic.Int64
		for range 20 {
			go func() {
				if set, err := calls.RuleSet(t.Context(), "prod", ids[0]); err == nil && said(set.Judge(question(""))) == "forbid a" {
					good.Add(1)
				}
			}()
		}
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := calls.RuleSet(ended, "prod", ids[0]); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("whoever cannot wait gets %v", err)
		}
		close(release)
		synctest.Wait()
		if good.Load() != 20 || s.reads.Load() != 1 {
			t.Errorf("%d of 20 have the set, after %d reads", good.Load(), s.reads.Load())
		}
	})
}

// TestWhoeverGivesUpDoesNotSpoilItForOthers: they read for themselves. A fault
// of the store is everybody's.
func TestWhoeverGivesUpDoesNotSpoilItForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, ids := stored(onCall("a", "true"))
		s := &shelf{read: func(ctx context.Context, id string) (broker.PolicySet, error) {
			if ctx.Value(impatient{}) != nil {
				<-ctx.Done()
				return broker.PolicySet{}, ctx.Err()
			}
			return all[id], nil
		}}
		calls := NewCalls(s)
		short, cancel := context.WithCancel(context.WithValue(t.Context(), impatient{}, true))
		var first, second error
		go func() { _, first = calls.RuleSet(short, "prod", ids[0]) }()
		synctest.Wait()
		go func() { _, second = calls.RuleSet(t.Context(), "prod", ids[0]) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(first, broker.ErrUnavailable) || second != nil || s.reads.Load() != 2 {
			t.Errorf("first %v, second %v, %d reads", first, second, s.reads.Load())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := &shelf{read: func(context.Context, string) (broker.PolicySet, error) {
			<-release
			return broker.PolicySet{}, broker.ErrUnavailable
		}}
		calls := NewCalls(s)
		var failed atomic.Int64
		for range 5 {
			go func() {
				if _, err := calls.RuleSet(t.Context(), "prod", "x"); errors.Is(err, broker.ErrUnavailable) {
					failed.Add(1)
				}
			}()
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		if failed.Load() != 5 || s.reads.Load() != 1 {
			t.Errorf("%d of 5 failed, after %d reads", failed.Load(), s.reads.Load())
		}
	})
}

// TestManyAskForManySets at once, each gets the right one.
func TestManyAskForManySets(t *testing.T) {
	var texts []string
	for i := range 3 * MaxCached {
		texts = append(texts, onCall(fmt.Sprintf("p%d", i), "context.arguments has x"))
	}
	all, ids := stored(texts...)
	calls := NewCalls(new(shelf).keep(all))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for n := range 100 {
				i := (n*7 + worker) % len(ids)
				set, err := calls.RuleSet(t.Context(), "prod", ids[i])
				if err != nil || said(set.Judge(question(`{"x":1}`))) != fmt.Sprintf("forbid p%d", i) {
					t.Errorf("set %d: error %v", i, err)
				}
			}
		})
	}
	group.Wait()
}
