package credential

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
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

// end judges a run that is over.
func (x *explorer) end(w *explored) {
	x.ends++
	wrong := func(what string) {
		if x.failed == "" {
			x.failed = what + ":\n\t" + strings.Join(w.trace, "\n\t")
		}
	}
	view, err := w.db.Grant(context.Background(), grantKey())
	if err != nil {
		wrong(err.Error())
	}
	grant, provider := view.Grant, w.provider
	safe := holds(grant.Sealed, provider.current) || view.Spare != nil && holds(view.Spare.Sealed, provider.current)
	if !safe && !w.revoked {
		x.losses++
	}
	if !w.excused {
		switch {
		case provider.used > 0:
			wrong("an old refresh token was used")
		case !w.revoked && !grant.Dead.IsZero():
			wrong("a grant died")
		case !w.revoked && !safe:
			wrong("a grant was lost")
		}
	}
	died := w.events.died
	switch {
	case provider.used > 1:
		wrong("old refresh tokens were used twice")
	case len(died) > 1 || (len(died) == 1) != (!grant.Dead.IsZero() && !w.killerDied(died)) && x.left.store == 0:
		wrong("not one event for one death")
	case len(died) == 1 && !w.excused, len(died) == 1 && died[0] != string(OutcomeUnknown):
		wrong("a loss is not counted as what it is")
	case w.revoked && (grant.State == broker.Active || len(grant.Sealed) > 0 || view.Spare != nil):
		wrong("a revoked grant came back")
	}
	for _, p := range w.procs {
		w.judge(p, x.left, wrong)
	}
	if w.revoked && x.left.store == 0 && x.left.crashes == 0 && x.left.provider == 0 {
		for _, token := range w.issued {
			if !slices.Contains(w.stored, token) && !slices.Contains(provider.revoked, token) {
				wrong("a token of nobody is left at the provider")
			}
		}
	}
}

// killerDied: a process may die after it latched a death and before it told.
func (w *explored) killerDied(died []string) bool {
	return len(died) == 0 && slices.ContainsFunc(w.procs, func(p *process) bool { return p.dead })
}

func (w *explored) judge(p *process, full budget, wrong func(string)) {
	switch {
	case p.dead:
	case p.err == nil && !strings.Contains(p.token, "access"):
		wrong("no token and no fault")
	case p.err == nil && w.revoked && p.begunDead:
		wrong("a call that began after the revocation got a token")
	case p.err == nil && w.revoked && !slices.Contains(w.stored, strings.Replace(p.token, "access", "refresh", 1)):
		wrong("a token that was issued after the revocation was used")
	case p.err != nil && full == (budget{}):
		wrong("a call failed although nothing was wrong: " + p.err.Error())
	case p.err != nil && !errors.Is(p.err, broker.ErrConsentRequired) && !errors.Is(p.err, broker.ErrUnavailable):
		wrong("a fault of no kind: " + p.err.Error())
	case errors.Is(p.err, broker.ErrConsentRequired) && !w.revoked && !w.excused:
		wrong("consent was asked for although there is one")
	}
}

// TestNoInterleavingOfLivingProcessesLosesAGrant runs the protocol in every
// order of its steps, with faults up to a budget. Only a death between the
// provider's commit and the store, or an answer of the provider that never came,
// loses a grant, and then it is counted. Larger budgets find nothing more and
// take minutes.
func TestNoInterleavingOfLivingProcessesLosesAGrant(t *testing.T) {
	for _, c := range []struct {
		procs int
		left  budget
		loses bool
	}{
		{procs: 2}, {procs: 3},
		{procs: 3, left: budget{jumps: 1}},
		{procs: 3, left: budget{revocations: 1}},
		{procs: 2, left: budget{revocations: 1, jumps: 1}},
		{procs: 2, left: budget{store: 2, revocations: 1}},
		{procs: 2, left: budget{crashes: 1, jumps: 1, store: 1}, loses: true},
		{procs: 2, left: budget{provider: 1, jumps: 1, store: 1}, loses: true},
		{procs: 2, left: budget{crashes: 1, jumps: 2, provider: 1, revocations: 1}, loses: true},
		{procs: 3, left: budget{crashes: 1, jumps: 1}, loses: true},
		{procs: 2, left: budget{crashes: 2, jumps: 2}, loses: true},
	} {
		t.Run(fmt.Sprintf("processes=%d/%+v", c.procs, c.left), func(t *testing.T) {
			began := time.Now()
			x := &explorer{procs: c.procs, left: c.left}
			x.explore(t)
			t.Logf("%d states, %d runs, %d ends, %d of them with a loss, in %s", len(x.seen), x.runs, x.ends, x.losses, time.Since(began).Round(time.Millisecond))
			if x.failed != "" {
				t.Errorf("after %d runs: %s", x.runs, x.failed)
			}
			if (x.losses > 0) != c.loses {
				t.Errorf("%d of %d ends lost the grant", x.losses, x.ends)
			}
		})
	}
}

// TestExplorerFindsWhatIsWrong: a protocol with one of its parts taken out
// fails, so the test above can.
func TestExplorerFindsWhatIsWrong(t *testing.T) {
	for m, left := range map[mutation]budget{
		leaseForAll:  {},
		notReread:    {},
		spareIgnored: {crashes: 1, jumps: 1, store: 1},
		storedAnyway: {revocations: 1},
		sentLate:     {jumps: 1},
	} {
		t.Run(string(m), func(t *testing.T) {
			x := &explorer{procs: 2, left: left, mutate: m}
			x.explore(t)
			if x.failed == "" {
				t.Errorf("%d runs, and nothing was found", x.runs)
			}
			first, _, _ := strings.Cut(x.failed, "\n")
			t.Logf("found after %d runs: %s", x.runs, first)
		})
	}
}
