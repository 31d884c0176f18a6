//go:build e2e && !nojava

package soak

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lambda "github.com/aws/aws-lambda-go/events"

	"bindery/shared/broker"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/events"
)

// following is what reads the audit table's stream: the ledger and the outbox, each
// of which fails as often as not.
type following struct {
	*world
	ledger, outbox *station
	calm           atomic.Bool // nothing fails any more
	stop           context.CancelFunc
	done           sync.WaitGroup

	mu   sync.Mutex
	told map[string]bool // receipts and types of events that the bus took
}

func (w *world) following(seed uint64) *following {
	f := &following{world: w, ledger: w.station("ledger"), outbox: w.station("outbox"), told: map[string]bool{}}
	f.outbox.passed = f.taken
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	for n, t := range []*station{f.ledger, f.outbox} {
		r := rand.New(rand.NewPCG(seed, uint64(n)))
		f.done.Go(func() {
			w.Follow(ctx, slog.New(slog.DiscardHandler), w.Config.Tables.Audit, func(ctx context.Context, event json.RawMessage) (any, error) {
				return f.batch(ctx, t, r, event)
			})
		})
	}
	return f
}

// batch hands a batch to a function, as Lambda does.
func (f *following) batch(ctx context.Context, t *station, r *rand.Rand, event []byte) (any, error) {
	t.quiet()
	if !f.calm.Load() && r.IntN(2) == 0 {
		t.fail(r, 8, true)
	}
	raw, err := t.invoke(ctx, event)
	if err != nil {
		return nil, err
	}
	var answer lambda.DynamoDBEventResponse
	return answer, json.Unmarshal(raw, &answer)
}

// taken remembers the events that the bus took.
func (f *following) taken(body []byte, answer *faultproxy.Answer) {
	var asked struct {
		Entries []struct{ DetailType, Detail string }
	}
	var said struct{ Entries []struct{ EventId string } }
	if json.Unmarshal(body, &asked) != nil || json.Unmarshal(answer.Body, &said) != nil || len(asked.Entries) != len(said.Entries) {
		return // a request of another kind
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, e := range asked.Entries {
		var d struct{ ID string }
		if json.Unmarshal([]byte(e.Detail), &d) == nil && said.Entries[i].EventId != "" {
			f.told[d.ID+" "+e.DetailType] = true
		}
	}
}

// finish waits until all records are in the index and all facts were told, and says
// how many of each there are. Those that never come are wrong.
func (f *following) finish() (indexed, told int) {
	f.tb.Helper()
	f.calm.Store(true)
	e := f.evidence()
	facts := map[string]bool{}
	for _, records := range e {
		for _, r := range records {
			if made, ok, err := events.Of(r); ok && err == nil {
				facts[r.Receipt+" "+made.Type] = true
			}
		}
	}
	missing := []string{"not looked yet"}
	for until := time.Now().Add(2 * time.Minute); len(missing) > 0 && time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		missing = f.missing(e, facts)
	}
	f.stop()
	f.done.Wait()
	if len(missing) > 0 {
		f.tb.Errorf("%d records or facts were skipped, as %v", len(missing), missing[:min(5, len(missing))])
	}
	return len(e), len(facts)
}

// missing are the receipts that the index does not have as the table has them, and
// the facts that the bus did not take.
func (f *following) missing(e evidence, facts map[string]bool) (missing []string) {
	f.tb.Helper()
	at := map[string]broker.Phase{}
	for after := ""; ; {
		page, err := f.DB.Entries(f.tb.Context(), broker.AuditFilter{Environment: environment, From: time.Now().Add(-24 * time.Hour), To: time.Now().Add(time.Hour)}, after, broker.MaxPage)
		must(f.tb, err)
		for _, entry := range page.Entries {
			at[entry.Receipt] = entry.Phase
		}
		if after = page.Next; after == "" {
			break
		}
	}
	for receipt, records := range e {
		want := broker.Intent
		for phase := range records {
			if phase.Supersedes(want) {
				want = phase
			}
		}
		if at[receipt] != want {
			missing = append(missing, strings.Join([]string{receipt, string(want), "found", string(at[receipt])}, " "))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for fact := range facts {
		if !f.told[fact] {
			missing = append(missing, fact)
		}
	}
	return missing
}
