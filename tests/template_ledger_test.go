package tests

import "testing"

// TestTemplateLedgerLosesNothing: every record reaches it, a failing one is tried
// as long as the stream has it, holds up as few others as can be, and is named
// when it is given up.
func TestTemplateLedgerLosesNothing(t *testing.T) {
	template := readTemplate(t)
	same(t, "stream", template.resource(t, "AuditTable").get(t, "Properties")["StreamSpecification"], any(object{"StreamViewType": "NEW_IMAGE"}))
	source := template.events(t, "LedgerFunction")["Records"]
	for property, want := range map[string]any{
		"Stream":                     object{"Fn::GetAtt": []any{"AuditTable", "StreamArn"}},
		"StartingPosition":           "TRIM_HORIZON",
		"ParallelizationFactor":      4,
		"FunctionResponseTypes":      []any{"ReportBatchItemFailures"},
		"BisectBatchOnFunctionError": true,
		"MaximumRetryAttempts":       -1,
		"MaximumRecordAgeInSeconds":  82800,
		"FilterCriteria":             nil,
		"DestinationConfig":          object{"OnFailure": object{"Type": "SQS", "Destination": object{"Fn::GetAtt": []any{"LedgerFailures", "Arn"}}}},
	} {
		same(t, property, source[property], want)
	}
	same(t, "queue", template.resource(t, "LedgerFailures").get(t, "Properties"), queueOf("ledger"))
}

// TestTemplateIntentsAreLookedAt: the schedule sends what the function takes.
func TestTemplateIntentsAreLookedAt(t *testing.T) {
	look := readTemplate(t).events(t, "LedgerFunction")["Intents"]
	for property, want := range map[string]any{
		"ScheduleExpression": "rate(15 minutes)",
		"Input":              `{"task": "intents"}`,
		"RoleArn":            object{"Fn::GetAtt": []any{"LedgerScheduleRole", "Arn"}},
		"DeadLetterConfig":   object{"Arn": object{"Fn::GetAtt": []any{"LedgerFailures", "Arn"}}},
	} {
		same(t, property, look[property], want)
	}
}
