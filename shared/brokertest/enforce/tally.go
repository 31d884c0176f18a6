package enforce

import (
	"maps"
	"slices"
	"strings"
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
// would have; and the kinds of rows they were about.
type count struct {
	all, alone int
	rows       map[string]bool
}

func (t *Tally) add(function, action string, partitions, by []string) {
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
		if c.rows == nil {
			c.rows = map[string]bool{}
		}
		for _, p := range partitions {
			if kind, _, ofKind := strings.Cut(p, "/"); ofKind { // receipts are of none
				c.rows[kind] = true
			}
		}
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

// Unneeded are the actions that statements allow these functions, and that nothing
// counted needed: "function statement action".
func (t *Tally) Unneeded(d Deployment, functions ...string) (all []string, err error) {
	p := &Proxy{}
	if err := p.deploy(d); err != nil {
		return nil, err
	}
	for _, function := range functions {
		for _, s := range p.account.Roles[p.senders[function].role].Statements {
			for _, action := range s.Actions {
				if !s.Deny && !t.Needed(Use{function, s.Sid, action}) {
					all = append(all, function+" "+s.Sid+" "+action)
				}
			}
		}
		for _, s := range p.account.Resources[d.ValuesKey].Statements {
			for _, action := range s.Actions {
				if slices.Contains(s.Principals, p.senders[function].role) && !t.Needed(Use{function, s.Sid, action}) {
					all = append(all, function+" "+s.Sid+" "+action)
				}
			}
		}
	}
	return all, nil
}

// Rows are the kinds of rows that a statement was needed for: what stands before
// the first slash of their partition keys.
func (t *Tally) Rows(u Use) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.uses[u].rows))
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
