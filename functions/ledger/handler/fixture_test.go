package handler

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/memory"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is the real handler over an index in memory and an audit table that is
// a list.
type fixture struct {
	*Handler
	tables *memory.DB
	table  *table
	log    *strings.Builder
}

func newFixture() *fixture {
	f := &fixture{tables: memory.New(func() time.Time { return noon }), table: &table{}, log: &strings.Builder{}}
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	f.Handler = &Handler{environment: "prod", index: f.tables, audit: f.table, evidence: f.tables, intents: f.tables, journal: broker.NewJournal(f.tables, rand.Text), log: slog.New(slog.NewJSONHandler(f.log, plain)), now: func() time.Time { return noon }}
	return f
}

// ask hands an event over as Lambda does, and gives the answer as it goes back.
func (f *fixture) ask(t *testing.T, event string) (string, error) {
	t.Helper()
	answer, err := f.Handle(t.Context(), json.RawMessage(event))
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), nil
}

// entries is what the index holds.
func (f *fixture) entries(t *testing.T) []broker.Entry {
	t.Helper()
	page, err := f.tables.Entries(t.Context(), broker.AuditFilter{Environment: "prod", From: noon.AddDate(-1, 0, 0), To: noon.AddDate(1, 0, 0)}, "", broker.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries
}

// table is an audit table in the order of its scan, which is that of its keys.
type table struct {
	rows  []broker.Record
	spoil []string // receipts of rows that are no records, given with the first page
	fails int      // requests from here on: this one fails
	asked func()
}

func (a *table) ScanRecords(_ context.Context, of dynamo.Segment, limit int) (dynamo.ScanPage, error) {
	if a.asked != nil {
		a.asked()
	}
	if a.fails--; a.fails == 0 {
		return dynamo.ScanPage{}, fmt.Errorf("scan the audit table: %w", broker.ErrUnavailable)
	}
	name := func(r broker.Record) string { return r.Receipt + "/" + string(r.Phase) }
	rows := slices.SortedFunc(slices.Values(a.rows), func(x, y broker.Record) int { return cmp.Compare(name(x), name(y)) })
	var page dynamo.ScanPage
	if of.After == nil {
		for _, receipt := range a.spoil {
			page.Unreadable = append(page.Unreadable, dynamo.ScanPlace{Receipt: receipt})
		}
	}
	for i, r := range rows {
		if i%of.Segments != of.Segment || of.After != nil && name(r) <= of.After.Receipt+"/"+string(of.After.Phase) {
			continue
		}
		if len(page.Records) == limit {
			last := page.Records[limit-1]
			page.Next = &dynamo.ScanPlace{Receipt: last.Receipt, Phase: last.Phase}
			break
		}
		page.Records = append(page.Records, r)
	}
	return page, nil
}

// calls makes records of n calls that ended well.
func calls(n int) []broker.Record {
	var records []broker.Record
	for i := range n {
		receipt := fmt.Sprintf("%s%016d", broker.FirstReceipt(noon.Add(time.Duration(i)*time.Millisecond)), i)
		for _, phase := range []broker.Phase{broker.Intent, broker.Outcome} {
			records = append(records, broker.Record{Schema: broker.RecordSchema, Receipt: receipt, Phase: phase, Nonce: "n", At: noon,
				Environment: "prod", Server: "github", Principal: "p-alice", Kind: broker.User})
		}
	}
	return records
}
