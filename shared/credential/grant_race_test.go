package credential

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bindery/shared/memory"
)

// TestManyAtOnceRefreshOnce: in time, with a slow provider and with answers of
// the store that are lost, round after round.
func TestManyAtOnceRefreshOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newGranted(t, -time.Minute), time.Now()
		var holders atomic.Int64
		f.parts.Now = func() time.Time { return epoch.Add(time.Since(began)) }
		f.provider.now = f.parts.Now
		f.parts.Holder = func() string { return fmt.Sprintf("holder-%d", holders.Add(1)) }
		f.parts.Pause = func(ctx context.Context, d time.Duration) error {
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		f.provider.before = func(context.Context) error { time.Sleep(time.Second); return nil }
		f.ask.Recorded = func(context.Context) error { return nil }
		for round := 1; round <= 20; round++ {
			for _, op := range []memory.Op{memory.LeaseGrant, memory.StoreTokens, memory.KeepSpare} {
				f.db.Inject(op, memory.Lose(), memory.Refuse())
			}
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					c, err := NewGrants(f.parts).Obtain(t.Context(), f.ask)
					wantToken(t, c, err, round)
				})
			}
			all.Wait()
			f.db.Clear()
			if f.provider.n != round || f.provider.used != 0 {
				t.Fatalf("round %d: asked %d times, old refresh tokens used %d times", round, f.provider.n, f.provider.used)
			}
			time.Sleep(time.Hour)
		}
	})
}
