package dynamo

import (
	"context"
	"errors"

	"bindery/shared/broker"
)

// indexRow is a server's entry in the list of its environment.
type indexRow struct {
	item
	Environment string `dynamodbav:"environment"`
	Server      string `dynamodbav:"server"`
}

// indexed is the decoded indexRow.
type indexed broker.Route

func newIndexRow(r broker.Route) indexRow {
	return indexRow{indexKey(r).item(), r.Environment, r.Server}
}

func (r indexRow) value() (indexed, error) {
	return indexed{Environment: r.Environment, Server: r.Server}, nil
}

// Check implements what decode asks for.
func (i indexed) Check() error { return checkRoute(broker.Route(i)) }

func decodeIndex(a attributes) (indexed, error) {
	return decode(a, indexRow.value, func(i indexed) key { return indexKey(broker.Route(i)) })
}

// index enters a server into the list of its environment, if it is not in it.
func (s *DB) index(ctx context.Context, r broker.Route) error {
	return s.enter(ctx, "put the server into the index", s.tables.Catalogue, newIndexRow(r))
}

// enter puts a row that never changes, if it is not there.
func (s *DB) enter(ctx context.Context, doing, table string, row any) error {
	item, err := encode(doing, row)
	if err != nil {
		return err
	}
	if _, err := s.tryPut(ctx, doing, table, item, absent()); !errors.Is(err, broker.ErrConflict) {
		return err
	}
	return nil
}
