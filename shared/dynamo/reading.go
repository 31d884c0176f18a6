package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
)

// What is kept in eight copies is read from the first: it is where writers
// meet, and the version it holds is the one that the next Put has to name.
const firstShard = 0

func checkRoute(r broker.Route) error {
	_, err := broker.ParseRoute(r.Environment, r.Server)
	return err
}

// one reads one row of the catalogue.
func one[T any](ctx context.Context, s *DB, doing string, invalid error, k key, read func(attributes) (T, error)) (T, error) {
	var none T
	if invalid != nil {
		return none, invalid
	}
	a, err := s.get(ctx, doing, s.tables.Catalogue, k)
	switch {
	case err != nil:
		return none, err
	case a == nil:
		return none, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
	}
	v, err := read(a)
	if err != nil {
		return none, fmt.Errorf("%s: %w", doing, err)
	}
	return v, nil
}

// Environment implements broker.CatalogueReader.
func (s *DB) Environment(ctx context.Context, name string) (broker.Environment, error) {
	return one(ctx, s, "read the environment", broker.CheckName("environment", name), environmentKey(name, firstShard), decodeEnvironment(firstShard))
}

// Store implements broker.CatalogueReader.
func (s *DB) Store(ctx context.Context, environment, name string) (broker.Store, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckName("store", name))
	return one(ctx, s, "read the store", invalid, storeKey(environment, name, firstShard), decodeStore(firstShard))
}

// Server implements broker.CatalogueReader.
func (s *DB) Server(ctx context.Context, r broker.Route) (broker.Server, error) {
	return one(ctx, s, "read the server", checkRoute(r), serverKey(r), decodeServer)
}

// Agent implements broker.CatalogueReader.
func (s *DB) Agent(ctx context.Context, environment, id string) (broker.Agent, error) {
	invalid := cmp.Or(broker.CheckName("environment", environment), broker.CheckID("agent", id))
	return one(ctx, s, "read the agent", invalid, agentKey(environment, id), decodeAgent)
}

// Tool implements broker.CatalogueReader.
func (s *DB) Tool(ctx context.Context, r broker.Route, name string) (broker.Tool, error) {
	invalid := cmp.Or(checkRoute(r), broker.CheckID("tool", name))
	return one(ctx, s, "read the tool", invalid, toolKey(r, name), decodeTool)
}

// Binding implements broker.CatalogueReader.
func (s *DB) Binding(ctx context.Context, r broker.Route, name string) (broker.Binding, error) {
	if err := cmp.Or(checkRoute(r), broker.CheckName("binding", name)); err != nil {
		return broker.Binding{}, err
	}
	return s.binding(ctx, "read the binding", r, name)
}

// binding follows the head to the current row. Both change in one transaction,
// but are read one after the other: where the row is not, the binding has moved
// in between, and then its head has changed too.
func (s *DB) binding(ctx context.Context, doing string, r broker.Route, name string) (broker.Binding, error) {
	var last head
	for range transactions {
		h, err := s.head(ctx, doing, r, name)
		switch {
		case err != nil:
			return broker.Binding{}, err
		case h.version == 0:
			return broker.Binding{}, fmt.Errorf("%s: %w", doing, broker.ErrNotFound)
		case h == last:
			return broker.Binding{}, fmt.Errorf("%s: %w: it is not where its head says", doing, broker.ErrUndecodable)
		}
		last = h
		a, err := s.get(ctx, doing, s.tables.Catalogue, bindingKey(r, h.principal, name))
		if err != nil {
			return broker.Binding{}, err
		}
		if a == nil {
			continue
		}
		b, err := decodeCurrent(a)
		if err != nil {
			return broker.Binding{}, fmt.Errorf("%s: %w", doing, err)
		}
		return b, nil
	}
	return broker.Binding{}, fmt.Errorf("%s: %w: it keeps moving", doing, broker.ErrUnavailable)
}

// list reads one page of the rows of a partition whose sort key begins with
// kind and a slash.
func list[T any](ctx context.Context, s *DB, doing, partition, kind string, p broker.Page, read func(attributes) (T, error)) ([]T, error) {
	first, last := after(kind, p.After)
	return between(ctx, s, doing, s.tables.Catalogue, partition, first, last, p.Limit, read)
}

