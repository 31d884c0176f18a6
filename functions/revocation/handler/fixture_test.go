package handler

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/identity"
	"bindery/shared/memory"
	"bindery/shared/revoke"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is the real handler over tables in memory.
type fixture struct {
	*Handler
	tables *memory.DB
	log    *strings.Builder
}

func newFixture() *fixture {
	f := &fixture{tables: memory.New(func() time.Time { return noon }), log: &strings.Builder{}}
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	now := func() time.Time { return noon }
	f.Handler = &Handler{now: now, log: slog.New(slog.NewJSONHandler(f.log, plain)),
		people: &identity.Document{Issuers: []identity.Issuer{{Name: "corp", Issuer: "https://login.example.com",
			Claims: identity.Claims{Groups: "groups"}, Groups: map[string]string{"00g1": "team-a"}}}},
		revoker: &revoke.Revoker{Environment: "prod", Markers: f.tables, Reader: f.tables, Cases: f.tables, Journal: broker.NewJournal(f.tables, rand.Text), Now: now}}
	return f
}

// client asks the handler as the admin function does, through Lambda's JSON.
func (f *fixture) client() revoke.Client { return revoke.Client{Invoke: f.Invoke} }

// cases are all that there are.
func (f *fixture) cases(t *testing.T) []broker.Revocation {
	t.Helper()
	found, err := f.tables.RevocationsOf(t.Context(), "prod", "", broker.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (f *fixture) marker(t *testing.T, kind broker.MarkerKind, id string) broker.Marker {
	t.Helper()
	found, err := f.tables.Markers(t.Context(), "prod", []broker.MarkerKey{{Kind: kind, ID: id}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		return broker.Marker{}
	}
	return found[0]
}

// request is an event of the bus, as text.
func request(t *testing.T, id string, detail any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(map[string]any{"version": "0", "id": id, "detail-type": DetailType, "source": "example.hr", "account": "111122223333",
		"time": "2026-03-01T11:59:58Z", "region": "eu-west-1", "resources": []string{}, "detail": detail})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
