package tests

import (
	"encoding/json"
	"slices"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/events"
)

// TestTemplateOutboxLosesNothing: it begins with the stream, a failing record is
// tried as long as the stream has it, and is named when it is given up.
func TestTemplateOutboxLosesNothing(t *testing.T) {
	template := readTemplate(t)
	source := template.events(t, "OutboxFunction")["Records"]
	for property, want := range map[string]any{
		"Stream":                     object{"Fn::GetAtt": []any{"AuditTable", "StreamArn"}},
		"StartingPosition":           "TRIM_HORIZON",
		"FunctionResponseTypes":      []any{"ReportBatchItemFailures"},
		"BisectBatchOnFunctionError": true,
		"MaximumRetryAttempts":       -1,
		"MaximumRecordAgeInSeconds":  82800,
		"DestinationConfig":          object{"OnFailure": object{"Type": "SQS", "Destination": object{"Fn::GetAtt": []any{"OutboxFailures", "Arn"}}}},
	} {
		same(t, property, source[property], want)
	}
	same(t, "queue", template.resource(t, "OutboxFailures").get(t, "Properties"), queueOf("outbox"))
}

// TestTemplateOutboxIsWokenByWhatIsTold and by no call: the filter lets pass each
// record of which there is an event.
func TestTemplateOutboxIsWokenByWhatIsTold(t *testing.T) {
	passes := outboxFilter(t)
	for _, k := range events.Kinds() {
		r := recordOf(k)
		if _, ok, err := events.Of(r); !ok || err != nil {
			t.Errorf("%s: no event is made of its record: %v", k.Type, err)
		}
		if !passes(r) {
			t.Errorf("%s: the function is not woken", k.Type)
		}
	}
	for name, r := range map[string]broker.Record{
		"a call":                 {Action: broker.CallTool, Method: "tools/call", Phase: broker.Outcome},
		"a refused call":         {Action: broker.CallTool, Method: "tools/call", Phase: broker.Refused, Reason: broker.NotPermitted},
		"a question":             {Action: broker.Administer, Method: "list-servers", Phase: broker.Outcome},
		"a change to be made":    {Action: broker.Administer, Method: "put-server", Phase: broker.Intent},
		"a request made of junk": {Action: broker.Administer, Method: "put", Phase: broker.Refused, Reason: broker.MessageRefused},
	} {
		if passes(r) {
			t.Errorf("%s wakes the function", name)
		}
	}
}

// recordOf is the least record of a kind of event.
func recordOf(k events.Kind) broker.Record {
	switch {
	case k.Fact != "":
		return broker.Record{Action: broker.ActOfItself, Method: string(k.Fact), Phase: broker.Outcome}
	case k.Operation != "":
		return broker.Record{Action: broker.Administer, Method: k.Operation, Phase: broker.Outcome}
	}
	return broker.Record{Action: broker.Administer, Method: "put-server", Phase: broker.Refused, Reason: broker.NotPermitted}
}

// outboxFilter is the template's filter as Lambda applies it: any pattern, and
// of each all attributes.
func outboxFilter(t *testing.T) func(broker.Record) bool {
	t.Helper()
	type pattern struct {
		DynamoDB struct {
			NewImage map[string]struct{ S []string }
		}
	}
	var patterns []pattern
	for _, f := range readTemplate(t).events(t, "OutboxFunction")["Records"].get(t, "FilterCriteria").list("Filters") {
		text := f.(object).text("Pattern")
		var p pattern
		if err := json.Unmarshal([]byte(text), &p); err != nil || len(p.DynamoDB.NewImage) == 0 || len(text) > 4096 {
			t.Fatalf("%v: %s", err, text)
		}
		patterns = append(patterns, p)
	}
	if len(patterns) == 0 || len(patterns) > 5 { // Lambda takes no more
		t.Fatalf("%d patterns", len(patterns))
	}
	return func(r broker.Record) bool {
		has := map[string]string{"action": string(r.Action), "method": r.Method, "phase": string(r.Phase), "reason": string(r.Reason)}
		return slices.ContainsFunc(patterns, func(p pattern) bool {
			for name, want := range p.DynamoDB.NewImage {
				if !slices.Contains(want.S, has[name]) {
					return false
				}
			}
			return true
		})
	}
}
