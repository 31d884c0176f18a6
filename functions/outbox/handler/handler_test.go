package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	lambda "github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/events"
	"bindery/shared/start"
)

// again is the sequence from which the stream has to come again, or nothing.
func again(t *testing.T, h *Handler, event json.RawMessage) string {
	t.Helper()
	answer, err := h.Handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.BatchItemFailures) > 1 || answer.BatchItemFailures == nil {
		t.Fatalf("answered %+v", answer)
	}
	for _, f := range answer.BatchItemFailures {
		return f.ItemIdentifier
	}
	return ""
}

func receipts(records []broker.Record) (all []string) {
	for _, r := range records {
		all = append(all, r.Receipt)
	}
	return all
}

func TestWhatIsRecordedIsToldInItsOrder(t *testing.T) {
	bus := &shelf{}
	h, _ := newHandler(bus)
	records := facts(2*MaxTogether + 3)
	if from := again(t, h, inserted(t, records...)); from != "" {
		t.Errorf("from %s again", from)
	}
	if diff := cmp.Diff(receipts(records), bus.ids(t)); diff != "" || bus.asked != 3 {
		t.Errorf("%d requests, %s", bus.asked, diff)
	}
}

// TestCallsAreNotTold, should the filter in front fail: they would flood others,
// and say who works with what.
func TestCallsAreNotTold(t *testing.T) {
	bus := &shelf{}
	h, log := newHandler(bus)
	var calls []broker.Record
	for i, phase := range []broker.Phase{broker.Intent, broker.Outcome, broker.Refused} {
		r := fact(i, "")
		r.Action, r.Method, r.Phase = broker.CallTool, "tools/call", phase
		calls = append(calls, r)
	}
	if from := again(t, h, inserted(t, calls...)); from != "" || bus.asked != 0 || log.Len() != 0 {
		t.Errorf("from %s again, %d requests, logged %s", from, bus.asked, log)
	}
}

// TestAThrottledEventComesAgainWithAllAfterIt, and by then everything is told.
func TestAThrottledEventComesAgainWithAllAfterIt(t *testing.T) {
	records := facts(MaxTogether + 5)
	bus := &shelf{fault: func(asked int, e events.Event) error {
		if asked == 1 && strings.Contains(string(e.Detail), records[4].Receipt) {
			return fmt.Errorf("put events: %w: ThrottlingException", broker.ErrUnavailable)
		}
		return nil
	}}
	h, log := newHandler(bus)
	if from := again(t, h, inserted(t, records...)); from != "s4" || bus.asked != 1 || !strings.Contains(log.String(), "ThrottlingException") {
		t.Errorf("from %q again after %d requests, logged %s", from, bus.asked, log)
	}
	if from := again(t, h, inserted(t, records[4:]...)); from != "" {
		t.Errorf("from %q again", from)
	}
	atLeastOnce(t, bus, records)
}

// TestABusThatIsDownLosesNothing, whichever request it fails, worked or not.
func TestABusThatIsDownLosesNothing(t *testing.T) {
	records := facts(3 * MaxTogether)
	for request := 1; request <= 3; request++ {
		for name, bus := range map[string]*shelf{"refused": {down: map[int]bool{request: true}}, "answer lost": {lost: map[int]bool{request: true}}} {
			h, _ := newHandler(bus)
			want := fmt.Sprintf("s%d", (request-1)*MaxTogether)
			if from := again(t, h, inserted(t, records...)); from != want {
				t.Errorf("%s %d: from %q again", name, request, from)
			}
			if from := again(t, h, inserted(t, records[(request-1)*MaxTogether:]...)); from != "" {
				t.Errorf("%s %d: from %q again", name, request, from)
			}
			atLeastOnce(t, bus, records)
		}
	}
}

func atLeastOnce(t *testing.T, bus *shelf, records []broker.Record) {
	t.Helper()
	times := map[string]int{}
	for _, id := range bus.ids(t) {
		times[id]++
	}
	for _, r := range records {
		if times[r.Receipt] == 0 {
			t.Errorf("%s was never told", r.Receipt)
		}
	}
}

