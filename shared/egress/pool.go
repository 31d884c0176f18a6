package egress

import (
	"container/list"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Pool keeps one Client per set of opened networks, the least recently used
// dropped first. Everything but the networks is the Pool's own Policy. It is
// safe for concurrent use.
type Pool struct {
	policy Policy
	size   int

	mu    sync.Mutex
	byKey map[string]*list.Element // of *pooled
	order *list.List               // most recently used first
}

type pooled struct {
	key    string
	client *Client
}

// NewPool returns a Pool of at most size Clients (at least one). p.Networks is
// not used: each Client has exactly the networks it is asked for.
func NewPool(p Policy, size int) *Pool {
	return &Pool{policy: p, size: max(size, 1), byKey: map[string]*list.Element{}, order: list.New()}
}

// For returns the Client for a set of networks; order and repetition do not
// matter. A dropped Client keeps working for those who hold it.
func (p *Pool) For(networks []netip.Prefix) *Client {
	networks = canonical(networks)
	key := keyOf(networks)
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.byKey[key]; ok {
		p.order.MoveToFront(e)
		return e.Value.(*pooled).client
	}
	policy := p.policy
	policy.Networks = networks
	client := New(policy)
	p.byKey[key] = p.order.PushFront(&pooled{key, client})
	if p.order.Len() > p.size {
		oldest := p.order.Remove(p.order.Back()).(*pooled)
		delete(p.byKey, oldest.key)
		oldest.client.CloseIdleConnections()
	}
	return client
}

// canonical copies, so that a caller who changes the slice later changes nothing here.
func canonical(networks []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(networks))
	for _, n := range networks {
		if n.IsValid() {
			out = append(out, n.Masked())
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

func keyOf(networks []netip.Prefix) string {
	var b strings.Builder
	for _, n := range networks {
		b.WriteString(n.String())
		b.WriteByte(' ')
	}
	return b.String()
}
