package handler

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
	"bindery/shared/brokertest/plainseal"
	"bindery/shared/stores/sealed"
)

const alice = "p-aliceaaaaaaaaaaaaaaaaaaaaa"

func (f *fixture) spoil(t testing.TB, row any) {
	t.Helper()
	if err := f.tables.Spoil("prod", row); err != nil {
		t.Fatal(err)
	}
}

// unread wants an answer to say that so many rows are missing, in JSON and beside
// CSV, and the log to raise the alarm.
func (f *fixture) unread(t testing.TB, path string, rows string) answer {
	t.Helper()
	before := f.log.Len()
	a := f.call(t, "auditor", "GET", path, nil).want(t, 200, "")
	if got := strings.Contains(a.Body.String(), `"unreadable":`+rows); !got {
		t.Errorf("%s answered %s", path, a.Body)
	}
	if log := f.log.String()[before:]; !strings.Contains(log, `"RowsUnreadable":`+rows) {
		t.Errorf("%s raises no alarm: %s", path, log)
	}
	return a
}

// TestARowOfTheIndexThatDoesNotDecodeTakesNothingElseFromAnAnswer, and no answer
// with less in it looks like a whole one.
func TestARowOfTheIndexThatDoesNotDecodeTakesNothingElseFromAnAnswer(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	var receipts []string
	for i := range 3 {
		receipts = append(receipts, f.happened(t, called{principal: alice, server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes#token",
			version: "v1", at: time.Now().Add(-time.Duration(i+1) * time.Minute)}))
	}
	f.happened(t, called{principal: "p-bobaaaaaaaaaaaaaaaaaaaaaaa", server: "notes", binding: "dev-notes", reference: "aws-sm:prod/notes#token", version: "v1", at: time.Now()})
	if a := f.call(t, "auditor", "GET", "/audit", nil).want(t, 200, ""); strings.Contains(a.Body.String(), "unreadable") {
		t.Errorf("a whole answer says %s", a.Body)
	}
	f.spoil(t, broker.Record{Receipt: receipts[1], Phase: broker.Outcome})
	a := f.unread(t, "/audit?principal="+alice, "1")
	same(t, a.items("receipt"), receipts[0], receipts[2])
	_, header := f.cells(t, "auditor", "/audit?format=csv&principal="+alice)
	if header.Get("Bindery-Unreadable-Rows") != "1" {
		t.Errorf("beside CSV: %v", header)
	}
	f.spoil(t, broker.Sighting{Environment: "prod", By: broker.SeenBinding, ID: "notes/dev-notes",
		Seen: broker.Seen{Principal: alice, Server: "notes", Binding: "dev-notes"}})
	same(t, f.unread(t, "/exposure/people?server=notes&binding=dev-notes", "1").items("principal"), "p-bobaaaaaaaaaaaaaaaaaaaaaaa")
	f.clean(t)
}

// TestACardWhoseUseDoesNotDecodeIsNotCalledUnused, and the others are as they were.
func TestACardWhoseUseDoesNotDecodeIsNotCalledUnused(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.bind(t, "notes", "other", `{"group":"other"}`)
	for _, name := range []string{"dev-notes", "other"} {
		f.happened(t, called{principal: alice, server: "notes", binding: name, reference: "aws-sm:prod/notes#token", version: "v1", at: time.Now()})
	}
	f.spoil(t, broker.Binding{Server: "notes", Name: "dev-notes"})
	same(t, f.unread(t, "/posture", "1").items("health"), "unknown", "good")
	f.spoil(t, broker.SeenVersion{Reference: "aws-sm:prod/notes", Version: "v1"})
	a := f.call(t, "auditor", "GET", "/posture", nil).want(t, 200, "")
	if same(t, a.items("last_rotated"), "<nil>", "<nil>"); a.body["unreadable"] != 2.0 {
		t.Errorf("answered %s", a.Body)
	}
}

// TestAGrantThatDoesNotDecodeIsCounted beside the others.
func TestAGrantThatDoesNotDecodeIsCounted(t *testing.T) {
	f := newFixture(t)
	origin, err := broker.OriginDigest("https://notes.example.com/mcp")
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []string{"a", "b", "c"} {
		f.consented(t, alice, server, nil)
	}
	f.spoil(t, broker.GrantKey{Environment: "prod", Principal: alice, Server: "b", Origin: origin})
	same(t, f.unread(t, "/principals/"+alice+"/grants", "1").items("server"), "a", "c")
}

