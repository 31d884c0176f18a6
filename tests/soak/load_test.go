//go:build e2e && !nojava

package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/runtimeapi"
)

const (
	// perProcessor is how many processes call for each processor of the machine.
	// Each takes one call at a time, as in Lambda, and rests between two; more of
	// them wait for the processor, and answer no more calls in all.
	perProcessor = 10
	// streaming is how many more have a stream each.
	streaming = 3
	// rest is the longest between two calls of one process.
	rest = 200 * time.Millisecond
	// streamTime is how long a stream may last, before it is opened again.
	streamTime = 16 * time.Second
	// warming is how many calls each process has made before anything is measured.
	warming = 15

	// What a process may have more of in the last third of a run than in the first.
	mostRSS = 4 << 10 // KiB, on average
	mostFDs = 4       // at once: connections to a store that was slow come and go
	// mostGoroutines may be more at the end than after the warming: two for each
	// such connection.
	mostGoroutines = 2 * mostFDs
)

// load is a world in which everybody calls.
type load struct {
	*world
	ids      atomic.Int64
	repeated atomic.Int64
	streams  atomic.Int64

	mu       sync.Mutex
	outcomes map[string]int
	took     []float64 // milliseconds, of calls that worked the first time
	spotted  int       // canaries
}

// caller is a process, and the person who calls it.
type caller struct {
	*load
	f        *runtimeapi.Function
	token    string
	sessions map[string]string
	samples  []sample
}

func (l *load) start(n int) *caller {
	l.tb.Helper()
	f, err := runtimeapi.Start(l.tb.Context(), l.binary("proxy"), l.settings(l.moto, l.tables))
	must(l.tb, err)
	l.tb.Cleanup(func() { f.Stop() })
	c := &caller{load: l, f: f, token: l.token(person(n)), sessions: map[string]string{}}
	for _, server := range servers() {
		s := c.patiently(asking{server: server, method: http.MethodPost, revision: legacy, does: "initialize"})
		if s.session == "" {
			l.tb.Fatalf("no session: %d %s %s, %v", s.status, s.row, s.body, s.err)
		}
		c.sessions[server] = s.session
	}
	return c
}

// patiently asks again as long as the stores are too slow.
func (c *caller) patiently(a asking) (s said) {
	for again := 0; ; again++ {
		a.id = int(c.ids.Add(1))
		began := time.Now()
		s = ask(c.tb.Context(), c.f, a, c.token)
		if !tooSlow(s) || again == patience {
			c.count(s, again, time.Since(began))
			return s
		}
		c.repeated.Add(1)
		time.Sleep(retryAfter)
	}
}

func (c *caller) count(s said, again int, took time.Duration) {
	found := c.seen("an answer", []byte(s.text), c.canaries[:2]...) + c.seen("an answer", []byte(s.text), c.token)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spotted += found
	c.outcomes[s.what()]++
	if !s.worked() {
		c.tb.Errorf("a call that nothing forbids: %d %s %s, %v", s.status, s.row, s.body, s.err)
	} else if again == 0 {
		c.took = append(c.took, float64(took.Microseconds())/1000)
	}
}

// call is one call of any kind.
func (c *caller) call() {
	all := servers()
	server := all[rand.N(len(all))]
	a := asking{server: server, method: http.MethodPost, revision: legacy, does: "tools/call", tool: plainly}
	switch rand.N(5) {
	case 0:
		a.session = c.sessions[server]
	case 1:
		a.revision = modern
	case 2:
		a.revision, a.tool = modern, asEvents
	case 3:
		a.tool = asEvents
	case 4:
		a.does = "tools/list"
	}
	c.patiently(a)
}

// listen has a stream, and opens it again when its time is over.
func (c *caller) listen(until <-chan struct{}, n int) {
	a := asking{server: servers()[n%3], method: http.MethodGet, revision: legacy, tool: waiting, session: c.sessions[servers()[n%3]]}
	if n == 1 {
		a = asking{server: own, method: http.MethodPost, revision: modern, does: "subscriptions/listen"}
	}
	for !over(until) {
		a.id = int(c.ids.Add(1))
		ctx, cancel := context.WithTimeout(c.tb.Context(), streamTime)
		s := ask(ctx, c.f, a, c.token)
		cancel()
		c.countStream(s)
	}
}

// countStream judges a stream whose time is over.
func (c *caller) countStream(s said) {
	if tooSlow(s) || s.row == "stream_time_over" { // before it had begun
		c.repeated.Add(1)
		return
	}
	c.streams.Add(1)
	if s.err != nil || !strings.Contains(s.body, heard) {
		c.tb.Errorf("a stream: %d %s %s, %v", s.status, s.row, s.body, s.err)
	}
}

func over(until <-chan struct{}) bool {
	select {
	case <-until:
		return true
	default:
		return false
	}
}

