//go:build e2e && !nojava

package soak

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/runtimeapi"
)

// station is a process of any function, between whom and AWS two proxies stand. It
// is asked by one at a time.
type station struct {
	*world
	function     string
	f            *runtimeapi.Function
	tables, keys *faultproxy.Proxy
	logs         []byte
	hits         atomic.Int64
	deaths       int
	killed       atomic.Bool

	// passed sees what passed on to AWS and was answered well; nil: nobody asks.
	passed func(body []byte, answer *faultproxy.Answer)
}

func (w *world) station(function string) *station {
	w.tb.Helper()
	t := &station{world: w, function: function, tables: faultproxy.New(w.tb, w.tables), keys: faultproxy.New(w.tb, w.moto)}
	t.quiet()
	t.start()
	return t
}

// start starts a process in the place of the one before.
func (t *station) start() {
	t.stop()
	f, err := runtimeapi.Start(t.tb.Context(), t.binary(t.function), t.settings(t.keys.URL, t.tables.URL))
	if err != nil {
		t.tb.Fatalf("%s: %v\n%s", t.function, err, f.Stderr())
	}
	t.tb.Cleanup(func() { f.Stop() })
	t.f = f
	t.killed.Store(false)
}

// stop ends the process and keeps what it said.
func (t *station) stop() {
	if t.f != nil {
		t.f.Stop()
		t.logs = append(append(t.logs, t.f.Stdout()...), t.f.Stderr()...)
		t.f = nil
	}
}

// quiet has nothing fail.
func (t *station) quiet() {
	t.tables.Clear()
	t.keys.Clear()
	t.tables.Inject(faultproxy.Rule{Times: -1, Effect: t.seeing(faultproxy.Delay(0))})
	t.keys.Inject(faultproxy.Rule{Times: -1, Effect: t.seeing(faultproxy.Delay(0))})
}

// seeing shows what passes.
func (t *station) seeing(e faultproxy.Effect) faultproxy.Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*faultproxy.Answer, error)) {
		e(w, body, func(body []byte) (*faultproxy.Answer, error) {
			answer, err := forward(body)
			if err == nil && answer.Status == http.StatusOK && t.passed != nil {
				t.passed(body, answer)
			}
			return answer, err
		})
	}
}

// fail has some of the next requests fail in some way, at most so many in a row,
// and sometimes the process die.
func (t *station) fail(r *rand.Rand, most int, dies bool) {
	t.tables.Clear()
	t.keys.Clear()
	if dies && r.IntN(10) == 0 {
		t.tables.Inject(faultproxy.Rule{Skip: r.IntN(8), Times: 1, Effect: func(w http.ResponseWriter, body []byte, forward func([]byte) (*faultproxy.Answer, error)) {
			t.killed.Store(true)
			_ = syscall.Kill(t.f.PID(), syscall.SIGKILL) // fails only if it has ended
			t.seeing(faultproxy.DropAnswer())(w, body, forward)
		}})
	}
	for _, p := range []*faultproxy.Proxy{t.tables, t.keys} {
		effect := t.seeing(effects()[ways()[r.IntN(len(ways()))]])
		p.Inject(faultproxy.Rule{Skip: r.IntN(5), Times: 1 + r.IntN(most), Effect: func(w http.ResponseWriter, body []byte, forward func([]byte) (*faultproxy.Answer, error)) {
			t.hits.Add(1)
			effect(w, body, forward)
		}})
		p.Inject(faultproxy.Rule{Times: -1, Effect: t.seeing(faultproxy.Delay(0))})
	}
}

// scheduled is the time of an invocation by the schedule, of which functions keep
// half a minute to bring to its end what is begun.
const scheduled = 2 * time.Minute

// invoke hands an event to the process, and starts another one if it died of it.
func (t *station) invoke(ctx context.Context, event []byte) ([]byte, error) {
	defer t.revive()
	response, err := t.f.Invoke(ctx, event)
	if err != nil {
		return nil, err
	}
	return response.Raw, nil
}

func (t *station) revive() {
	if t.killed.Load() {
		t.deaths++
		t.quiet()
		t.start()
	}
}

// ended is what all stations have to say at the end.
func ended(tb testing.TB, all ...*station) (hits int64, deaths int) {
	tb.Helper()
	for _, t := range all {
		t.stop()
		if t.seen("a log of "+t.function, t.logs, t.canaries...)+t.seen("a log of "+t.function, t.logs, faultproxy.Leak) > 0 {
			tb.Errorf("%s shows what it must not", t.function)
		}
		hits, deaths = hits+t.hits.Load(), deaths+t.deaths
	}
	return hits, deaths
}
