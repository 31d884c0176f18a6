package credential

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"

	"bindery/shared/broker"
)

// The explorer runs the real protocol in several processes, which stop before
// each of their steps: a call to the store or to the provider, or a pause. It
// lets one make its step at a time, in every order there is, with every fault
// there is, as far as the budget of a run goes.

// budget is how much may go wrong in one run.
type budget struct{ crashes, store, provider, revocations, jumps int }

// verdict is how a step goes.
type verdict int

const (
	goes        verdict = iota
	refused             // the store fails, and nothing is applied
	lost                // it is applied, and the answer is lost
	crashes             // the process dies before the step
	providerOff         // the provider fails, and nothing is changed
)

// process is one process of a run.
type process struct {
	id       int
	w        *explored
	step     string // that it stands before; empty: it is over
	verdicts chan verdict
	history  uint64 // of all that it was told: with the program, its whole state
	faulted  bool   // its last answer was a fault of the store: it only repeats
	leases   int
	first    int64 // version that it read first
	readAt   int   // sequence of the database when it read last

	dead      bool
	over      bool
	token     string
	err       error
	committed string // refresh token that the provider gave it, while nobody knows that it is stored
	begunDead bool   // it read first after the revocation
	anyRead   bool
}

// explored is one run.
type explored struct {
	*granted
	procs     []*process
	arrived   chan *process
	left      budget
	sequence  int    // of changes in the database
	settled   string // who ended a lease last, and kept a spare last: the database remembers them
	spared    string
	revoked   bool
	issued    []string // refresh tokens that were given out
	stored    []string // those that were in the database at some time while the grant lived
	overtaken []string // attempts of which nobody was heard again, and in whose place another one is
	excused   bool     // a death between commit and store, or a lost answer of the provider
	mutate    mutation
	trace     []string
}

// stop stands before a step until the explorer says how it goes.
func (p *process) stop(step string) verdict {
	p.step = step
	p.w.arrived <- p
	v := <-p.verdicts
	if v == crashes {
		p.dead = true
		runtime.Goexit()
	}
	return v
}

// tell adds to what a process knows.
func (p *process) tell(what string, err error) {
	h := fnv.New64a()
	b := binary.LittleEndian.AppendUint64(nil, p.history)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.w.now.Unix()))
	_, _ = h.Write(append(b, what...))
	if err != nil {
		_, _ = h.Write([]byte(err.Error()))
	}
	p.history = h.Sum64()
}

// forget: a process that begins its loop anew knows only what it counts.
func (p *process) forget() { p.history = uint64(p.first)<<8 + uint64(p.leases) }

// short is all that a process can learn from a grant.
func short(g *broker.Grant, spare *broker.Spare) string {
	b := append([]byte(g.State), 0)
	for _, n := range []int64{g.Generation, g.Version, g.LeaseUntil.Unix(), g.Attempted.Unix(), g.Unsettled.Unix(), g.CoolUntil.Unix(), g.Dead.Unix(), int64(g.Failures), g.Expires.Unix()} {
		b = binary.AppendVarint(b, n)
	}
	b = append(append(append(append(b, g.Lease...), 0), g.Sealed...), g.Fault...)
	if spare != nil {
		b = append(append(b, "spare"...), spare.Sealed...)
	}
	return string(b)
}

// call is one call to the store.
func call[T any](p *process, step string, do func() (T, error)) (T, error) {
	var none T
	v := p.stop(step)
	p.faulted = v == refused || v == lost
	if v == refused {
		p.tell(step+" refused", nil)
		return none, broker.ErrUnavailable
	}
	result, err := do()
	if err == nil && step != "read" {
		p.w.sequence++
		p.w.notice()
	}
	if v == lost {
		p.tell(step+" lost", nil)
		return none, broker.ErrUnavailable
	}
	p.tell(step+shortOf(result), err)
	return result, err
}

func shortOf(result any) string {
	switch r := result.(type) {
	case broker.GrantView:
		return short(&r.Grant, r.Spare)
	case broker.Grant:
		return short(&r, nil)
	}
	return fmt.Sprint(result)
}

// notice keeps which refresh tokens the database holds.
func (w *explored) notice() {
	view, err := w.db.Grant(context.Background(), grantKey())
	if err != nil {
		return
	}
	for _, token := range w.issued {
		in := holds(view.Grant.Sealed, token) || view.Spare != nil && holds(view.Spare.Sealed, token)
		if in && !slices.Contains(w.stored, token) {
			w.stored = append(w.stored, token)
		}
	}
	for _, p := range w.procs {
		if slices.Contains(w.stored, p.committed) {
			p.committed = ""
		}
	}
}

// run is a process from its beginning to its end.
func (p *process) run() {
	defer func() {
		p.over, p.step = true, ""
		p.w.arrived <- p
	}()
	o, parts := port{told: p.w.events, db: p.w.db, p: p}, p.w.parts
	parts.Grants, parts.Tokens, parts.Events, parts.Pause = o, o, o, o.Pause
	parts.Holder = func() string { return fmt.Sprintf("holder-%d-%d", p.id, p.leases) }
	c, err := NewGrants(parts).Obtain(context.Background(), p.w.ask)
	p.token, p.err = c.Fields["token"].Reveal(), err
	p.tell("over"+p.token, err)
}

// state is all that the rest of a run can depend on.
func (w *explored) state() string {
	view, _ := w.db.Grant(context.Background(), grantKey())
	p := w.provider
	b := []byte(short(&view.Grant, view.Spare))
	for _, list := range [][]string{{p.current, w.settled, w.spared}, p.revoked, w.events.died(), w.events.unknown(), w.overtaken, w.stored, w.issued} {
		for _, s := range list {
			b = append(append(b, s...), 0)
		}
		b = append(b, 1)
	}
	for _, n := range []int{w.left.crashes, w.left.store, w.left.provider, w.left.revocations, w.left.jumps, p.used} {
		b = append(b, byte(n))
	}
	b = binary.AppendVarint(b, w.now.Unix())
	b = append(b, bits(p.ended, w.revoked, w.excused))
	for _, p := range w.procs {
		b = binary.LittleEndian.AppendUint64(b, p.history)
		b = append(append(b, p.step...), bits(p.dead, p.over, p.begunDead, p.readAt == w.sequence))
		b = append(append(b, p.committed...), 0)
	}
	return string(b)
}

func bits(flags ...bool) (b byte) {
	for i, set := range flags {
		if set {
			b |= 1 << i
		}
	}
	return b
}
