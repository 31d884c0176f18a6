package egress

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
)

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func TestPoolGivesOneClientPerSetOfNetworks(t *testing.T) {
	p := NewPool(Policy{}, 8)
	a := p.For(prefixes("10.0.0.0/8", "192.168.0.0/16"))
	if b := p.For(prefixes("192.168.5.5/16", "10.1.2.3/8", "10.0.0.0/8")); a != b {
		t.Error("the same set gave two clients")
	}
	for _, other := range [][]netip.Prefix{nil, prefixes("10.0.0.0/8"), prefixes("10.0.0.0/9", "192.168.0.0/16")} {
		if p.For(other) == a {
			t.Errorf("%v shares the client of a wider set", other)
		}
	}
}

// One server's opened range is no opening for the next.
func TestPoolKeepsPoliciesApart(t *testing.T) {
	p := NewPool(Policy{Networks: prefixes("172.16.0.0/12")}, 8)
	mine := prefixes("10.0.0.0/8")
	c := p.For(mine)
	mine[0] = netip.MustParsePrefix("192.168.0.0/16")
	for addr, want := range map[string]bool{"10.0.0.1": true, "192.168.0.1": false, "172.16.0.1": false} {
		if err := c.guard.policy.check(netip.MustParseAddr(addr)); (err == nil) != want {
			t.Errorf("%s: %v, want allowed = %v", addr, err, want)
		}
	}
	if err := p.For([]netip.Prefix{{}}).guard.policy.check(netip.MustParseAddr("10.0.0.1")); !errors.Is(err, ErrAddress) {
		t.Errorf("an invalid prefix opened something: %v", err)
	}
}

func TestPoolIsBoundedAndDropsTheLeastRecentlyUsed(t *testing.T) {
	p := NewPool(Policy{}, 2)
	a, b := p.For(prefixes("10.0.0.0/8")), p.For(prefixes("10.0.0.0/9"))
	p.For(prefixes("10.0.0.0/8"))
	p.For(prefixes("10.0.0.0/10"))
	if len(p.byKey) != 2 || p.order.Len() != 2 {
		t.Errorf("pool holds %d/%d", len(p.byKey), p.order.Len())
	}
	if p.For(prefixes("10.0.0.0/8")) != a {
		t.Error("the recently used client was dropped")
	}
	if p.For(prefixes("10.0.0.0/9")) == b {
		t.Error("the least recently used client was kept")
	}
}

func TestPoolConcurrently(t *testing.T) {
	p := NewPool(Policy{}, 1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				p.For(prefixes("10.0.0.0/8"))
				p.For(nil)
			}
		})
	}
	wg.Wait()
}

func BenchmarkPoolFor(b *testing.B) {
	p := NewPool(Policy{}, 8)
	n := prefixes("10.0.0.0/8")
	b.ReportAllocs()
	for b.Loop() {
		p.For(n)
	}
}
