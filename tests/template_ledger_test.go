package tests

import "testing"

// TestTemplateLedgerCannotChangeEvidence: it reads the audit table, and may put
// what has its own receipt; what else it writes is the index.
func TestTemplateLedgerCannotChangeEvidence(t *testing.T) {
	allowed(t, "LedgerRole", map[string][]string{
		"ReadStream":      {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"},
		"ReadAuditAgain":  {"dynamodb:Scan"},
		"ReadAudit":       {"dynamodb:Query"},
		"AppendAudit":     {"dynamodb:PutItem"},
		"FillIndex":       {"dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"},
		"LookAtIntents":   {"dynamodb:Query"},
		"KeepPlaceOfLook": {"dynamodb:PutItem"},
		"NameFailures":    {"sqs:SendMessage"},
		"WriteLog":        {"logs:CreateLogStream", "logs:PutLogEvents"},
		"WriteTrace":      {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
	})
	allowed(t, "LedgerScheduleRole", map[string][]string{"Invoke": {"lambda:InvokeFunction"}, "NameFailures": {"sqs:SendMessage"}})
	ledger := rights(t, "LedgerRole")
	for sid, resource := range map[string][]any{"ReadStream": {"AuditTable", "StreamArn"}, "ReadAuditAgain": {"AuditTable", "Arn"},
		"ReadAudit": {"AuditTable", "Arn"}, "AppendAudit": {"AuditTable", "Arn"}, "LookAtIntents": {"AuditIndexTable", "Arn"}, "KeepPlaceOfLook": {"AuditIndexTable", "Arn"},
		"FillIndex": {"AuditIndexTable", "Arn"}, "NameFailures": {"LedgerFailures", "Arn"}, "WriteLog": {"LedgerLog", "Arn"}} {
		same(t, sid, ledger[sid]["Resource"], any(object{"Fn::GetAtt": resource}))
	}
}

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
