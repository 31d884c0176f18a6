package storesuite

import (
	"context"
	"fmt"
	"strings"

	"bindery/shared/broker"
)

// listing is one kind of row that can be listed. A row is told by its name,
// and altered by its version and state alone.
type listing struct {
	names []string
	put   func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error
	list  func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error)
	one   func(ctx context.Context, s Stores, environment, name string) (entry, error)
}

// entry is what of a row is looked at.
type entry struct {
	Name    string
	Version int64
	State   broker.State
}

// plainNames are allowed everywhere; wildNames try what escaping and sorting
// could confuse.
var (
	plainNames = []string{"a", "a-", "a-b", "a0", "ab", "b", "0", "-", "zz", strings.Repeat("z", broker.MaxName)}
	wildNames  = []string{"a", "A", "a/", "a/b", "a%2Fb", "a%", "a#b", "a b", "a ", "a!", "a$", "a-b", "a0", "ab", "a~", "é", "\x00", "a\x00",
		"/", "%", "~", "\uFFFF", "日本", strings.Repeat("/", broker.MaxID), strings.Repeat("~", broker.MaxID)}
)

func entriesOf[V any](rows []V, err error, of func(V) entry) ([]entry, error) {
	if err != nil && rows != nil {
		return nil, fmt.Errorf("%d rows were given beside %w", len(rows), err)
	}
	var entries []entry
	for _, v := range rows {
		entries = append(entries, of(v))
	}
	return entries, err
}

func entryOf[V any](v V, err error, of func(V) entry) (entry, error) { return of(v), err }

func ofStore(v broker.Store) entry     { return entry{v.Name, v.Version, v.State} }
func ofServer(v broker.Server) entry   { return entry{v.Name, v.Version, v.State} }
func ofAgent(v broker.Agent) entry     { return entry{v.ID, v.Version, v.State} }
func ofTool(v broker.Tool) entry       { return entry{v.Name, v.Version, v.State} }
func ofBinding(v broker.Binding) entry { return entry{v.Name, v.Version, v.State} }

func github(environment string) broker.Route {
	return broker.Route{Environment: environment, Server: "github"}
}

var listings = map[string]listing{
	"stores": {
		names: plainNames,
		put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
			v := fullStore(environment)
			v.Name, v.Version, v.State = name, version, state
			return s.Writer.PutStore(ctx, v)
		},
		list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
			rows, err := s.Reader.Stores(ctx, environment, p)
			return entriesOf(rows, err, ofStore)
		},
		one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
			v, err := s.Reader.Store(ctx, environment, name)
			return entryOf(v, err, ofStore)
		},
	},
	"servers": {
		names: plainNames,
		put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
			v := fullServer(environment)
			v.Name, v.Version, v.State = name, version, state
			return s.Writer.PutServer(ctx, v)
		},
		list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
			rows, err := s.Reader.Servers(ctx, environment, p)
			return entriesOf(rows, err, ofServer)
		},
		one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
			v, err := s.Reader.Server(ctx, broker.Route{Environment: environment, Server: name})
			return entryOf(v, err, ofServer)
		},
	},
	"assignments": assignmentListing,
	"incidents":   incidentListing,
	"plans":       planListing,
	"providers":   providerListing,
	"agents": {
		names: wildNames,
		put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
			v := fullAgent(environment)
			v.ID, v.Version, v.State = name, version, state
			return s.Writer.PutAgent(ctx, v)
		},
		list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
			rows, err := s.Reader.Agents(ctx, environment, p)
			return entriesOf(rows, err, ofAgent)
		},
		one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
			v, err := s.Reader.Agent(ctx, environment, name)
			return entryOf(v, err, ofAgent)
		},
	},
	"tools": {
		names: wildNames,
		put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
			v := fullTool(environment)
			v.Name, v.Version, v.State = name, version, state
			return s.Writer.PutTool(ctx, v)
		},
		list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
			rows, err := s.Reader.Tools(ctx, github(environment), p)
			return entriesOf(rows, err, ofTool)
		},
		one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
			v, err := s.Reader.Tool(ctx, github(environment), name)
			return entryOf(v, err, ofTool)
		},
	},
	"bindings": {
		names: plainNames,
		// Each version is somebody else's, and one in three everybody's.
		put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
			actors := []broker.Actor{group, ofAlice, ofBob}
			v := fullBinding(environment, name, actors[(len(name)+int(version))%len(actors)])
			v.Version, v.State = version, state
			return s.Writer.PutBinding(ctx, v)
		},
		list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
			rows, err := s.Reader.Bindings(ctx, github(environment), p)
			return entriesOf(rows, err, ofBinding)
		},
		one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
			v, err := s.Reader.Binding(ctx, github(environment), name)
			return entryOf(v, err, ofBinding)
		},
	},
}
