package wire

import (
	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/egress"
)

// Upstreams gives clients for upstreams, one for each set of opened networks.
type Upstreams struct {
	pool   *egress.Pool
	policy egress.Policy
}

// NewUpstreams keeps at most size clients warm.
func NewUpstreams(c config.Config, size int) Upstreams {
	policy := egress.Policy{Loopback: c.Local}
	return Upstreams{egress.NewPool(policy, size), policy}
}

// For checks the server's URL and gives the client for its networks.
func (u Upstreams) For(server *broker.Server) (egress.Doer, error) {
	policy := u.policy
	policy.Networks = server.Networks
	if _, err := egress.ParseURL(server.URL, policy); err != nil {
		return nil, err
	}
	return u.pool.For(server.Networks), nil
}
