package dynamo

import (
	"fmt"

	"bindery/shared/broker"
)

// unread counts the rows of a list that do not decode.
type unread struct{ broker.PassedOver }

func (u *unread) add(err error) {
	u.Rows++
	u.Err = err
}

// err is nil where all could be read.
func (u *unread) err(doing string) error {
	if u.Rows == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, &u.PassedOver)
}

// What decode needs to know of each row of the catalogue.

func decodeEnvironment(shard int) func(attributes) (broker.Environment, error) {
	return func(a attributes) (broker.Environment, error) {
		return decode(a, environmentRow.value, func(e broker.Environment) key { return environmentKey(e.Name, shard) })
	}
}

func decodeStore(shard int) func(attributes) (broker.Store, error) {
	return func(a attributes) (broker.Store, error) {
		return decode(a, storeRow.value, func(v broker.Store) key { return storeKey(v.Environment, v.Name, shard) })
	}
}

func decodeServer(a attributes) (broker.Server, error) {
	return decode(a, serverRow.value, func(v broker.Server) key {
		return serverKey(broker.Route{Environment: v.Environment, Server: v.Name})
	})
}

func decodeAgent(a attributes) (broker.Agent, error) {
	return decode(a, agentRow.value, func(v broker.Agent) key { return agentKey(v.Environment, v.ID) })
}

func decodeTool(a attributes) (broker.Tool, error) {
	return decode(a, toolRow.value, func(v broker.Tool) key {
		return toolKey(broker.Route{Environment: v.Environment, Server: v.Server}, v.Name)
	})
}
