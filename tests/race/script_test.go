//go:build e2e && !nojava

package race

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"bindery/shared/brokertest/faultproxy"
)

// step is a point in the protocol at which something can happen to a process.
type step string

const (
	leasing   step = "before the lease is taken"
	leased    step = "after the lease is taken"
	asked     step = "before the provider commits"
	committed step = "after the provider committed" // and before it answers
	sealing   step = "before the new tokens are sealed"
	storing   step = "before the new tokens are stored"
	stored    step = "after the new tokens are stored"
)

// steps lists those at which processes are killed, in turn.
func steps() []step { return []step{leasing, leased, asked, committed, sealing, storing, stored} }

// loses says where a death may lose a grant: between the provider's commit and
// the write of what it issued.
func (s step) loses() bool { return s == committed || s == sealing || s == storing }

// script is what a round does to the processes, and who has the lease.
type script struct {
	mu     sync.Mutex
	lost   map[step]int // so many answers about this step are lost after it was applied
	kill   step
	holder *process
	killed *process
}

func (s *script) begin(lost map[step]int, kill step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost, s.kill, s.holder, s.killed = lost, kill, nil, nil
}

func (s *script) victim() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killed
}

// reach says that the holder of the lease got as far as that, and reports
// whether it lives on.
func (s *script) reach(at step) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holder == nil || s.passes(at, s.holder)
}

// passes kills the process if it is the one to be killed here. The lock is held.
func (s *script) passes(at step, p *process) bool {
	if s.kill == at && s.killed == nil {
		s.killed = p
		p.kill()
	}
	return s.killed != p
}

// loses reports whether the answer about a step is to be lost.
func (s *script) loses(at step) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost[at] == 0 {
		return false
	}
	s.lost[at]--
	return true
}

// around says what an update of the grant is, before and after it is applied.
func around(body []byte) (before, after step) {
	var update struct{ ExpressionAttributeNames map[string]string }
	if json.Unmarshal(body, &update) != nil {
		return "", ""
	}
	names := slices.Collect(maps.Values(update.ExpressionAttributeNames))
	switch {
	case slices.Contains(names, "sealed") && slices.Contains(names, "settled"):
		return storing, stored
	case slices.Contains(names, "unsettled") && !slices.Contains(names, "settled"):
		return leasing, leased
	}
	return "", ""
}

var errGone = errors.New("gone")

type forwarding = func([]byte) (*faultproxy.Answer, error)

// tables is what one process's requests to the tables go through: a rest
// before and after each, and what the round has in store for it.
func (s *script) tables(p *process) faultproxy.Effect {
	return func(w http.ResponseWriter, body []byte, forward forwarding) {
		before, after := around(body)
		faultproxy.Gate(rest)(w, body, func(body []byte) (*faultproxy.Answer, error) {
			if !s.lives(before, p) {
				return nil, errGone
			}
			answer, err := forward(body)
			if err != nil || answer.Status != http.StatusOK || after == "" {
				rest()
				return answer, err
			}
			if !s.applied(after, p) || s.loses(after) {
				return nil, errGone
			}
			rest()
			return answer, nil
		})
	}
}

func (s *script) lives(at step, p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return at == "" || s.passes(at, p)
}

func (s *script) applied(at step, p *process) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at == leased {
		s.holder = p
	}
	return s.passes(at, p)
}

// sealing is what requests for data keys go through: only the holder of the
// lease seals.
func (s *script) sealing() faultproxy.Effect {
	return func(w http.ResponseWriter, body []byte, forward forwarding) {
		faultproxy.Gate(rest)(w, body, func(body []byte) (*faultproxy.Answer, error) {
			if !s.reach(sealing) {
				return nil, errGone
			}
			return forward(body)
		})
	}
}

// rest is a delay that no two runs have alike.
func rest() { time.Sleep(rand.N(20 * time.Millisecond)) }
