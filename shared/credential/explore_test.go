package credential

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNoInterleavingOfLivingProcessesLosesAGrant runs the protocol in every
// order of its steps, with faults up to a budget. Only a death between the
// provider's commit and the store, or an answer of the provider that never came,
// loses a grant, and then it is counted. Larger budgets find nothing more and
// take minutes.
func TestNoInterleavingOfLivingProcessesLosesAGrant(t *testing.T) {
	for _, c := range []struct {
		procs int
		left  budget
		loses bool
	}{
		{procs: 2}, {procs: 3},
		{procs: 3, left: budget{jumps: 1}},
		{procs: 3, left: budget{revocations: 1}},
		{procs: 2, left: budget{revocations: 1, jumps: 1}},
		{procs: 2, left: budget{store: 2, revocations: 1}},
		{procs: 2, left: budget{crashes: 1, jumps: 1, store: 1}, loses: true},
		{procs: 2, left: budget{provider: 1, jumps: 1, store: 1}, loses: true},
		{procs: 2, left: budget{crashes: 1, jumps: 1, provider: 1, revocations: 1}, loses: true},
		{procs: 3, left: budget{crashes: 1, jumps: 1}, loses: true},
		{procs: 2, left: budget{crashes: 2, jumps: 2}, loses: true},
	} {
		t.Run(fmt.Sprintf("processes=%d/%+v", c.procs, c.left), func(t *testing.T) {
			began := time.Now()
			x := &explorer{procs: c.procs, left: c.left}
			x.explore(t)
			t.Logf("%d states, %d runs, %d ends, %d of them with a loss, in %s", len(x.seen), x.runs, x.ends, x.losses, time.Since(began).Round(time.Millisecond))
			if x.failed != "" {
				t.Errorf("after %d runs: %s", x.runs, x.failed)
			}
			if (x.losses > 0) != c.loses {
				t.Errorf("%d of %d ends lost the grant", x.losses, x.ends)
			}
		})
	}
}

// TestExplorerFindsWhatIsWrong: a protocol with one of its parts taken out
// fails, so the test above can.
func TestExplorerFindsWhatIsWrong(t *testing.T) {
	for m, left := range map[mutation]budget{
		leaseForAll:  {},
		notReread:    {},
		spareIgnored: {crashes: 1, jumps: 1, store: 1},
		storedAnyway: {revocations: 1},
		sentLate:     {jumps: 1},
		untold:       {crashes: 1, jumps: 1},
	} {
		t.Run(string(m), func(t *testing.T) {
			x := &explorer{procs: 2, left: left, mutate: m}
			x.explore(t)
			if x.failed == "" {
				t.Errorf("%d runs, and nothing was found", x.runs)
			}
			first, _, _ := strings.Cut(x.failed, "\n")
			t.Logf("found after %d runs: %s", x.runs, first)
		})
	}
}