func newLoad(b *testing.B) (l *load, callers, listeners []*caller) {
	processes := perProcessor * runtime.NumCPU()
	l = &load{world: newWorld(b, processes+streaming+1, "proxy"), outcomes: map[string]int{}}
	progress("starting %d processes that call and %d that have a stream", processes, streaming)
	for n := range processes {
		callers = append(callers, l.start(n))
	}
	for n := range streaming {
		listeners = append(listeners, l.start(processes+n))
	}
	l.warm(append(callers[:processes:processes], listeners...)...)
	return l, callers, listeners
}

// warm has processes make their first calls.
func (l *load) warm(all ...*caller) {
	var done sync.WaitGroup
	for _, c := range all {
		done.Go(func() {
			for range warming {
				c.call()
			}
		})
	}
	done.Wait()
}

func BenchmarkLoad(b *testing.B) {
	l, callers, listeners := newLoad(b)
	another := l.start(len(callers) + len(listeners))
	l.warm(another)
	fresh, _ := goroutines(another.f)
	all := append(callers[:len(callers):len(callers)], listeners...)
	until, began := make(chan struct{}), time.Now()
	l.outcomes, l.took = map[string]int{}, nil
	before := l.ids.Load()
	var done sync.WaitGroup
	for _, c := range callers {
		done.Go(func() {
			for !over(until) {
				c.call()
				time.Sleep(rand.N(rest))
			}
		})
	}
	for n, c := range listeners {
		done.Go(func() { c.listen(until, n) })
	}
	seconds := 0
	for ; b.Loop(); seconds++ {
		time.Sleep(time.Until(began.Add(time.Duration(seconds+1) * time.Second)))
		for _, c := range all {
			s, err := sampleOf(c.f)
			must(b, err)
			c.samples = append(c.samples, s)
		}
		if seconds%30 == 29 {
			progress("%d s: %d calls", seconds+1, l.ids.Load()-before)
		}
	}
	close(until)
	done.Wait()
	l.report(all, seconds, fresh)
}

// report judges what came of a run, and says it in one line.
func (l *load) report(all []*caller, seconds, fresh int) {
	rss, fds, more := l.held(all, fresh)
	e := l.evidence()
	l.reached(e)
	open := l.unfinished(e, all)
	l.spotted += l.inTables()
	calls, wrong := 0, 0
	for what, n := range l.outcomes {
		calls += n
		if what != "worked" {
			wrong += n
		}
	}
	if calls == 0 || l.streams.Load() == 0 {
		l.tb.Errorf("%d calls, %d streams: nothing is shown", calls, l.streams.Load())
	}
	p50, p95, p99, most := percentiles(l.took)
	fmt.Printf("load: %d calls (%.0f a second, %d repeated because a store was slow) and %d streams of %d processes in %d s: %d errors, %d intents without outcome, %d canaries seen; "+
		"from the first third to the last at most %+.1f MiB a process (bound %d), %+d descriptors, %+d goroutines; latency %.0f ms (p50), %.0f (p95), %.0f (p99), %.0f (longest)\n",
		calls, float64(calls)/float64(max(1, seconds)), l.repeated.Load(), l.streams.Load(), len(all), seconds, wrong, open, l.spotted,
		float64(rss)/1024, mostRSS>>10, fds, more, p50, p95, p99, most)
}

// unfinished counts intents without outcome. There may be none, unless the machine
// was so busy that the stores were too slow for calls as well: then the log must
// tell of each. Of every other call that reached the upstream the outcome says so.
func (l *load) unfinished(e evidence, all []*caller) int {
	var logs []byte
	for _, c := range all {
		logs = append(append(logs, c.f.Stdout()...), c.f.Stderr()...)
	}
	open := e.open()
	for _, receipt := range open {
		if l.repeated.Load() == 0 || !told(logs, "outcome not recorded", receipt) && !told(logs, "audit_unavailable", receipt) {
			l.tb.Errorf("an intent has no outcome: %+v", e[receipt][broker.Intent])
		}
	}
	for receipt := range l.upstream.arrived {
		if r, ended := e[receipt][broker.Outcome]; ended && r.Upstream == 0 {
			l.tb.Errorf("a call was answered by the upstream, and its outcome does not say so: %+v", r)
		}
	}
	return len(open)
}

// held is the most that any process grew by. It ends them all.
func (l *load) held(all []*caller, fresh int) (rss, fds, more int) {
	rss, fds, more = -1<<30, -1<<30, -1<<30
	for n, c := range all {
		r, f := grown(c.samples)
		count, dump := goroutines(c.f)
		progress("process %d: %.1f MiB, %+.1f; %d descriptors, %+d; %d goroutines, %+d", n, float64(mean(c.samples))/1024, float64(r)/1024, mostOpen(c.samples), f, count, count-fresh)
		l.spotted += l.seen("a log", append(c.f.Stdout(), dump...), l.canaries...)
		rss, fds, more = max(rss, r), max(fds, f), max(more, count-fresh)
	}
	if rss > mostRSS || fds > mostFDs || more > mostGoroutines {
		l.tb.Errorf("a process grew by %d KiB, %d descriptors, %d goroutines: more than %d, %d, %d", rss, fds, more, mostRSS, mostFDs, mostGoroutines)
	}
	return rss, fds, more
}