// between reads so many rows of a partition whose sort keys lie within bounds.
func between[T any](ctx context.Context, s *DB, doing, table, partition, first, last string, limit int, read func(attributes) (T, error)) ([]T, error) {
	in := &dynamodb.QueryInput{
		TableName:              aws.String(table),
		KeyConditionExpression: aws.String("pk = :pk AND sk BETWEEN :first AND :last"),
		ExpressionAttributeValues: attributes{":pk": &types.AttributeValueMemberS{Value: partition},
			":first": &types.AttributeValueMemberS{Value: first}, ":last": &types.AttributeValueMemberS{Value: last}},
		ConsistentRead: aws.Bool(true),
	}
	var rows []T
	for {
		in.Limit = aws.Int32(int32(limit - len(rows)))
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, fault(doing, err)
		}
		for _, a := range out.Items {
			v, err := read(a)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", doing, err)
			}
			rows = append(rows, v)
		}
		if len(rows) >= limit || len(out.LastEvaluatedKey) == 0 {
			return rows, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// passing is between for lists that pass over what does not decode: so many rows
// that do, and what stood before the last of them and did not.
func passing[T any](ctx context.Context, s *DB, doing, table, partition, first, last string, limit int, read func(attributes) (T, error)) (rows []T, passed unread, err error) {
	err = s.rowsBetween(ctx, doing, table, partition, first, last, 0, func(_ string, a attributes) (bool, error) {
		v, err := read(a)
		if err != nil {
			passed.add(err)
			return true, nil
		}
		rows = append(rows, v)
		return len(rows) < limit, nil
	})
	return rows, passed, err
}

// rows reads the rows of the catalogue that are there, by their keys.
func rows[T any](ctx context.Context, s *DB, doing string, keys []key, read func(attributes) (T, error)) (map[key]T, error) {
	found := make(map[key]T, len(keys))
	for some := range slices.Chunk(keys, batchKeys) {
		err := s.batch(ctx, doing, map[string][]key{s.tables.Catalogue: some}, func(k key, a attributes) error {
			v, err := read(a)
			found[k] = v
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Stores implements broker.CatalogueReader.
func (s *DB) Stores(ctx context.Context, environment string, p broker.Page) ([]broker.Store, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the stores", environmentPartition(environment, firstShard), "store", p, decodeStore(firstShard))
}

// Agents implements broker.CatalogueReader.
func (s *DB) Agents(ctx context.Context, environment string, p broker.Page) ([]broker.Agent, error) {
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the agents", agentPartition(environment), "id", p, decodeAgent)
}

// Tools implements broker.CatalogueReader.
func (s *DB) Tools(ctx context.Context, r broker.Route, p broker.Page) ([]broker.Tool, error) {
	if err := cmp.Or(checkRoute(r), p.Check()); err != nil {
		return nil, err
	}
	return list(ctx, s, "list the tools", toolPartition(r), "name", p, decodeTool)
}

// Servers implements broker.CatalogueReader. An entry of the index whose server
// was never stored is passed over, and the page filled from further on.
func (s *DB) Servers(ctx context.Context, environment string, p broker.Page) ([]broker.Server, error) {
	const doing = "list the servers"
	if err := cmp.Or(broker.CheckName("environment", environment), p.Check()); err != nil {
		return nil, err
	}
	var servers []broker.Server
	for {
		left := broker.Page{After: p.After, Limit: p.Limit - len(servers)}
		entries, err := list(ctx, s, doing, serversPartition(environment), "name", left, decodeIndex)
		if err != nil {
			return nil, err
		}
		keys := make([]key, len(entries))
		for i, e := range entries {
			keys[i] = serverKey(broker.Route(e))
		}
		found, err := rows(ctx, s, doing, keys, decodeServer)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if v, ok := found[k]; ok {
				servers = append(servers, v)
			}
		}
		if len(servers) == p.Limit || len(entries) < left.Limit {
			return servers, nil
		}
		p.After = entries[len(entries)-1].Server
	}
}

// Bindings implements broker.CatalogueReader.
func (s *DB) Bindings(ctx context.Context, r broker.Route, p broker.Page) ([]broker.Binding, error) {
	const doing = "list the bindings"
	if err := cmp.Or(checkRoute(r), p.Check()); err != nil {
		return nil, err
	}
	heads, err := list(ctx, s, doing, historyPartition(r), "head", p, decodeHead)
	if err != nil {
		return nil, err
	}
	keys := make([]key, len(heads))
	for i, h := range heads {
		keys[i] = bindingKey(r, h.principal, h.name)
	}
	found, err := rows(ctx, s, doing, keys, decodeCurrent)
	if err != nil {
		return nil, err
	}
	bindings := make([]broker.Binding, len(heads))
	for i, h := range heads {
		b, ok := found[keys[i]]
		if !ok {
			if b, err = s.binding(ctx, doing, r, h.name); err != nil {
				return nil, err
			}
		}
		bindings[i] = b
	}
	return bindings, nil
}
