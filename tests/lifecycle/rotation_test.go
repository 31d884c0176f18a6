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

// rotation is a secret and the upstream that takes it, by one card that reads it
// for each call.
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
	r := &rotation{world: w, name: name, servers: []string{name}, upstream: newUpstream(), lenient: lenient, current: keyPrefix + rand.Text(), previous: "none"}
	r.upstream.accept(map[string]string{r.current: r.previous})
	must(w.tb, w.PutSecret(w.tb.Context(), environment+"/"+name, r.current))
	w.upstream(name, r.upstream)
	w.static(name, name, func(*broker.Binding) {})
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

func (c *counted) calls() (all, failed int) {
	for o, n := range c.outcomes {
		all += n
		if o != worked {
			failed += n
		}
	}
	return all, failed
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
	b.Run("current and previous", func(b *testing.B) { underLoad(b, all, lenient) })
	b.Run("current alone", func(b *testing.B) { underLoad(b, all, strict) })
}

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
func underLoad(b *testing.B, all []*runtimeapi.Function, r *rotation) {
	r.warm(all)
	stop := make(chan struct{})
	c, done := r.keepCalling(all, r.servers, stop)
	rotations, began := 0, time.Now()
	for b.Loop() {
		time.Sleep(time.Until(began.Add(time.Duration(rotations+1) * time.Second)))
		r.rotate()
		rotations++
	}
	close(stop)
	done.Wait()
	calls, failed := c.calls()
	_, refused := r.upstream.counts()
	fmt.Printf("lifecycle: %d failed calls during rotation (%s: %d rotations in %.0f s, %d calls of %d callers; the upstream refused %d keys)\n",
		failed, b.Name(), rotations, time.Since(began).Seconds(), calls, callers, refused)
	progress("%v, %d repeated because a store was slow", c.outcomes, c.repeated)
	if c.leaked > 0 {
		b.Errorf("%d answers showed a key, current or previous", c.leaked)
	}
	if calls < rotations || refused == 0 && !r.lenient {
		b.Errorf("%d calls, %d refused keys: nothing is shown", calls, refused)
	}
	if r.lenient && failed > 0 {
		b.Errorf("%d calls failed although the upstream takes the previous key: %v", failed, c.outcomes)
	}
}