// TestASealedValueThatDoesNotDecodeIsAFaultOfItsOwn: whoever stores it anew hears
// what is wrong, nothing is written over it, and the record says so.
func TestASealedValueThatDoesNotDecodeIsAFaultOfItsOwn(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	f.values = sealed.New(f.tables, plainseal.Sealer{}, time.Now)
	f.call(t, "admin", "PUT", "/values/token-1", valueBody).want(t, 200, "")
	f.spoil(t, broker.SealedValue{ID: "token-1"})
	a := f.call(t, "admin", "PUT", "/values/token-1", valueBody).want(t, 500, "stored_row_unreadable")
	if records := f.records(a); len(records) != 2 || records[1].Reason != broker.RowUndecodable {
		t.Errorf("recorded %+v", records)
	}
	f.clean(t)
}

// smudged is an audit table in which a phase of each receipt does not decode.
type smudged struct {
	broker.AuditReader
	phase broker.Phase
}

func (s smudged) Receipt(ctx context.Context, receipt string) ([]broker.Record, error) {
	records, err := s.AuditReader.Receipt(ctx, receipt)
	left := slices.DeleteFunc(records, func(r broker.Record) bool { return r.Phase == s.phase })
	return left, errors.Join(err, &broker.PassedOver{Rows: 1, Err: broker.ErrUndecodable})
}

// TestARecordThatDoesNotDecodeTakesNothingFromTheOthersOfItsReceipt: what is left is
// given, no missing end is called none, and a receipt of which nothing is left is
// not called unknown.
func TestARecordThatDoesNotDecodeTakesNothingFromTheOthersOfItsReceipt(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	begun := f.call(t, "root", "PUT", "/stores/sealed", `{"kind":"sealed","paths":["*"],"state":"active"}`, "If-None-Match", "*").want(t, 200, "")
	receipt := f.records(begun)[0].Receipt
	whole := f.call(t, "auditor", "GET", "/audit/"+receipt, nil).want(t, 200, "").body["explanation"]
	f.evidence = smudged{f.tables, broker.Intent}
	if a := f.unread(t, "/audit/"+receipt, "1"); a.body["explanation"] != whole || len(a.body["records"].([]any)) != 1 {
		t.Errorf("without its intent: %s", a.Body)
	}
	f.evidence = smudged{f.tables, broker.Outcome}
	if a := f.unread(t, "/audit/"+receipt, "1"); a.body["explanation"] != untoldEnd {
		t.Errorf("without its outcome: %s", a.Body)
	}
	gone := f.happened(t, called{principal: alice, server: "notes", binding: "dev-notes", at: time.Now()})
	f.call(t, "auditor", "GET", "/audit/"+gone, nil).want(t, 500, "stored_row_unreadable")
}

// TestAnIncidentThatDoesNotDecodeHidesNoOther.
func TestAnIncidentThatDoesNotDecodeHidesNoOther(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	for range 3 {
		leaks(f, t, "root", "").want(t, 201, "")
	}
	ids := f.call(t, "auditor", "GET", "/incidents", nil).want(t, 200, "").items("id")
	f.spoil(t, broker.Incident{ID: ids[1]})
	same(t, f.unread(t, "/incidents", "1").items("id"), ids[0], ids[2])
	f.call(t, "auditor", "GET", "/incidents/"+ids[1], nil).want(t, 500, "stored_row_unreadable")
}

// TestACaseThatDoesNotDecodeHidesNoOther.
func TestACaseThatDoesNotDecodeHidesNoOther(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	leaks(f, t, "root", "").want(t, 201, "")
	f.call(t, "root", "POST", "/incidents", `{"reference":"aws-sm:prod/other","reason":"pushed, too"}`).want(t, 201, "")
	ids := f.call(t, "auditor", "GET", "/revocations", nil).want(t, 200, "").items("id")
	f.spoil(t, broker.Revocation{ID: ids[0]})
	same(t, f.unread(t, "/revocations", "1").items("id"), ids[1:]...)
}
