package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// at makes the records of one call, so long before noon, in these phases.
func at(before time.Duration, number int, phases ...broker.Phase) []broker.Record {
	var records []broker.Record
	for _, phase := range phases {
		when := noon.Add(-before)
		records = append(records, broker.Record{Schema: broker.RecordSchema, Receipt: fmt.Sprintf("%s%016d", broker.FirstReceipt(when), number),
			Phase: phase, Nonce: "n", At: when, Environment: "prod", Server: "github", Binding: "dev-github", Principal: "p-alice", Kind: broker.User,
			Method: "tools/call", Action: broker.CallTool, Target: "create_issue"})
	}
	return records
}

// happened puts records into the audit table and, unless they are late, the index.
func (f *fixture) happened(t *testing.T, late bool, records ...broker.Record) {
	t.Helper()
	for _, r := range records {
		if err := f.tables.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if !late {
		if err := f.tables.IndexRecords(t.Context(), records); err != nil {
			t.Fatal(err)
		}
	}
}

// told gives the receipts that facts were told of, each as often as it was.
func (f *fixture) told(t *testing.T) []string {
	t.Helper()
	var of []string
	for _, r := range f.tables.Log() {
		if r.Method == string(broker.IntentWithoutOutcome) {
			var d Omission
			if err := json.Unmarshal([]byte(r.After), &d); err != nil || r.Object != "receipt/"+d.Receipt {
				t.Fatal(err, r)
			}
			of = append(of, d.Receipt)
		}
	}
	return of
}

// listed is what the admin API finds of it.
func (f *fixture) listed(t *testing.T) (found []string) {
	t.Helper()
	page, err := f.tables.Entries(t.Context(), broker.AuditFilter{Environment: "prod", From: noon.AddDate(-1, 0, 0), To: noon.AddDate(1, 0, 0), WithoutOutcome: true}, "", broker.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		found = append(found, e.Receipt)
	}
	return found
}

const lookEvent = `{"task":"intents"}`

func (f *fixture) looks(t *testing.T) looked {
	t.Helper()
	text, err := f.ask(t, lookEvent)
	if err != nil {
		t.Fatal(err)
	}
	var l looked
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAnIntentWithoutOutcomeIsToldOnceAndListed(t *testing.T) {
	f := newFixture()
	lost := at(3*time.Hour, 1, broker.Intent)
	f.happened(t, false, lost...)
	f.happened(t, false, at(3*time.Hour, 2, broker.Intent, broker.Outcome)...)
	f.happened(t, false, at(3*time.Hour, 3, broker.Refused)...)
	f.happened(t, false, at(broker.IntentOverdue-time.Minute, 4, broker.Intent)...) // under way
	want := []string{lost[0].Receipt}
	if l := f.looks(t); l.Without != 1 || !l.Done || !l.Until.Equal(noon.Add(-broker.IntentOverdue)) {
		t.Errorf("%+v", l)
	}
	if l := f.looks(t); l.Without != 0 || !l.Done {
		t.Errorf("the second look: %+v", l)
	}
	if d := cmp.Diff([][]string{want, want}, [][]string{f.told(t), f.listed(t)}); d != "" {
		t.Error(d)
	}
	if f.evidenceOf(t, lost[0]).Method == "" || strings.Contains(f.log.String(), "p-alice") {
		t.Error("the log names who called", f.log)
	}
}

// evidenceOf is the fact that an intent led to, as it would be an event.
func (f *fixture) evidenceOf(t *testing.T, intent broker.Record) broker.Record {
	t.Helper()
	e, err := broker.EntryOf(intent)
	if err != nil {
		t.Fatal(err)
	}
	records, err := f.tables.Receipt(t.Context(), omissionReceipt(e))
	if err != nil || len(records) != 1 || records[0].Server != "github" || records[0].Binding != "dev-github" || records[0].Principal != "" {
		t.Fatal(err, records)
	}
	return records[0]
}

func TestAnIndexThatLagsAccusesNobody(t *testing.T) {
	f := newFixture()
	call := at(3*time.Hour, 1, broker.Intent, broker.Outcome)
	f.happened(t, false, call[0])
	f.happened(t, true, call[1])
	if l := f.looks(t); l.Without != 0 || len(f.told(t)) != 0 || len(f.listed(t)) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestAnIntentThatIsIndexedLateIsFoundAllTheSame(t *testing.T) {
	for name, index := range map[string]func(*testing.T, *fixture, []broker.Record){
		"by the stream": func(t *testing.T, f *fixture, records []broker.Record) {
			if answer, err := f.ask(t, inserted(t, records)); err != nil || answer != `{"batchItemFailures":[]}` {
				t.Fatal(answer, err)
			}
		},
		"by a rebuild": func(t *testing.T, f *fixture, records []broker.Record) {
			f.table.rows = records
			if answer, err := f.ask(t, `{"rebuild":{"segment":0,"segments":1}}`); err != nil || !strings.Contains(answer, `"done":true`) {
				t.Fatal(answer, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			early, late := at(2*time.Hour, 1, broker.Intent), at(40*24*time.Hour, 2, broker.Intent)
			f.happened(t, false, early...)
			f.happened(t, true, late...)
			if l := f.looks(t); l.Without != 1 {
				t.Fatalf("%+v", l)
			}
			index(t, f, late)
			if l := f.looks(t); l.Without != 1 || !l.Done {
				t.Errorf("after it came: %+v", l)
			}
			if told := f.told(t); len(told) != 2 || told[0] == told[1] {
				t.Errorf("told of %v", told)
			}
		})
	}
}

func TestWhatIsIndexedInTimePutsNoLookBack(t *testing.T) {
	f := newFixture()
	f.looks(t)
	before := f.tables.Calls(memory.MoveLooked)
	if _, err := f.ask(t, inserted(t, at(time.Minute, 1, broker.Intent, broker.Outcome))); err != nil || f.tables.Calls(memory.MoveLooked) != before {
		t.Errorf("%v; the place of the look was moved", err)
	}
}

// TestALookThatDiesAnywhereTellsOnce has each write of a look fail, before and after
// it was applied, and looks again.
func TestALookThatDiesAnywhereTellsOnce(t *testing.T) {
	for _, op := range []memory.Op{memory.ReadLooked, memory.ReadEntries, memory.ReadReceipt, memory.Append, memory.AddWithoutOutcome, memory.MoveLooked} {
		for name, fault := range map[string]memory.Fault{"refused": memory.Refuse(), "answer lost": memory.Lose()} {
			t.Run(op.String()+", "+name, func(t *testing.T) {
				f := newFixture()
				lost := at(3*time.Hour, 1, broker.Intent)
				f.happened(t, false, lost...)
				for range 3 { // as often as a record is tried
					f.tables.Inject(op, fault)
				}
				if _, err := f.ask(t, lookEvent); err == nil && op != memory.Append {
					t.Error("the look says that it came to its end")
				}
				f.tables.Clear()
				f.looks(t)
				f.looks(t)
				want := []string{lost[0].Receipt}
				if d := cmp.Diff([][]string{want, want}, [][]string{f.told(t), f.listed(t)}); d != "" {
					t.Error(d)
				}
			})
		}
	}
}

func TestALookWithoutTimeGoesOnWhereItCameTo(t *testing.T) {
	f := newFixture()
	lost := at(3*time.Hour, 1, broker.Intent)
	f.happened(t, false, lost...)
	ctx, end := context.WithCancel(t.Context())
	f.tables.Inject(memory.MoveLooked, memory.Fault{}, memory.Fault{}, memory.Fault{Wait: func(context.Context) { end() }})
	answer, err := f.Handle(ctx, json.RawMessage(lookEvent))
	if err != nil || answer.(looked).Done || f.tables.Calls(memory.MoveLooked) != 3 {
		t.Fatal(answer, err)
	}
	if l := f.looks(t); l.Without != 1 || !l.Done {
		t.Errorf("%+v", l)
	}
}

func TestTwoLooksAtOnceTellOnce(t *testing.T) {
	f := newFixture()
	lost := at(3*time.Hour, 1, broker.Intent)
	f.happened(t, false, lost...)
	f.tables.Inject(memory.MoveLooked, memory.Fault{Wait: func(context.Context) {
		if l := f.looks(t); !l.Done || l.Without != 0 && l.Without != 1 {
			t.Errorf("the other look: %+v", l)
		}
	}})
	if l := f.looks(t); l.Done {
		t.Errorf("both came to the end: %+v", l)
	}
	if told := f.told(t); len(told) != 1 {
		t.Errorf("told of %v", told)
	}
}

func TestARecordThatDoesNotDecodeIsNoOutcome(t *testing.T) {
	f := newFixture()
	f.happened(t, false, at(3*time.Hour, 1, broker.Intent)...)
	f.tables.Inject(memory.ReadReceipt, memory.Fault{Before: errors.New("the row does not decode")})
	if l := f.looks(t); l.Without != 1 {
		t.Errorf("%+v", l)
	}
}

// TestAnIntentThatComesWhileALookPassesIsFound: a look has read the index and has
// not stored yet how far it came, when an old intent gets into the index. Another
// one comes to each of the looks that follow.
func TestAnIntentThatComesWhileALookPassesIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		looked bool
		ago    time.Duration // within the first step of the look
	}{"the first look": {false, firstLook}, "a later one": {true, 4 * time.Hour}} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			if c.looked {
				f.now = func() time.Time { return noon.Add(-c.ago) }
				f.looks(t)
				f.now = func() time.Time { return noon }
			}
			const several = 3
			for n := range several {
				intent := at(c.ago-time.Duration(n)*time.Second, n+1, broker.Intent)
				f.happened(t, true, intent...)
				if n > 0 {
					f.tables.Inject(memory.MoveLooked, memory.Fault{}) // it takes the mark away
				}
				f.tables.Inject(memory.MoveLooked, memory.Fault{Wait: func(context.Context) {
					f.tables.Clear()
					if answer, err := f.ask(t, inserted(t, intent)); err != nil || answer != `{"batchItemFailures":[]}` {
						t.Error(answer, err)
					}
				}})
				f.looks(t)
			}
			f.tables.Clear()
			if l := f.looks(t); !l.Done || len(f.told(t)) != several || len(f.listed(t)) != several {
				t.Errorf("%+v, and told of %v", l, f.told(t))
			}
		})
	}
}
