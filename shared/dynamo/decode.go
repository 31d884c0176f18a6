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

// join adds what another list passed over.
func (u *unread) join(other unread) {
	if other.Rows > 0 {
		u.Rows, u.Err = u.Rows+other.Rows, other.Err
	}
}

// listing is a page of some rows under way: one more than is wanted, which says that
// there is another page, and how many on it do not decode.
type listing[T any] struct {
	limit   int
	rows    []T
	passed  unread
	further unread // behind the last row that is wanted: of the next page, if there is one
}

// add takes the next row as it was read, and reports whether more are needed.
func (l *listing[T]) add(v T, err error) (more bool) {
	switch {
	case err == nil:
		l.rows = append(l.rows, v)
	case len(l.rows) < l.limit:
		l.passed.add(err)
	default:
		l.further.add(err)
	}
	return len(l.rows) <= l.limit
}

// page gives the rows, the token of the last one where more follow, and what was
// passed over. A page ends only with a row that decodes: the token of another would
// be whatever somebody wrote.
func (l *listing[T]) page(doing string, token func(T) string) (rows []T, next string, err error) {
	if len(l.rows) > l.limit {
		l.rows = l.rows[:l.limit]
		return l.rows, token(l.rows[l.limit-1]), l.passed.err(doing)
	}
	l.passed.join(l.further)
	return l.rows, "", l.passed.err(doing)
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
