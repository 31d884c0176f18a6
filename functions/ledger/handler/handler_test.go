package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
	"bindery/shared/memory"
	"bindery/shared/start"
)

// inserted is the event of some records, each with its place in the stream.
func inserted(t *testing.T, records []broker.Record) string {
	t.Helper()
	var parts []string
	for i, r := range records {
		image, err := attributevalue.MarshalMapWithOptions(r, func(o *attributevalue.EncoderOptions) { o.TagKey = "json" })
		if err != nil {
			t.Fatal(err)
		}
		image["pk"], image["sk"] = &types.AttributeValueMemberS{Value: r.Receipt}, &types.AttributeValueMemberS{Value: string(r.Phase)}
		flat := map[string]any{}
		for name, v := range image {
			switch v := v.(type) {
			case *types.AttributeValueMemberS:
				flat[name] = map[string]string{"S": v.Value}
			case *types.AttributeValueMemberN:
				flat[name] = map[string]string{"N": v.Value}
			default:
				t.Fatalf("%s is a %T", name, v)
			}
		}
		text, err := json.Marshal(flat)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, fmt.Sprintf(`{"eventName":"INSERT","dynamodb":{"SequenceNumber":"s%d","NewImage":%s}}`, i, text))
	}
	return `{"Records":[` + strings.Join(parts, ",") + `]}`
}

func TestOnlyWhatFailedComesAgain(t *testing.T) {
	f := newFixture()
	records := calls(together) // two records each: two parts
	f.tables.Inject(memory.IndexRecords, memory.Fault{}, memory.Refuse())
	answer, err := f.ask(t, inserted(t, records))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":"s%d"}]}`, together); answer != want {
		t.Errorf("answered %s", answer)
	}
	if got := len(f.entries(t)); got != together/2 {
		t.Errorf("%d calls are indexed", got)
	}
	if !strings.Contains(f.log.String(), "records could not be indexed") {
		t.Error(f.log)
	}
	if answer, err = f.ask(t, inserted(t, records)); err != nil || answer != `{"batchItemFailures":[]}` {
		t.Errorf("answered %s, %v", answer, err)
	}
}

func TestARecordThatIsNoneHoldsUpNoOther(t *testing.T) {
	f := newFixture()
	records := calls(3)
	records[2].Receipt = "no receipt" // an intent; its outcome is sound
	answer, err := f.ask(t, inserted(t, records))
	if err != nil || answer != `{"batchItemFailures":[]}` {
		t.Errorf("answered %s, %v", answer, err)
	}
	if got := f.entries(t); len(got) != 3 || slices.ContainsFunc(got, func(e broker.Entry) bool { return e.Phase != broker.Outcome }) {
		t.Errorf("%+v", got)
	}
}

// TestNothingOfARecordIsLogged: rows of the audit table may be anything.
func TestNothingOfARecordIsLogged(t *testing.T) {
	const planted = "planted-7f3a"
	f := newFixture()
	for _, name := range []string{"INSERT", "MODIFY", "REMOVE", planted} {
		event, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"eventName": name, "dynamodb": map[string]any{
			"Keys": map[string]any{"pk": map[string]string{"S": planted}, "sk": map[string]string{"S": planted}}, "SequenceNumber": planted,
			"NewImage": map[string]any{"pk": map[string]string{"S": planted}, planted: map[string]string{"S": planted}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := f.ask(t, string(event)); err != nil || strings.Contains(answer, planted) {
			t.Errorf("answered %s, %v", answer, err)
		}
	}
	if log := f.log.String(); strings.Contains(log, planted) || strings.Count(log, `"level":"ERROR"`) != 4 {
		t.Error(log)
	}
}

func TestEventsThatAreNeither(t *testing.T) {
	for _, event := range []string{``, `null`, `[]`, `{}`, `"x"`, `{"Records":{}}`, `{"Records":1}`, `{"Records":[],"rebuild":{}}`, `{"records":[]}`,
		`{"rebuild":null}`, `{"rebuild":{}}`, `{"rebuild":{"segment":-1,"segments":1}}`, `{"rebuild":{"segment":0,"segments":257}}`,
		`{"rebuild":{"segment":0,"segments":1,"after":{}}}`, `{"rebuild":{"segment":0,"segments":1,"after":{"receipt":"r","phase":"x"}}}`} {
		if answer, err := newFixture().ask(t, event); !errors.Is(err, errEvent) {
			t.Errorf("%s: %s, %v", event, answer, err)
		}
	}
}

func TestAPanicSaysNothing(t *testing.T) {
	f := newFixture()
	f.table.asked = func() { panic("planted-7f3a") }
	_, err := f.ask(t, `{"rebuild":{"segment":0,"segments":1}}`)
	if !errors.Is(err, start.ErrPanic) || strings.Contains(f.log.String(), "planted") {
		t.Errorf("%v, logged %s", err, f.log)
	}
}

// TestRebuildGoesOnUntilDone: with little time, by its own answers, over every
// segment, each record is read once.
func TestRebuildGoesOnUntilDone(t *testing.T) {
	f := newFixture()
	f.table.rows = calls(2 * scanned)
	clock := noon
	f.now = func() time.Time { return clock }
	f.table.asked = func() { clock = clock.Add(time.Minute) } // each step has time for one
	ctx := due{t.Context(), noon}
	read, invocations := 0, 0
	for segment := range 2 {
		event := fmt.Sprintf(`{"rebuild":{"segment":%d,"segments":2}}`, segment)
		for event != "" {
			answer, err := f.Handle(ctx, json.RawMessage(event))
			if err != nil {
				t.Fatal(err)
			}
			p := answer.(*progress)
			read += p.Records
			invocations++
			event = ""
			if !p.Done {
				next, err := json.Marshal(map[string]any{"rebuild": p.Rebuild})
				if err != nil {
					t.Fatal(err)
				}
				event = string(next)
			}
		}
	}
	if read != 4*scanned || invocations < 2 {
		t.Errorf("%d records in %d invocations", read, invocations)
	}
}

func TestRebuildEndsInTime(t *testing.T) {
	f := newFixture()
	f.table.rows = calls(2 * scanned)
	p, err := f.rebuild(due{t.Context(), noon.Add(spare)}, whole)
	if err != nil || p.Done || p.Records != scanned || p.Rebuild == nil || p.Rebuild.After == nil {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestRebuildThatFailsSaysHowFarItCame(t *testing.T) {
	f := newFixture()
	f.table.rows, f.table.fails = calls(scanned), 2
	p, err := f.rebuild(t.Context(), whole)
	if err != nil || p.Done || p.Records != scanned || p.Rebuild.After.Receipt != f.table.rows[scanned-1].Receipt {
		t.Errorf("%+v, %v", p, err)
	}
	f.table.fails = 1
	if p, err = f.rebuild(t.Context(), whole); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%+v, %v", p, err)
	}
	f.tables.Inject(memory.IndexRecords, memory.Refuse())
	if p, err = f.rebuild(t.Context(), whole); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%+v, %v", p, err)
	}
}

// whole is the table in one piece.
var whole = dynamo.Segment{Segments: 1}

// due is a context whose deadline is that of the test's clock.
type due struct {
	context.Context
	at time.Time
}

func (d due) Deadline() (time.Time, bool) { return d.at, true }
