package enforce

import (
	"slices"
	"sync"
)

// Use is one action that a statement allowed a function.
type Use struct{ Function, Statement, Action string }

// Tally counts what statements are for. Its zero value counts; nil does not.
type Tally struct {
	mu   sync.Mutex
	uses map[Use]count
}

// count of requests: all that the statement allowed, and those that nothing else
// would have.
type count struct{ all, alone int }

func (t *Tally) add(function, action string, by []string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uses == nil {
		t.uses = map[Use]count{}
	}
	for _, statement := range by {
		u := Use{function, statement, action}
		c := t.uses[u]
		c.all++
		if len(by) == 1 {
			c.alone++
		}
		t.uses[u] = c
	}
}

// Needed tells whether a statement allowed a request that nothing else would have.
func (t *Tally) Needed(u Use) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.uses[u].alone > 0
}

// Uses are all that was allowed, in order.
func (t *Tally) Uses() (all []Use) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for u := range t.uses {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Use) int {
		return slices.Compare([]string{a.Function, a.Statement, a.Action}, []string{b.Function, b.Statement, b.Action})
	})
	return all
}
