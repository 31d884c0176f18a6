package storesuite

import (
	"context"
	"reflect"
	"strings"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// readers read the rows that fill stores, each by itself.
func (b *bench) readers(environment string) map[string]func() (any, error) {
	ctx, r := b.Context(), github(environment)
	return map[string]func() (any, error){
		"environment":      func() (any, error) { return b.Reader.Environment(ctx, environment) },
		"store":            func() (any, error) { return b.Reader.Store(ctx, environment, "aws-sm") },
		"server":           func() (any, error) { return b.Reader.Server(ctx, r) },
		"agent":            func() (any, error) { return b.Reader.Agent(ctx, environment, robot) },
		"tool":             func() (any, error) { return b.Reader.Tool(ctx, r, tool) },
		"shared binding":   func() (any, error) { return b.Reader.Binding(ctx, r, "shared") },
		"personal binding": func() (any, error) { return b.Reader.Binding(ctx, r, "personal") },
	}
}

func testReadWhole(b *bench) {
	s := fill(b, b.environment)
	want := map[string]any{"environment": *s.Environment, "store": s.Stores[0], "server": *s.Server, "agent": *s.Agent, "tool": *s.Tool,
		"shared binding": s.Shared[0], "personal binding": s.Personal[0]}
	for name, read := range b.readers(b.environment) {
		got, err := read()
		b.must(err)
		if d := cmp.Diff(want[name], got, compare); d != "" {
			b.Fatalf("%s: %s", name, d)
		}
	}
	ctx, all := b.Context(), broker.Page{Limit: broker.MaxPage}
	lists := map[string]func() (any, error){
		"stores":   func() (any, error) { return b.Reader.Stores(ctx, b.environment, all) },
		"servers":  func() (any, error) { return b.Reader.Servers(ctx, b.environment, all) },
		"agents":   func() (any, error) { return b.Reader.Agents(ctx, b.environment, all) },
		"tools":    func() (any, error) { return b.Reader.Tools(ctx, b.route(), all) },
		"bindings": func() (any, error) { return b.Reader.Bindings(ctx, b.route(), all) },
	}
	want = map[string]any{"stores": s.Stores, "servers": []broker.Server{*s.Server}, "agents": []broker.Agent{*s.Agent},
		"tools": s.Tools, "bindings": []broker.Binding{s.Personal[0], s.Shared[0]}}
	for name, list := range lists {
		got, err := list()
		b.must(err)
		if d := cmp.Diff(want[name], got, compare); d != "" {
			b.Fatalf("%s: %s", name, d)
		}
	}
}

func testReadAbsent(b *bench) {
	fill(b, b.other)
	for name, read := range b.readers(b.environment) {
		got, err := read()
		b.wants(err, broker.ErrNotFound)
		if !reflect.ValueOf(got).IsZero() {
			b.Fatalf("%s: %+v", name, got)
		}
	}
	_, err := b.Reader.Binding(b.Context(), broker.Route{Environment: b.other, Server: "jira"}, "shared")
	b.wants(err, broker.ErrNotFound)
	jira, err := b.Reader.Bindings(b.Context(), broker.Route{Environment: b.other, Server: "jira"}, broker.Page{Limit: 1})
	b.must(err)
	tools, err := b.Reader.Tools(b.Context(), broker.Route{Environment: b.other, Server: "jira"}, broker.Page{Limit: 1})
	b.must(err)
	if len(jira) != 0 || len(tools) != 0 {
		b.Fatalf("listed from another server: %+v, %+v", jira, tools)
	}
}

func testReadRefused(b *bench) {
	ctx, long := b.Context(), strings.Repeat("x", 4096)
	for _, bad := range []string{"", "\xff", long} {
		for name, read := range map[string]func() error{
			"environment": func() error { _, err := b.Reader.Environment(ctx, bad); return err },
			"store":       func() error { _, err := b.Reader.Store(ctx, b.environment, bad); return err },
			"server": func() error {
				_, err := b.Reader.Server(ctx, broker.Route{Environment: b.environment, Server: bad})
				return err
			},
			"agent":             func() error { _, err := b.Reader.Agent(ctx, b.environment, bad); return err },
			"tool":              func() error { _, err := b.Reader.Tool(ctx, b.route(), bad); return err },
			"binding":           func() error { _, err := b.Reader.Binding(ctx, b.route(), bad); return err },
			"tool of nowhere":   func() error { _, err := b.Reader.Tool(ctx, github(bad), tool); return err },
			"agent of nowhere":  func() error { _, err := b.Reader.Agent(ctx, bad, robot); return err },
			"store of nowhere":  func() error { _, err := b.Reader.Store(ctx, bad, "aws-sm"); return err },
			"server of nowhere": func() error { _, err := b.Reader.Server(ctx, github(bad)); return err },
		} {
			if err := read(); err == nil {
				b.Fatalf("%s %.10q was read", name, bad)
			} else {
				b.wants(err, broker.ErrInvalid)
			}
		}
	}
}

func testReadMoved(b *bench) {
	for version, actor := range []broker.Actor{group, ofAlice, ofBob, ofBob, anyone, ofAlice} {
		card := fullBinding(b.environment, "card", actor)
		card.Version = int64(version)
		b.must(b.Writer.PutBinding(b.Context(), card))
		card.Version++
		got, err := b.Reader.Binding(b.Context(), b.route(), "card")
		b.must(err)
		listed, err := b.Reader.Bindings(b.Context(), b.route(), broker.Page{Limit: 2})
		b.must(err)
		if d := cmp.Diff([]broker.Binding{card, card}, append(listed, got), compare); d != "" {
			b.Fatal(d)
		}
	}
}

func testReadEnvironment(b *bench) {
	for version, state := range []broker.State{broker.Active, broker.Suspended, broker.Deleted} {
		e := broker.Environment{Name: b.environment, Version: int64(version), State: state}
		b.must(b.Writer.PutEnvironment(b.Context(), e))
		e.Version++
		got, err := b.Reader.Environment(b.Context(), b.environment)
		b.must(err)
		if got != e {
			b.Fatalf("read: %+v, want %+v", got, e)
		}
	}
}

func testReadUnavailable(b *bench) {
	fill(b, b.environment)
	heal := b.Fail()
	defer heal()
	for name, read := range b.readers(b.environment) {
		got, err := read()
		b.wants(err, broker.ErrUnavailable)
		if !reflect.ValueOf(got).IsZero() {
			b.Fatalf("%s: %+v", name, got)
		}
	}
	for _, l := range listings {
		_, err := l.list(b.Context(), b.Stores, b.environment, broker.Page{Limit: 1})
		b.wants(err, broker.ErrUnavailable)
	}
	gone, cancel := context.WithCancel(b.Context())
	heal()
	cancel()
	_, err := b.Reader.Servers(gone, b.environment, broker.Page{Limit: 1})
	b.wants(err, broker.ErrUnavailable)
}
