package storesuite

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

var leaked = time.Date(2026, 4, 5, 6, 7, 8, 9, time.UTC)

func fullIncident(environment, id string) broker.Incident {
	return broker.Incident{Environment: environment, ID: id, State: broker.Active, Reference: reference("aws-sm:prod/github"),
		By: alice, Reason: "in a public repository <main>", At: leaked, Revocation: "01KJMMA2G10000000000000001", Stopped: leaked.Add(time.Second),
		Rotation: "01KJMMA2G10000000000000002", NoRotation: "no plan"}
}

var incidentKind = kind{
	put: func(ctx context.Context, w Stores, environment string, version int64, state broker.State, mark int) error {
		v := fullIncident(environment, "one")
		v.Version, v.State, v.Reason = version, state, text(mark)
		return w.Incidents.PutIncident(ctx, v)
	},
	read: func(b *bench, environment string) (int64, broker.State, int, bool) {
		b.Helper()
		all, err := b.Incidents.Incidents(b.Context(), environment, broker.Page{Limit: 2})
		b.must(err)
		if len(all) != 1 {
			return 0, "", 0, false
		}
		return all[0].Version, all[0].State, unmark(all[0].Reason), true
	},
}

func ofIncident(v broker.Incident) entry { return entry{v.ID, v.Version, v.State} }

var incidentListing = listing{
	names: wildNames,
	put: func(ctx context.Context, s Stores, environment, name string, version int64, state broker.State) error {
		v := fullIncident(environment, name)
		v.Version, v.State = version, state
		return s.Incidents.PutIncident(ctx, v)
	},
	list: func(ctx context.Context, s Stores, environment string, p broker.Page) ([]entry, error) {
		rows, err := s.Incidents.Incidents(ctx, environment, p)
		return entriesOf(rows, err, ofIncident)
	},
	one: func(ctx context.Context, s Stores, environment, name string) (entry, error) {
		v, err := s.Incidents.Incident(ctx, environment, name)
		return entryOf(v, err, ofIncident)
	},
}

func testIncidents(t *testing.T, backend Factory) {
	each(t, backend, map[string]func(*bench){
		"every field of an incident comes back":        testIncidentWhole,
		"incidents that nobody could read are refused": testIncidentRefused,
	})
}

func testIncidentWhole(b *bench) {
	for name, want := range map[string]broker.Incident{
		"full":     fullIncident(b.environment, "full"),
		"smallest": {Environment: b.environment, ID: "smallest", State: broker.Active, Reference: reference("sealed:x"), By: alice, At: leaked},
	} {
		b.must(b.Incidents.PutIncident(b.Context(), want))
		want.Version = 1
		got, err := b.Incidents.Incident(b.Context(), b.environment, name)
		b.must(err)
		if d := cmp.Diff(want, got, compare); d != "" {
			b.Fatal(d)
		}
	}
	_, err := b.Incidents.Incident(b.Context(), b.environment, "none")
	b.wants(err, broker.ErrNotFound)
}

func testIncidentRefused(b *bench) {
	for name, spoil := range map[string]func(*broker.Incident){
		"no id":                func(v *broker.Incident) { v.ID = "" },
		"no environment":       func(v *broker.Incident) { v.Environment = "" },
		"no reference":         func(v *broker.Incident) { v.Reference = broker.Reference{} },
		"a reference with key": func(v *broker.Incident) { v.Reference = reference("aws-sm:prod/github#token") },
		"nobody":               func(v *broker.Incident) { v.By = "" },
		"no time":              func(v *broker.Incident) { v.At = time.Time{} },
		"a reason of no text":  func(v *broker.Incident) { v.Reason = "\xff" },
		"an unknown state":     func(v *broker.Incident) { v.State = "alive" },
	} {
		v := fullIncident(b.environment, "one")
		spoil(&v)
		if err := b.Incidents.PutIncident(b.Context(), v); err == nil {
			b.Fatalf("%s: stored", name)
		} else {
			b.wants(err, broker.ErrInvalid)
		}
	}
	all, err := b.Incidents.Incidents(b.Context(), b.environment, broker.Page{Limit: 1})
	b.must(err)
	if len(all) != 0 {
		b.Fatalf("stored: %+v", all)
	}
}
