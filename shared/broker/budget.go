package broker

import (
	"sync"
	"time"
)

// Refusals are recorded, but a principal who is refused in a loop must not be
// able to fill the table: each has a bucket per process. What the bucket holds
// back is counted into the next record.
const (
	refusalBurst   = 20               // records at once
	refusalEvery   = time.Second * 10 // one more each
	refusalMembers = 4096             // principals remembered; beyond that half of them, any half, are forgotten
)

// Budget counts the refusals of each principal. Its zero value is a full one.
type Budget struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens     float64
	filled     time.Time
	suppressed int
}

// Take asks for one record; it says how many were held back before this one.
func (b *Budget) Take(principal string, now time.Time) (suppressed int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buckets == nil {
		b.buckets = map[string]*bucket{}
	}
	k := b.buckets[principal]
	if k == nil {
		b.makeRoom()
		k = &bucket{tokens: refusalBurst, filled: now}
		b.buckets[principal] = k
	}
	if gained := now.Sub(k.filled).Seconds() / refusalEvery.Seconds(); gained > 0 {
		k.tokens, k.filled = min(refusalBurst, k.tokens+gained), now
	}
	if k.tokens < 1 {
		k.suppressed++
		return 0, false
	}
	k.tokens--
	suppressed, k.suppressed = k.suppressed, 0
	return suppressed, true
}

// GiveBack returns the count of a record that could not be stored.
func (b *Budget) GiveBack(principal string, suppressed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := b.buckets[principal]; k != nil {
		k.suppressed += suppressed + 1
	}
}

// makeRoom keeps the map bounded. A forgotten principal starts with a full
// bucket: an attacker with thousands of valid identities is another problem.
func (b *Budget) makeRoom() {
	if len(b.buckets) < refusalMembers {
		return
	}
	for principal := range b.buckets {
		delete(b.buckets, principal)
		if len(b.buckets) <= refusalMembers/2 {
			return
		}
	}
}
