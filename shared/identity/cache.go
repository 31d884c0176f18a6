package identity

import (
	"container/list"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"bindery/shared/broker"
)

// cacheSize bounds the verified results a process keeps.
const cacheSize = 4096

// result is a verified token's outcome. It is good until its time and as long
// as its issuer still publishes its key.
type result struct {
	principal broker.Principal
	issuer    *trusted
	print     [sha256.Size]byte
	until     time.Time
}

// own gives the caller a Principal whose lists nobody else holds.
func (r *result) own() broker.Principal {
	p := r.principal
	p.Groups, p.Attributes = slices.Clone(p.Groups), maps.Clone(p.Attributes)
	return p
}

type cacheID [sha256.Size]byte

// idOf names a token at a resource. The token itself is not kept. What comes
// before a token has a slash for a server and none for the APIs, and no
// token that gets here has a slash.
func idOf(token string, to resource) cacheID {
	buffer := make([]byte, 0, 4096)
	switch {
	case to.admin:
		buffer = append(buffer, "admin\n"...)
	case to.connections:
		buffer = append(buffer, "connections\n"...)
	default:
		buffer = append(append(buffer, to.Environment...), '/')
		buffer = append(append(buffer, to.Server...), '\n')
	}
	return sha256.Sum256(append(buffer, token...))
}

// cache keeps the results used last.
type cache struct {
	mu    sync.Mutex
	size  int
	order *list.List // of cached, the one used last in front
	byID  map[cacheID]*list.Element
}

type cached struct {
	id     cacheID
	result *result
}

func newCache(size int) *cache {
	return &cache{size: size, order: list.New(), byID: map[cacheID]*list.Element{}}
}

func (c *cache) get(id cacheID, now time.Time) *result {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return nil
	}
	found := e.Value.(cached)
	if !now.Before(found.result.until) {
		c.order.Remove(e)
		delete(c.byID, id)
		return nil
	}
	c.order.MoveToFront(e)
	return found.result
}

func (c *cache) put(id cacheID, r *result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[id]; ok {
		e.Value = cached{id, r}
		return
	}
	c.byID[id] = c.order.PushFront(cached{id, r})
	if c.order.Len() > c.size {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.byID, oldest.Value.(cached).id)
	}
}
