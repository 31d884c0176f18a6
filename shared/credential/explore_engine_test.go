package credential

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"testing"
	"time"

	"bindery/shared/broker"
)

// choice is one thing that can happen next.
type choice struct {
	name string
	do   func()
}

// explorer goes through every run there is, by beginning anew for each branch
// it has not taken, and leaves off where it has been before.
type explorer struct {
	procs  int
	left   budget
	mutate mutation
	seen   map[uint64]bool
	seed   maphash.Seed

	runs, ends, losses int
	failed             string // the first run that is not as it must be
}

func (x *explorer) explore(t *testing.T) {
	t.Helper()
	x.seen, x.seed = map[uint64]bool{}, maphash.MakeSeed()
	todo := [][]int{nil}
	for len(todo) > 0 && x.failed == "" {
		prefix := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], x.run(t, prefix)...)
		x.runs++
	}
}

// run takes the choices of prefix and then always the first. It gives the
// prefixes of the branches it passed by.
func (x *explorer) run(t *testing.T, prefix []int) (branches [][]int) {
	t.Helper()
	w := x.begin(t)
	defer w.endAll()
	taken := slices.Clone(prefix)
	for depth := 0; ; depth++ {
		choices := w.choices()
		pick := 0
		if depth < len(prefix) {
			pick = prefix[depth]
		} else {
			state := maphash.String(x.seed, w.state())
			if x.seen[state] {
				return branches
			}
			x.seen[state] = true
			if len(choices) == 0 {
				x.end(w)
				return branches
			}
			for other := 1; other < len(choices); other++ {
				branches = append(branches, append(slices.Clone(taken), other))
			}
			taken = append(taken, 0)
		}
		w.trace = append(w.trace, choices[pick].name)
		choices[pick].do()
	}
}

func (x *explorer) begin(t *testing.T) *explored {
	t.Helper()
	w := &explored{granted: newGranted(t, -time.Minute), arrived: make(chan *process), left: x.left, mutate: x.mutate}
	w.issued, w.stored = []string{refreshToken(0)}, []string{refreshToken(0)}
	for i := range x.procs {
		p := &process{id: i, w: w, verdicts: make(chan verdict)}
		w.procs = append(w.procs, p)
		go p.run()
		<-w.arrived // each stands before its first step
	}
	return w
}

// endAll lets the goroutines of an unfinished run end.
func (w *explored) endAll() {
	for _, p := range w.procs {
		for !p.over {
			w.step(p, crashes)
		}
	}
}

func (w *explored) step(p *process, v verdict) {
	p.verdicts <- v
	<-w.arrived
}

// choices lists what can happen now.
func (w *explored) choices() (list []choice) {
	waiting := 0
	for _, p := range w.procs {
		if p.over {
			continue
		}
		if p.step == "pause" && p.readAt == w.sequence {
			waiting++
			continue
		}
		list = append(list, w.stepsOf(p)...)
	}
	if w.left.jumps > 0 && w.mayJump() {
		list = append(list, choice{"the lease runs out", func() {
			w.left.jumps--
			w.sequence++
			w.now = w.now.Add(leaseTime + broker.ClockSkew + time.Second)
		}})
	}
	if running := len(list) + waiting; w.left.revocations > 0 && running > 0 {
		list = append(list, choice{"the grant is revoked", func() {
			w.left.revocations--
			w.sequence++
			w.revoked = true
			_, _ = w.db.EndGrant(context.Background(), grantKey(), broker.Deleted, w.now)
		}})
	}
	if len(list) > 0 || waiting == 0 {
		return list
	}
	for _, p := range w.procs { // nothing changes any more: their patience ends
		if !p.over {
			list = append(list, choice{fmt.Sprintf("%d gives up", p.id), func() { w.step(p, refused) }})
		}
	}
	return list
}

func (w *explored) stepsOf(p *process) []choice {
	at := func(how string, v verdict, spend *int) choice {
		return choice{fmt.Sprintf("%d %s%s", p.id, p.step, how), func() {
			if spend != nil {
				*spend--
			}
			w.step(p, v)
		}}
	}
	list := []choice{at("", goes, nil)}
	if w.left.crashes > 0 {
		list = append(list, choice{fmt.Sprintf("%d dies before %s", p.id, p.step), func() {
			w.left.crashes--
			if p.committed != "" {
				w.excused = true
			}
			w.step(p, crashes)
		}})
	}
	switch p.step {
	case "ask":
		if w.left.provider > 0 {
			list = append(list, at(", answer lost", lost, &w.left.provider), at(", off", providerOff, &w.left.provider))
		}
	case "pause", "revoke":
	default:
		if w.left.store > 0 {
			list = append(list, at(", refused", refused, &w.left.store))
			if p.step != "read" {
				list = append(list, at(", answer lost", lost, &w.left.store))
			}
		}
	}
	return list
}

// mayJump: a lease runs out only when its holder is dead or done with it. One
// that has got tokens and lives stores them in time: callTime and settleTime
// end before leaseTime, and ClockSkew is added.
func (w *explored) mayJump() bool {
	view, err := w.db.Grant(context.Background(), grantKey())
	return err == nil && view.Grant.Lease != "" && !slices.ContainsFunc(w.procs, func(p *process) bool { return !p.over && p.committed != "" })
}
