package tests

import (
	"testing"
)

// TestTemplateRightsOfTheCleanup: it opens sealed texts and reads secrets, because
// it ends things with them; it writes no marker, no grant, no session and no value
// but to end them, and evidence it can only add.
func TestTemplateRightsOfTheCleanup(t *testing.T) {
	allowed(t, "CleanupRole", map[string][]string{
		"ReadStream":        {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"},
		"ReadCatalogue":     {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"},
		"ReadRevocations":   {"dynamodb:BatchGetItem"},
		"ReadMarkers":       {"dynamodb:Query"},
		"WorkCases":         {"dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"},
		"FindSessions":      {"dynamodb:Scan"},
		"EndSessions":       {"dynamodb:DeleteItem", "dynamodb:Query"},
		"ReadSessionKeys":   {"dynamodb:GetItem"},
		"FindGrants":        {"dynamodb:Scan"},
		"EndGrants":         {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
		"EndSealedValues":   {"dynamodb:GetItem", "dynamodb:PutItem"},
		"ReadRegistrations": {"dynamodb:GetItem"},
		"AppendAudit":       {"dynamodb:PutItem"},
		"ReadSecrets":       {"secretsmanager:GetSecretValue"},
		"DecryptSecrets":    {"kms:Decrypt"},
		"SignAsClient":      {"kms:GetPublicKey", "kms:Sign"},
		"NameFailures":      {"sqs:SendMessage"},
		"WriteLog":          {"logs:CreateLogStream", "logs:PutLogEvents"},
		"WriteTrace":        {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
	})
	allowed(t, "CleanupScheduleRole", map[string][]string{"Invoke": {"lambda:InvokeFunction"}, "NameFailures": {"sqs:SendMessage"}})
}

// TestTemplateBoundsTheCleanup to rows of its own environment, but for scans,
// which AWS cannot bound.
func TestTemplateBoundsTheCleanup(t *testing.T) {
	cleanup := rights(t, "CleanupRole")
	for sid, bound := range map[string]any{
		"ReadMarkers":       leading("ForAllValues:StringLike", "markers/${Environment}#*", "markers/${Environment}/*"),
		"WorkCases":         leading("ForAllValues:StringEquals", "revocations/${Environment}"),
		"EndSessions":       leading("ForAllValues:StringLike", "sessions/${Environment}/*"),
		"ReadSessionKeys":   leading("ForAllValues:StringEquals", "rolling-key/${Environment}"),
		"EndGrants":         leading("ForAllValues:StringLike", "grants/${Environment}/*"),
		"EndSealedValues":   leading("ForAllValues:StringLike", "sealed/${Environment}/*"),
		"ReadRegistrations": leading("ForAllValues:StringLike", "registered/${Environment}/*"),
		"FindSessions":      nil,
		"FindGrants":        nil,
	} {
		same(t, sid, cleanup[sid]["Condition"], bound)
	}
	for sid, of := range map[string][]any{"ReadStream": {"RevocationsTable", "StreamArn"}, "ReadCatalogue": {"CatalogueTable", "Arn"},
		"ReadRevocations": {"RevocationsTable", "Arn"}, "ReadMarkers": {"RevocationsTable", "Arn"}, "WorkCases": {"RevocationsTable", "Arn"},
		"FindSessions": {"TransientTable", "Arn"}, "EndSessions": {"TransientTable", "Arn"}, "ReadSessionKeys": {"TransientTable", "Arn"},
		"FindGrants": {"GrantsTable", "Arn"}, "EndGrants": {"GrantsTable", "Arn"}, "EndSealedValues": {"GrantsTable", "Arn"},
		"ReadRegistrations": {"GrantsTable", "Arn"}, "AppendAudit": {"AuditTable", "Arn"}, "NameFailures": {"CleanupFailures", "Arn"}, "WriteLog": {"CleanupLog", "Arn"}} {
		same(t, sid, cleanup[sid]["Resource"], any(object{"Fn::GetAtt": of}))
	}
	for _, sid := range []string{"ReadSecrets", "DecryptSecrets", "SignAsClient"} {
		same(t, sid, cleanup[sid], rights(t, "ProxyRole")[sid])
	}
}

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
	same(t, "what the schedule may invoke", rights(t, "CleanupScheduleRole")["Invoke"]["Resource"], any(object{"Fn::GetAtt": []any{"CleanupFunction", "Arn"}}))
	same(t, "at most at once", template.resource(t, "CleanupFunction").get(t, "Properties")["ReservedConcurrentExecutions"], any(10))
	same(t, "queue", template.resource(t, "CleanupFailures").get(t, "Properties"), queueOf("cleanup"))
}
