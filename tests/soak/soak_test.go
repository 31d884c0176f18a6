//go:build e2e && !nojava

package soak

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
)

// processesSoaked is how many processes call for each processor: more than under
// load, because most of them wait for what is slow.
const processesSoaked = 12

// place is where a record stands.
type place struct {
	receipt string
	phase   broker.Phase
}

// written is what was seen of a record on its way to the table.
type written struct {
	nonce   string
	number  int64 // of the call
	tries   int
	applied bool
}

// soak is a world in which everything fails.
type soak struct {
	*world
	seed     uint64
	workers  []*worker
	underWay sync.WaitGroup // requests to the tables

	mu       sync.Mutex
	puts     map[place]*written
	mets     map[string]int // requests that met an effect, by both
	said     map[string]int // how calls ended
	answers  []heardOf
	killed   map[int64]bool // calls whose process was killed
	repeated int
	spotted  int // canaries
	calls    int
}

// heardOf is an answer with a receipt.
type heardOf struct {
	number  int64
	receipt string
	row     string
	worked  bool
}

func (s *soak) tried(body []byte, number int64) {
	at, nonce, ok := s.put(body)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.puts[at] == nil {
		s.puts[at] = &written{nonce: nonce, number: number}
	}
	s.puts[at].tries++
	if s.puts[at].nonce != nonce {
		s.tb.Errorf("one record was put with two nonces: %v", at)
	}
}

func (s *soak) applied(body []byte) {
	if at, _, ok := s.put(body); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.puts[at].applied = true
	}
}

func (s *soak) met(at, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mets[at+" "+how]++
}

// killerOf ends the process that made a call.
func (s *soak) killerOf(receipt string) {
	s.mu.Lock()
	put := s.puts[place{receipt, broker.Intent}]
	s.mu.Unlock()
	for _, k := range s.workers {
		if put != nil && k.number.Load() == put.number {
			k.kill()
		}
	}
}

// seedOf is what SEED says, or another one each time.
func seedOf(b *testing.B) uint64 {
	text := os.Getenv("BINDERY_SOAK_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	must(b, err)
	return seed
}

func newSoak(b *testing.B) *soak {
	n := processesSoaked * runtime.NumCPU()
	s := &soak{world: newWorld(b, n, "proxy"), seed: seedOf(b), puts: map[place]*written{}, mets: map[string]int{}, said: map[string]int{}, killed: map[int64]bool{}}
	s.upstream.stored, s.upstream.kill = s.storedIntent, s.killerOf
	progress("starting %d processes", n)
	for i := range n {
		s.workers = append(s.workers, s.worker(i))
	}
	return s
}

func BenchmarkFaults(b *testing.B) {
	s := newSoak(b)
	progress("the seed is %d", s.seed)
	numbers := make(chan uint64)
	var done sync.WaitGroup
	for _, k := range s.workers {
		done.Go(func() {
			for number := range numbers {
				k.call(planned(s.seed, number))
			}
		})
	}
	for number := uint64(1); b.Loop(); number++ {
		numbers <- number
		s.calls++
		if number%500 == 0 {
			progress("%d calls", number)
		}
	}
	close(numbers)
	done.Wait()
	s.underWay.Wait()
	s.report()
}

// report judges what came of a run, and says it in one line.
func (s *soak) report() {
	for _, k := range s.workers {
		k.start() // so that all has been said
		k.f.Stop()
		s.spotted += s.seen("a log", k.logs, s.canaries...) + s.seen("a log", k.logs, faultproxy.Leak)
	}
	e := s.evidence()
	s.reached(e)
	s.lost(e)
	s.answered(e)
	killed, unstored := s.unfinished(e)
	s.spotted += s.inTables()
	s.metAll()
	errors := map[string]int{}
	sum := 0
	for what, n := range s.said {
		if what != "worked" {
			errors[what] += n
			sum += n
		}
	}
	for _, how := range byNames(s.mets) {
		progress("%s", how)
	}
	fmt.Printf("soak: %d calls, %d errors (%s), %d intents without outcome (and %d of killed processes, %d whose outcome could not be stored, which the log tells), %d canaries seen; seed %d\n",
		s.calls, sum, byName(errors), len(e.open())-killed-unstored, killed, unstored, s.spotted, s.seed)
}
