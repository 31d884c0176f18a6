package handler

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/policy"
	"bindery/shared/telemetry"
)

// TestMemoryIsFlatInTheLengthOfAStream relays a stream, and one more than ten
// times as long, through the whole handler, and holds what is in use at the
// worst moment of the one against the other. Every event holds a secret, so
// that it is masked as well.
func TestMemoryIsFlatInTheLengthOfAStream(t *testing.T) {
	const short, long, allowed = 6 << 20, 64 << 20, 1 << 20
	for era, size := range map[string]int{legacy: 1 << 10, modern: 64 << 10} {
		t.Run(fmt.Sprintf("%s/events of %d bytes", era, size), func(t *testing.T) {
			small, large := highWater(t, era, size, short/size), highWater(t, era, size, long/size)
			t.Logf("in use at most: %d kB, %d kB", small>>10, large>>10)
			if large > small+allowed {
				t.Errorf("the longer stream holds %d bytes more", large-small)
			}
		})
	}
}

// highWater relays a stream of events and gives the most memory that was in use
// at sixteen moments spread over it, garbage taken out.
func highWater(t *testing.T, era string, size, events int) (most uint64) {
	t.Helper()
	upstream := answer{kind: "text/event-stream", text: progress(size, canary), events: events}
	f := newFixture(t, upstream, true)
	step := upstream.size() / 20 // what is masked is shorter than it came
	next, moments := step, 0
	w := &sink{header: http.Header{}, taken: func(sofar int64) {
		if sofar < next {
			return
		}
		next += step
		moments++
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc)
	}}
	f.ServeHTTP(w, f.relayed(t, era, "tools/call")())
	if w.status != http.StatusOK || moments < 16 {
		t.Fatalf("status %d, looked %d times", w.status, moments)
	}
	return most
}

// TestCallsLeaveNothingBehind makes many calls of every kind after as many that fill
// what is kept, and holds what is in use then against it. A process lives for
// thousands of calls.
func TestCallsLeaveNothingBehind(t *testing.T) {
	const calls, allowed = 600, 512 // bytes that a call may leave, on average
	f := newFixture(t, answer{kind: "application/json", text: smallAnswer}, true)
	f.log, f.Handler.log = nil, slog.New(telemetry.New(slog.NewJSONHandler(io.Discard, nil), "prod"))
	f.Handler.broker = broker.New(broker.Parts{Catalogue: f.tables, Markers: f.tables, Audit: forgetful{}, Sources: f.sources,
		Rules: policy.NewCalls(f.tables), Now: time.Now, Nonce: rand.Text, Status: statusOf, Quotas: f.tables, StreamTime: time.Minute})
	requests := []func() *http.Request{f.relayed(t, legacy, "tools/call"), f.relayed(t, modern, "tools/call"), f.relayed(t, legacy, "tools/list")}
	inUse := func() (bytes int64) {
		for n := range calls {
			f.send(t, requests[n%len(requests)])
			f.ServeHTTP(&sink{header: http.Header{}}, f.request("no token", callBody))
		}
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		return int64(now.HeapAlloc)
	}
	inUse()
	before := inUse()
	left := (inUse() - before) / calls
	t.Logf("a call leaves %d bytes", left)
	if left > allowed {
		t.Errorf("a call leaves %d bytes behind", left)
	}
}

// forgetful is an audit log that does not keep what is appended.
type forgetful struct{}

func (forgetful) Append(context.Context, broker.Record) error { return nil }