// TestAPoisonedEventHoldsUpNoOther: what the bus never takes is reported once.
func TestAPoisonedEventHoldsUpNoOther(t *testing.T) {
	records := facts(5)
	bus := &shelf{fault: func(_ int, e events.Event) error {
		if strings.Contains(string(e.Detail), records[2].Receipt) {
			return fmt.Errorf("put events: %w: MalformedDetail", ErrRefused)
		}
		return nil
	}}
	h, log := newHandler(bus)
	if from := again(t, h, inserted(t, records...)); from != "" || len(bus.taken) != 4 {
		t.Errorf("from %q again, %d taken", from, len(bus.taken))
	}
	if strings.Count(log.String(), "a record is not told") != 1 || strings.Contains(log.String(), records[2].Receipt) {
		t.Errorf("logged %s", log)
	}
}

// TestRecordsThatCannotBeToldArePassedOver and nothing of them is logged: rows of
// the audit table may be anything.
func TestRecordsThatCannotBeToldArePassedOver(t *testing.T) {
	const planted = "planted-7f3a"
	unknown, badly := fact(1, ""), fact(2, planted)
	unknown.Method = planted
	bus := &shelf{}
	h, log := newHandler(bus)
	if from := again(t, h, inserted(t, unknown, badly, fact(3, ""))); from != "" || len(bus.taken) != 1 {
		t.Errorf("from %q again, %d taken", from, len(bus.taken))
	}
	for _, event := range []string{`5`, `{"eventName":"MODIFY"}`, `{"eventName":"REMOVE"}`, `{"eventName":"INSERT"}`,
		`{"eventName":"INSERT","dynamodb":{"NewImage":{"` + planted + `":{"BS":["` + planted + `"]}}}}`,
		`{"eventName":"INSERT","dynamodb":{"Keys":{"pk":{"S":"` + planted + `"}},"NewImage":{"pk":{"S":"` + planted + `"},"at":{"N":"1"}}}}`} {
		if from := again(t, h, json.RawMessage(`{"Records":[`+event+`]}`)); from != "" {
			t.Errorf("%s: from %q again", event, from)
		}
	}
	if n := strings.Count(log.String(), "a record is not told"); n != 8 || strings.Contains(log.String(), planted) {
		t.Errorf("%d reported: %s", n, log)
	}
}

// TestLongEventsGoApart: a request to EventBridge is bounded by its size too.
func TestLongEventsGoApart(t *testing.T) {
	long := `{"text":"` + strings.Repeat("x", 60<<10) + `"}`
	var records []broker.Record
	for i := range 9 {
		records = append(records, fact(i, long))
	}
	bus := &shelf{}
	h, _ := newHandler(bus)
	if from := again(t, h, inserted(t, records...)); from != "" || len(bus.taken) != 9 || bus.asked != 3 {
		t.Errorf("from %q again, %d taken by %d requests", from, len(bus.taken), bus.asked)
	}
}

func TestEventsThatAreNone(t *testing.T) {
	for _, event := range []string{``, `null`, `[]`, `{}`, `"x"`, `{"Records":null}`, `{"Records":{}}`, `{"Records":1}`} {
		h, _ := newHandler(&shelf{})
		if answer, err := h.Handle(t.Context(), json.RawMessage(event)); !errors.Is(err, errEvent) {
			t.Errorf("%s: %+v, %v", event, answer, err)
		}
	}
}

type broken struct{}

func (broken) Send(context.Context, []events.Event) ([]error, error) { panic("made-up-secret") }

func TestAPanicSaysNothing(t *testing.T) {
	h, log := newHandler(broken{})
	answer, err := h.Handle(t.Context(), inserted(t, fact(1, "")))
	if !errors.Is(err, start.ErrPanic) || strings.Contains(log.String(), "made-up-secret") || !cmp.Equal(answer, lambda.DynamoDBEventResponse{}) {
		t.Errorf("%+v, %v, logged %s", answer, err, log)
	}
}
