package wire

import (
	"fmt"
	"net/netip"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/egress"
	"bindery/shared/stores/env"
	"bindery/shared/stores/vault"
)

// storePools is how many distinct sets of networks that stores open are kept warm.
const storePools = 16

// storeClients gives the client for the networks that a store opens.
func storeClients(c config.Config) func([]netip.Prefix) vault.Client {
	pool := egress.NewPool(egress.Policy{Loopback: c.Local}, storePools)
	return func(opened []netip.Prefix) vault.Client { return pool.For(opened) }
}

// CheckStore is what a store must meet to be registered in this deployment.
func CheckStore(c config.Config) func(broker.Store) error {
	return func(s broker.Store) error {
		if s.Address != "" {
			if _, err := egress.ParseURL(s.Address, egress.Policy{Loopback: c.Local, Networks: s.Networks}); err != nil {
				return fmt.Errorf("%w store address: %w", broker.ErrInvalid, err)
			}
		}
		switch s.Kind {
		case "vault":
			return vault.Check(s)
		case "env":
			if err := env.Check(s); err != nil {
				return err
			}
		case "aws-sm", "sealed":
		default:
			return fmt.Errorf("%w store: there is no kind of this name", broker.ErrInvalid)
		}
		if s.Address != "" {
			return fmt.Errorf("%w store: only Vault has an address", broker.ErrInvalid)
		}
		return nil
	}
}
