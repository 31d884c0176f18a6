//go:build e2e && !nojava

package lifecycle

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/broker"
	"bindery/shared/brokertest/runtimeapi"
)

// callers at the same time, each with a process of its own.
const callers = 50

// keyPrefix begins every key, so that one that got through masking is found.
const keyPrefix = "made-up-key-"

// rotation is a secret and the upstream that takes it, by two cards: one reads it
// for each call, and one lets processes keep it for as long as any may. Nobody
// tells them that it changed.
type rotation struct {
	*world
	name     string   // of the secret
	servers  []string // the upstream, by each card
	upstream *upstream
	lenient  bool // the upstream takes the previous one too
	current  string
	previous string
}

func (w *world) rotation(name string, lenient bool) *rotation {
	w.tb.Helper()
	r := &rotation{world: w, name: name, servers: []string{name, name + "-kept"}, upstream: newUpstream(), lenient: lenient, current: keyPrefix + rand.Text(), previous: "none"}
	r.upstream.accept(map[string]string{r.current: r.previous})
	must(w.tb, w.PutSecret(w.tb.Context(), environment+"/"+name, r.current))
	for i, server := range r.servers {
		w.upstream(server, r.upstream)
		w.static(server, name, func(b *broker.Binding) { b.MaxAge = time.Duration(i) * broker.MaxMaxAge })
	}
	return r
}

// rotate changes the key, as a rotation function of Secrets Manager does: the
// upstream is told of the new one first, then the store. The store's own limits
// would allow that a few times an hour.
func (r *rotation) rotate() {
	r.tb.Helper()
	next, accepts := keyPrefix+rand.Text(), map[string]string{}
	if r.lenient {
		accepts[r.current] = r.previous
	}
	accepts[next] = r.current
	r.upstream.accept(accepts)
	name := environment + "/" + r.name
	_, err := r.Secrets.PutSecretValue(r.tb.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &next})
	must(r.tb, err)
	r.current, r.previous = next, r.current
}

// counted is what came of the calls.
type counted struct {
	mu       sync.Mutex
	outcomes map[outcome]int
	repeated int // because the store was slow
	leaked   int // answers that showed a key
}

func (c *counted) add(o outcome, body []byte, repeated int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[o]++
	c.repeated += repeated
	if bytes.Contains(body, []byte(keyPrefix)) {
		c.leaked++
	}
}

// calls are all, those that failed, and those that never found the stores fast
// enough, which says something of the machine and nothing of rotation.
func (c *counted) calls() (all, failed, late int) {
	for o, n := range c.outcomes {
		all += n
		if o != worked && o != slow {
			failed += n
		}
	}
	return all, failed, c.outcomes[slow]
}

// keepCalling has every process call again and again until stop is closed. A call
// must not take longer on this machine than a key is good for, so callers rest.
func (w *world) keepCalling(all []*runtimeapi.Function, servers []string, stop <-chan struct{}) (*counted, *sync.WaitGroup) {
	c, done := &counted{outcomes: map[outcome]int{}}, &sync.WaitGroup{}
	for i, f := range all {
		event := w.event(toolCall(servers[i%len(servers)], "", "anything"))
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(mathrand.N(2 * time.Second)):
				}
				c.add(w.patiently(f, event))
			}
		})
	}
	return c, done
}

func BenchmarkRotation(b *testing.B) {
	w := newWorld(b)
	lenient, strict := w.rotation("lenient", true), w.rotation("strict", false)
	all := w.start("proxy", callers)
	var both, alone sum
	b.Run("current and previous", func(b *testing.B) { both = underLoad(b, all, lenient) })
	b.Run("current alone", func(b *testing.B) { alone = underLoad(b, all, strict) })
	fmt.Printf("lifecycle: %d failed calls during rotation (once a second, %d times, %d calls of %d callers, half of whom keep what they read, at an upstream that takes the key before too; at one that does not %d of %d calls, after %d refused keys; %d calls met stores that were too slow each time)\n",
		both.failed, both.rotations, both.calls, callers, alone.failed, alone.calls, alone.refused, both.late+alone.late)
}

// sum is what came of the rotations of one secret.
type sum struct{ rotations, calls, failed, late, refused int }

// warm has every process call once, before anything is counted.
func (r *rotation) warm(all []*runtimeapi.Function) {
	r.tb.Helper()
	for i, f := range all {
		if o, body, _ := r.patiently(f, r.event(toolCall(r.servers[i%len(r.servers)], "", "anything"))); o != worked {
			r.tb.Fatalf("a call before any rotation: %s %s", o, body)
		}
	}
}

// underLoad rotates once a second while everybody calls.
func underLoad(b *testing.B, all []*runtimeapi.Function, r *rotation) (s sum) {
	r.warm(all)
	stop := make(chan struct{})
	c, done := r.keepCalling(all, r.servers, stop)
	for began := time.Now(); b.Loop(); s.rotations++ {
		time.Sleep(time.Until(began.Add(time.Duration(s.rotations+1) * time.Second)))
		r.rotate()
	}
	close(stop)
	done.Wait()
	s.calls, s.failed, s.late = c.calls()
	_, s.refused = r.upstream.counts()
	progress("%s: %v, %d repeated because a store was slow, %d keys refused", b.Name(), c.outcomes, c.repeated, s.refused)
	if c.leaked > 0 {
		b.Errorf("%d answers showed a key, current or previous", c.leaked)
	}
	if s.calls-s.late < s.rotations || s.refused == 0 && !r.lenient {
		b.Errorf("%d calls, %d refused keys: nothing is shown", s.calls, s.refused)
	}
	if r.lenient && s.failed > 0 {
		b.Errorf("%d calls failed although the upstream takes the key before: %v", s.failed, c.outcomes)
	}
	return s
}
