//go:build e2e && !nojava

package soak

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"time"

	"bindery/shared/brokertest/faultproxy"
)

// plan is one call and what it meets. It follows from the seed and the number of
// the call alone, whichever process makes it and when.
type plan struct {
	asking
	fault fault
	deny  bool // the decision cannot be read, so that there is a refusal to record
	kill  int  // at which request to a table the process is killed; 0: at none
	after bool
}

// fault is what happens to requests to AWS during a call.
type fault struct {
	spot   spot
	how    string // of effects; empty: nothing
	skip   int
	times  int // -1: all that follow
	effect faultproxy.Effect
}

// spot is a kind of request to AWS.
type spot struct {
	name      string
	operation string
	holds     string // in its body
	keys      bool   // a request to moto, and not to a table
}

// spots are the requests that calls make: each kind of each service, and of the
// audit table each kind of record.
func spots() []spot {
	return []spot{
		{name: "Query", operation: "Query"},
		{name: "BatchGetItem", operation: "BatchGetItem"},
		{name: "GetItem", operation: "GetItem"},
		{name: "UpdateItem", operation: "UpdateItem"},
		{name: "DeleteItem", operation: "DeleteItem"},
		{name: "PutItem (intent)", operation: "PutItem", holds: `"phase":{"S":"intent"}`},
		{name: "PutItem (outcome)", operation: "PutItem", holds: `"phase":{"S":"outcome"}`},
		{name: "PutItem (refusal)", operation: "PutItem", holds: `"phase":{"S":"refusal"}`},
		{name: "PutItem (session)", operation: "PutItem", holds: `"wrapped":`},
		{name: "GetSecretValue", operation: "GetSecretValue", keys: true},
		{name: "Decrypt", operation: "Decrypt", keys: true},
	}
}

func (s spot) rule(f fault) faultproxy.Rule {
	return faultproxy.Rule{Operations: []string{s.operation}, Skip: f.skip, Times: f.times, Effect: f.effect,
		Match: func(body []byte) bool { return bytes.Contains(body, []byte(s.holds)) }}
}

// tooLate is longer than an attempt at a table may take.
const tooLate = time.Second

// effects are the ways in which a request fails, by name.
func effects() map[string]faultproxy.Effect {
	return map[string]faultproxy.Effect{
		"throttled":          faultproxy.Throttle(),
		"5xx":                faultproxy.ServerError(),
		"reset before":       faultproxy.Reset(),
		"answer lost":        faultproxy.DropAnswer(),
		"answered with junk": faultproxy.Garble(),
		"slow":               faultproxy.Delay(200 * time.Millisecond),
		"timed out":          faultproxy.Delay(tooLate),
		"denied":             faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException"),
	}
}

// ways are the names of the effects, in an order that a seed can count on.
func ways() []string {
	return []string{"throttled", "5xx", "reset before", "answer lost", "answered with junk", "slow", "timed out", "denied"}
}

// planned is the call of a number.
func planned(seed, number uint64) plan {
	r := rand.New(rand.NewPCG(seed, number))
	p := plan{asking: asking{server: servers()[r.IntN(3)], method: http.MethodPost, revision: legacy, does: "tools/call", tool: plainly, id: int(number)}}
	p.draw(r)
	if r.IntN(10) < 8 {
		all := spots()
		p.fault = fault{spot: all[r.IntN(len(all))], how: ways()[r.IntN(len(ways()))], skip: r.IntN(3), times: []int{1, 1, 2, 3, -1}[r.IntN(5)]}
		if p.fault.spot.operation != "Query" && p.fault.spot.operation != "BatchGetItem" {
			p.fault.skip = 0 // of the others a call makes one or two
		}
		p.suit(r)
	}
	if r.IntN(100) < 2 {
		p.kill, p.after = 1+r.IntN(12), r.IntN(2) == 0
	}
	return p
}

// draw chooses what is asked for, and how the upstream takes it.
func (p *plan) draw(r *rand.Rand) {
	switch n := r.IntN(20); {
	case n < 6: // without a session
	case n < 10:
		p.session = "own"
	case n < 15:
		p.revision = modern
	case n < 17:
		p.does, p.tool = "tools/list", ""
		return
	case n < 18:
		p.does, p.tool = "initialize", ""
		return
	case n < 19:
		p.method, p.does, p.session = http.MethodDelete, "", "fresh"
		return
	default:
		p.method, p.does, p.session = http.MethodGet, "", "own"
		p.tool = []string{plainly, plainly, hangup, refusing}[r.IntN(4)]
		return
	}
	hard := []string{slowly, breaking, hangup, refusing, failing, killing}
	switch n := r.IntN(100); {
	case n < 15:
		p.tool = hard[r.IntN(len(hard))]
	case n < 40:
		p.tool = asEvents
	}
}

// suit has the call be one that makes the request that fails.
func (p *plan) suit(r *rand.Rand) {
	switch p.fault.spot.name {
	case "GetSecretValue":
		p.server = managed
	case "GetItem":
		p.server = sealed
	case "Decrypt":
		p.server = []string{sealed, own}[r.IntN(2)]
	case "PutItem (refusal)":
		p.deny = true
	case "PutItem (session)":
		p.method, p.revision, p.does, p.tool, p.session = http.MethodPost, legacy, "initialize", "", ""
	case "DeleteItem":
		p.method, p.revision, p.does, p.tool, p.session = http.MethodDelete, legacy, "", "", "fresh"
	}
}
