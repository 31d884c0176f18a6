//go:build e2e && !nojava

// Package race lets many processes of the compiled proxy function refresh one
// grant at once, at a provider that takes a second use of a refresh token for
// theft. Each round is one iteration of a benchmark, so that `make race
// ROUNDS=200` runs two hundred of them and `make test` none.
//
// Processes wait at random between any two steps, and answers of the store are
// lost after what they answer was applied. Then processes are killed, at each
// step in turn. What takes minutes in a deployment (a token expires, a dead
// holder's lease runs out) is written into the grant's row.
package race

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/runtimeapi"
)

const (
	processes = 50
	atAKill   = 8 // so many of them call in a round with a kill
)

// process is one sandbox of the function, with a way of its own to the tables.
type process struct {
	*runtimeapi.Function
	pid int
}

func (p *process) kill() { _ = syscall.Kill(p.pid, syscall.SIGKILL) }

func (w *world) start() *process {
	tables := faultproxy.New(w.tb, w.tables)
	p := &process{}
	tables.Inject(faultproxy.Rule{Times: -1, Effect: w.script.tables(p)})
	f, err := runtimeapi.Start(w.tb.Context(), w.binary, w.settings(tables.URL))
	w.must(err)
	w.tb.Cleanup(func() { f.Stop() })
	p.Function, p.pid = f, f.PID()
	return p
}

// outcome is what a call came to.
type outcome string

const (
	worked  outcome = "worked"
	consent outcome = "consent needed"
	died    outcome = "its process died"
	slow    outcome = "the store was too slow"
)

// patience is how often a caller repeats a call that the store was too slow for,
// as the answer advises: the function gives DynamoDB less than three seconds,
// which fifty processes on a small machine may use up.
const patience = 20

// tooSlow are the codes of such answers. Nothing was called then.
func tooSlow() []string { return []string{`"code":15032`, `"code":15033`, `"code":15034`} }

// call calls once, and again as long as the store is too slow.
func (w *world) call(p *process) (o outcome, repeated int) {
	for ; ; repeated++ {
		if o = w.once(p); o != slow || repeated == patience {
			return o, repeated
		}
	}
}

func (w *world) once(p *process) outcome {
	response, err := p.Invoke(w.tb.Context(), w.event)
	if errors.Is(err, runtimeapi.ErrExited) {
		return died
	}
	if err != nil {
		return outcome(err.Error())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return died
	case response.StatusCode == http.StatusOK && bytes.Contains(body, []byte(answered)):
		return worked
	case response.StatusCode == http.StatusOK && bytes.Contains(body, []byte(publicURL+"/connect/")):
		return consent
	case response.StatusCode == http.StatusServiceUnavailable && slices.ContainsFunc(tooSlow(), func(code string) bool { return bytes.Contains(body, []byte(code)) }):
		return slow
	}
	return outcome(fmt.Sprintf("%d %s", response.StatusCode, body))
}

// together has processes call at once, and counts what their calls came to.
func (w *world) together(t *totals, all []*process) map[outcome]int {
	var mu sync.Mutex
	var calls sync.WaitGroup
	counts := map[outcome]int{}
	for _, p := range all {
		calls.Go(func() {
			o, repeated := w.call(p)
			mu.Lock()
			defer mu.Unlock()
			counts[o]++
			t.repeated += repeated
		})
	}
	calls.Wait()
	return counts
}

// totals is what the last line tells.
type totals struct{ rounds, refreshes, lost, stale, kills, unknown, repeated int }

func (t totals) String() string {
	return fmt.Sprintf("race: %d rounds of %d processes, %d refreshes, %d grants lost, %d stale uses; %d kills, %d grants lost to them (outcome_unknown: all killed between the provider's commit and the write); %d calls repeated because the store was slow",
		t.rounds, processes, t.refreshes, t.lost, t.stale, t.kills, t.unknown, t.repeated)
}

func BenchmarkRefreshRace(b *testing.B) {
	w := newWorld(b)
	w.consent()
	progress("starting %d processes of the compiled function", processes)
	all := make([]*process, processes)
	for i := range all {
		all[i] = w.start()
		if got, _ := w.call(all[i]); got != worked {
			b.Fatalf("a call with a fresh grant: %s\n%s", got, all[i].Stdout())
		}
	}
	var t totals
	for b.Loop() {
		w.round(&t, all)
		progress("round %d", t.rounds)
	}
	for range max(t.rounds, len(steps())) {
		w.roundWithAKill(&t, all)
	}
	fmt.Println(t)
}

// round: the token has expired, or soon will, and everybody calls. Of the
// store's answers some are lost.
func (w *world) round(t *totals, all []*process) {
	w.tb.Helper()
	left := -time.Second
	if t.rounds%2 == 1 {
		left = 20 * time.Second
	}
	w.script.begin(map[step]int{leased: t.rounds % 3, stored: t.rounds / 3 % 3}, "")
	w.expire(left)
	before, version := w.provider.seen(), w.view().Grant.Version
	counts := w.together(t, all)
	after := w.provider.seen()
	t.rounds++
	t.refreshes += after.commits - before.commits
	t.stale += after.stale
	g := w.view()
	alive := g.Grant.Dead.IsZero() && g.Grant.Lease == "" && g.Spare == nil && w.holds(g.Grant)
	if !alive {
		t.lost++
	}
	if counts[worked] != processes || after.commits != before.commits+1 || after.stale > 0 || after.mostUses > 1 || g.Grant.Version != version+1 || !alive {
		w.tb.Fatalf("round %d: calls %v, provider %+v after %+v, versions %d to %d, alive %t, %s\n%v",
			t.rounds, counts, after, before, version, g.Grant.Version, alive, g.Grant.Fault, t)
	}
}

// roundWithAKill: the process that refreshes is killed at one of the steps, and
// its lease runs out. Only a death between the provider's commit and the write
// may cost the grant, and then the row says so.
func (w *world) roundWithAKill(t *totals, all []*process) {
	w.tb.Helper()
	at := steps()[t.kills%len(steps())]
	w.script.begin(nil, at)
	w.expire(-time.Second)
	before := w.provider.seen()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	overdue := make(chan struct{})
	go func() {
		defer close(overdue)
		w.afterTheKill(at)
	}()
	counts := w.together(t, all[:atAKill])
	<-overdue
	after, g := w.provider.seen(), w.view().Grant
	t.kills++
	lost, reused := !g.Dead.IsZero(), after.stale-before.stale
	survivors := worked
	if lost {
		t.unknown++
		survivors = consent
	}
	if counts[died] != 1 || counts[survivors] != atAKill-1 || lost != at.loses() || lost && (g.Fault != "outcome_unknown" || reused != 1) || !lost && (reused != 0 || after.commits != before.commits+1) {
		w.tb.Fatalf("killed %s: calls %v, provider %+v after %+v, lost %t, %s\n%v", at, counts, after, before, lost, g.Fault, t)
	}
	progress("kill %d, %s: lost %t", t.kills, at, lost)
	if lost {
		w.consent()
	}
	for i, p := range all {
		if p == w.script.victim() {
			all[i] = w.start()
		}
	}
}
