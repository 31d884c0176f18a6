//go:build e2e && !nojava

package soak

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/runtimeapi"
)

// worker is a process between whom and AWS two proxies stand, and the person who
// calls it.
type worker struct {
	*soak
	f            *runtimeapi.Function
	token        string
	mayShow      []string // canaries that its answers could show
	sessions     map[string]string
	tables, keys *faultproxy.Proxy
	logs         []byte // of processes that have ended

	number atomic.Int64 // of the call under way
	hit    atomic.Int64 // requests that met the planned fault
	killed atomic.Bool
}

func (s *soak) worker(n int) *worker {
	s.tb.Helper()
	k := &worker{soak: s, token: s.token(person(n)), sessions: map[string]string{},
		tables: faultproxy.New(s.tb, s.world.tables), keys: faultproxy.New(s.tb, s.moto)}
	k.mayShow = []string{s.canaries[0], s.canaries[1], s.canaries[2+n], s.canaries[len(s.canaries)-1], faultproxy.Leak}
	k.number.Store(-1)
	k.watch()
	k.start()
	for _, server := range servers() {
		k.sessions[server] = k.begin(server)
	}
	return k
}

// start starts a process in the place of the one before.
func (k *worker) start() {
	if k.f != nil {
		k.f.Stop()
		k.logs = append(append(k.logs, k.f.Stdout()...), k.f.Stderr()...)
	}
	f, err := runtimeapi.Start(k.tb.Context(), k.binary("proxy"), k.settings(k.keys.URL, k.tables.URL))
	if err != nil {
		k.tb.Errorf("a process could not be started: %v", err)
		return
	}
	k.tb.Cleanup(func() { f.Stop() })
	k.f = f
	k.killed.Store(false)
}

// begin begins a session while nothing fails.
func (k *worker) begin(server string) string {
	a := asking{server: server, method: http.MethodPost, revision: legacy, does: "initialize"}
	for range patience {
		if s := ask(k.tb.Context(), k.f, a, k.token); s.session != "" {
			return s.session
		}
		time.Sleep(retryAfter)
	}
	k.tb.Errorf("no session could be begun at %s", server)
	return ""
}

// watch has all requests pass, and remembers the records that are put.
func (k *worker) watch() {
	k.tables.Clear()
	k.keys.Clear()
	k.tables.Inject(faultproxy.Rule{Times: -1, Effect: k.watching(faultproxy.Delay(0))})
}

// watching remembers the records that are put, and what the table said.
func (k *worker) watching(e faultproxy.Effect) faultproxy.Effect {
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*faultproxy.Answer, error)) {
		k.underWay.Add(1)
		defer k.underWay.Done()
		k.tried(body, k.number.Load())
		e(w, body, func(body []byte) (*faultproxy.Answer, error) {
			answer, err := forward(body)
			if err == nil && answer.Status == http.StatusOK {
				k.applied(body)
			}
			return answer, err
		})
	}
}

// prepare has the requests of a call meet what is planned.
func (k *worker) prepare(p plan) {
	k.number.Store(int64(p.id))
	k.hit.Store(0)
	k.tables.Clear()
	k.keys.Clear()
	if p.kill > 0 {
		k.tables.Inject(faultproxy.Rule{Skip: p.kill - 1, Times: 1, Effect: k.watching(k.dying(p.after))})
	}
	if p.deny {
		k.tables.Inject(faultproxy.Rule{Operations: []string{"BatchGetItem"}, Times: -1, Effect: k.counting("BatchGetItem", "denied")})
	}
	if p.fault.how != "" {
		f := p.fault
		f.effect = k.counting(f.spot.name, f.how)
		if f.spot.keys {
			k.keys.Inject(f.spot.rule(f))
		} else {
			k.tables.Inject(f.spot.rule(f))
		}
	}
	k.tables.Inject(faultproxy.Rule{Times: -1, Effect: k.watching(faultproxy.Delay(0))})
}

// counting counts the requests that meet an effect.
func (k *worker) counting(at, how string) faultproxy.Effect {
	effect := k.watching(effects()[how])
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*faultproxy.Answer, error)) {
		k.hit.Add(1)
		k.met(at, how)
		effect(w, body, forward)
	}
}

// dying kills the process at a request, before or after it is applied.
func (k *worker) dying(after bool) faultproxy.Effect {
	drop := faultproxy.Reset()
	if after {
		drop = faultproxy.DropAnswer()
	}
	return func(w http.ResponseWriter, body []byte, forward func([]byte) (*faultproxy.Answer, error)) {
		if !after {
			k.kill()
		}
		drop(w, body, func(body []byte) (*faultproxy.Answer, error) {
			defer k.kill()
			return forward(body)
		})
	}
}

// kill ends the process at once.
func (k *worker) kill() {
	k.killed.Store(true)
	_ = syscall.Kill(k.f.PID(), syscall.SIGKILL) // fails only if it has ended
}

// recordPut is the put of a record, as it passes.
type recordPut struct {
	TableName string
	Item      map[string]struct{ S string }
}

// put reads the put of a record; ok is false where a request is none.
func (s *soak) put(body []byte) (at place, nonce string, ok bool) {
	var p recordPut
	_ = json.Unmarshal(body, &p) // attributes of other types are passed over
	if p.TableName != s.Config.Tables.Audit || p.Item["pk"].S == "" {
		return place{}, "", false
	}
	return place{p.Item["pk"].S, broker.Phase(p.Item["sk"].S)}, p.Item["nonce"].S, true
}
