package tests

import (
	"testing"
)

// TestTemplateCleanupLosesNothing: it hears of each case, goes on with open ones
// by the minute, and what fails is named in a queue.
func TestTemplateCleanupLosesNothing(t *testing.T) {
	template := readTemplate(t)
	queue := object{"Fn::GetAtt": []any{"CleanupFailures", "Arn"}}
	same(t, "stream", template.resource(t, "RevocationsTable").get(t, "Properties")["StreamSpecification"], any(object{"StreamViewType": "NEW_IMAGE"}))
	source := template.events(t, "CleanupFunction")["Revocations"]
	for property, want := range map[string]any{
		"Stream":                     object{"Fn::GetAtt": []any{"RevocationsTable", "StreamArn"}},
		"StartingPosition":           "TRIM_HORIZON",
		"FunctionResponseTypes":      []any{"ReportBatchItemFailures"},
		"BisectBatchOnFunctionError": true,
		"MaximumRetryAttempts":       -1,
		"MaximumRecordAgeInSeconds":  82800,
		"FilterCriteria":             nil,
		"DestinationConfig":          object{"OnFailure": object{"Type": "SQS", "Destination": queue}},
	} {
		same(t, property, source[property], want)
	}
	schedule := template.events(t, "CleanupFunction")["Continue"]
	for property, want := range map[string]any{
		"ScheduleExpression": "rate(1 minute)",
		"RoleArn":            object{"Fn::GetAtt": []any{"CleanupScheduleRole", "Arn"}},
		"DeadLetterConfig":   object{"Arn": queue},
	} {
		same(t, property, schedule[property], want)
	}
	sameAsSample(t, schedule, "cleanup/continue")
	same(t, "at most at once", template.resource(t, "CleanupFunction").get(t, "Properties")["ReservedConcurrentExecutions"], any(10))
	same(t, "queue", template.resource(t, "CleanupFailures").get(t, "Properties"), queueOf("cleanup"))
}
