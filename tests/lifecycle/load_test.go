//go:build e2e && !nojava

package lifecycle

import (
	"math/rand/v2"
	"sync"
	"time"
)

// during are the calls made while a subject was revoked.
type during struct {
	stop  chan struct{}
	calls sync.WaitGroup

	mu      sync.Mutex
	worked  []time.Time // when calls began that were answered
	refused []time.Time // and that were refused
	wrong   map[outcome]int
}

// load has every process call again and again, with rests that no two have alike.
func (v *revocations) load(server string) *during {
	d := &during{stop: make(chan struct{}), wrong: map[outcome]int{}}
	event := v.event(toolCall(server, v.sessions[server], "anything"))
	for _, f := range v.callers {
		d.calls.Go(func() {
			for !d.over() {
				began := time.Now()
				o, _ := v.once(f, event)
				v.calls.Add(1)
				d.count(o, began)
				time.Sleep(rand.N(100 * time.Millisecond))
			}
		})
	}
	return d
}

func (d *during) over() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

func (d *during) count(o outcome, began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch o {
	case worked:
		d.worked = append(d.worked, began)
	case denied:
		d.refused = append(d.refused, began)
	default:
		d.wrong[o]++
	}
}

// shown waits for a call that began since and came to what is looked for: a busy
// machine may need longer for one than was given to all.
func (d *during) shown(calls *[]time.Time, since time.Time) {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		d.mu.Lock()
		n := after(*calls, since)
		d.mu.Unlock()
		if n > 0 {
			return
		}
	}
}

// after counts how many of some moments lie after another.
func after(moments []time.Time, moment time.Time) (n int) {
	for _, m := range moments {
		if m.After(moment) {
			n++
		}
	}
	return n
}
