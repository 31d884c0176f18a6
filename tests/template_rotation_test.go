package tests

import (
	"testing"
)

// TestTemplateRightsOfTheRotation is the rest of the table of rights.
func TestTemplateRightsOfTheRotation(t *testing.T) {
	for role, want := range map[string]map[string][]string{
		"RotationRole": {
			"ReadCatalogue":     {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"},
			"KeepNotices":       {"dynamodb:PutItem"},
			"ReadUse":           {"dynamodb:BatchGetItem", "dynamodb:Query"},
			"CountChanges":      {"dynamodb:PutItem"},
			"ScanGrants":        {"dynamodb:Scan"},
			"ReadSealedValues":  {"dynamodb:GetItem"},
			"StageSealedValues": {"dynamodb:PutItem"},
			"MoveSealedTexts":   {"dynamodb:UpdateItem"},
			"ReadRevocations":   {"dynamodb:BatchGetItem"},
			"ReadMarkers":       {"dynamodb:Query"},
			"FindDueGrants":     {"dynamodb:Query"},
			"KeepRotations":     {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"},
			"RepointCards":      {"dynamodb:PutItem"},
			"RefreshGrants":     {"dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
			"ReadRegistrations": {"dynamodb:GetItem"},
			"AppendAudit":       {"dynamodb:PutItem"},
			"ReadSecrets":       {"secretsmanager:GetSecretValue"},
			"DescribeSecrets":   {"secretsmanager:DescribeSecret"},
			"DecryptSecrets":    {"kms:Decrypt"},
			"StageSecrets":      {"secretsmanager:PutSecretValue", "secretsmanager:RotateSecret", "secretsmanager:UpdateSecretVersionStage"},
			"RotateByFunction":  {"lambda:InvokeFunction"},
			"EncryptSecrets":    {"kms:GenerateDataKey"},
			"SignAsClient":      {"kms:GetPublicKey", "kms:Sign"},
			"NameFailures":      {"sqs:SendMessage"},
			"WriteLog":          {"logs:CreateLogStream", "logs:PutLogEvents"},
			"WriteTrace":        {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
		},
		"RotationScheduleRole": {
			"Invoke":       {"lambda:InvokeFunction"},
			"NameFailures": {"sqs:SendMessage"},
		},
	} {
		allowed(t, role, want)
	}
}

// TestTemplateBoundsTheRotationFunction: it finds, reads and refreshes grants of
// its own environment and deletes none, reads the secrets that calls read, and
// writes notices and counts of changes.
func TestTemplateBoundsTheRotationFunction(t *testing.T) {
	rotation := rights(t, "RotationRole")
	for sid, bound := range map[string]any{
		"FindDueGrants":     leading("ForAllValues:StringLike", "due/${Environment}#*", "due-rotations/${Environment}"),
		"KeepRotations":     leading("ForAllValues:StringLike", "rotation/${Environment}/*", "rotations/${Environment}"),
		"RepointCards":      leading("ForAllValues:StringLike", "server/${Environment}/*", "personal/${Environment}/*", "history/${Environment}/*", "uses/${Environment}/*"),
		"StageSecrets":      object{"StringEquals": object{"secretsmanager:ResourceTag/bindery-environment": object{"Ref": "Environment"}}},
		"RefreshGrants":     leading("ForAllValues:StringLike", "grants/${Environment}/*"),
		"ReadRegistrations": leading("ForAllValues:StringLike", "registered/${Environment}/*"),
		"ReadSealedValues":  leading("ForAllValues:StringLike", "sealed/${Environment}/*"),
		"StageSealedValues": leading("ForAllValues:StringLike", "sealed/${Environment}/*"),
		"MoveSealedTexts":   leading("ForAllValues:StringLike", "sealed/${Environment}/*", "registered/${Environment}/*", "rotation/${Environment}/*"),
		"KeepNotices":       leading("ForAllValues:StringEquals", "notices/${Environment}"),
		"ReadUse":           leading("ForAllValues:StringLike", "rotation/${Environment}/*", "usage/${Environment}/*"),
		"CountChanges":      leading("ForAllValues:StringLike", "marker/${Environment}/change/*"),
	} {
		same(t, sid, rotation[sid]["Condition"], bound)
	}
	same(t, "index", rotation["FindDueGrants"]["Resource"], any(object{"Fn::Sub": "${GrantsTable.Arn}/index/due"}))
	for sid, of := range map[string][]any{"ReadCatalogue": {"CatalogueTable", "Arn"}, "KeepNotices": {"CatalogueTable", "Arn"}, "ReadUse": {"AuditIndexTable", "Arn"},
		"CountChanges": {"RevocationsTable", "Arn"}, "ScanGrants": {"GrantsTable", "Arn"}, "ReadSealedValues": {"GrantsTable", "Arn"},
		"StageSealedValues": {"GrantsTable", "Arn"}, "MoveSealedTexts": {"GrantsTable", "Arn"},
		"ReadRevocations": {"RevocationsTable", "Arn"}, "RefreshGrants": {"GrantsTable", "Arn"}, "ReadRegistrations": {"GrantsTable", "Arn"},
		"AppendAudit": {"AuditTable", "Arn"}, "NameFailures": {"RotationFailures", "Arn"}, "WriteLog": {"RotationLog", "Arn"}} {
		same(t, sid, rotation[sid]["Resource"], any(object{"Fn::GetAtt": of}))
	}
	for _, sid := range []string{"ReadSecrets", "DecryptSecrets"} {
		same(t, sid, rotation[sid], rights(t, "ProxyRole")[sid])
	}
	same(t, "what rotates in the store", rotation["RotateByFunction"]["Resource"], any(object{"Ref": "SecretRotationFunctions"}))
	same(t, "unless told", readTemplate(t).get(t, "Parameters", "SecretRotationFunctions")["Default"], any(""))
	same(t, "what it stages", rotation["StageSecrets"]["Resource"], rotation["ReadSecrets"]["Resource"])
	for _, part := range []string{"Resource", "Condition"} {
		same(t, "what it encrypts", rotation["EncryptSecrets"][part], rotation["DecryptSecrets"][part])
	}
	for role := range map[string]bool{"ProxyRole": true, "AdminRole": true, "CallbackRole": true, "CleanupRole": true, "RevocationRole": true} {
		if rights(t, role)["StageSecrets"] != nil {
			t.Errorf("%s may change secrets", role)
		}
	}
	same(t, "rotations of the admin function", rights(t, "AdminRole")["OrderRotations"]["Condition"], rotation["KeepRotations"]["Condition"])
	same(t, "what it describes", rotation["DescribeSecrets"]["Resource"], rotation["ReadSecrets"]["Resource"])
	same(t, "what of it", rotation["DescribeSecrets"]["Condition"], any(object{"StringEquals": object{"secretsmanager:ResourceTag/bindery-environment": object{"Ref": "Environment"}}}))
	same(t, "what the admin function describes", rights(t, "AdminRole")["DescribeSecrets"], rotation["DescribeSecrets"])
	for _, role := range []string{"ProxyRole", "CallbackRole", "RotationRole"} {
		same(t, "what "+role+" signs with", rights(t, role)["SignAsClient"]["Resource"], any(object{"Ref": "SigningKeyArn"}))
	}
}

// TestTemplateSchedulesTheRefresh: the event is the sample that the handler is
// tested with, who sends it may invoke this function alone, and what fails is
// named in a queue.
func TestTemplateSchedulesTheRefresh(t *testing.T) {
	template := readTemplate(t)
	schedule := template.events(t, "RotationFunction")["Refresh"]
	queue := object{"Fn::GetAtt": []any{"RotationFailures", "Arn"}}
	for property, want := range map[string]any{
		"ScheduleExpression": "rate(5 minutes)",
		"RoleArn":            object{"Fn::GetAtt": []any{"RotationScheduleRole", "Arn"}},
		"DeadLetterConfig":   object{"Arn": queue},
		"RetryPolicy":        object{"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 300},
	} {
		same(t, property, schedule[property], want)
	}
	sameAsSample(t, schedule, "rotation/refresh")
	same(t, "after a fault", template.resource(t, "RotationFunction").get(t, "Properties", "EventInvokeConfig"), object{
		"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600, "DestinationConfig": object{"OnFailure": object{"Type": "SQS", "Destination": queue}}})
	same(t, "at most at once", template.resource(t, "RotationFunction").get(t, "Properties")["ReservedConcurrentExecutions"], any(10))
	role := rights(t, "RotationScheduleRole")
	same(t, "what it may invoke", role["Invoke"]["Resource"], any(object{"Fn::GetAtt": []any{"RotationFunction", "Arn"}}))
	same(t, "where it names failures", role["NameFailures"]["Resource"], any(queue))
	same(t, "queue", template.resource(t, "RotationFailures").get(t, "Properties"), queueOf("rotation"))
}

// TestTemplateSchedulesRotations by the minute, with the sample that the handler
// is tested with.
func TestTemplateSchedulesRotations(t *testing.T) {
	schedule := readTemplate(t).events(t, "RotationFunction")["Rotate"]
	for property, want := range map[string]any{
		"ScheduleExpression": "rate(1 minute)",
		"RoleArn":            object{"Fn::GetAtt": []any{"RotationScheduleRole", "Arn"}},
		"DeadLetterConfig":   object{"Arn": object{"Fn::GetAtt": []any{"RotationFailures", "Arn"}}},
		"RetryPolicy":        object{"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
	} {
		same(t, property, schedule[property], want)
	}
	sameAsSample(t, schedule, "rotation/rotate")
}

// TestTemplateLetsSecretsManagerRotate: of this account alone.
func TestTemplateLetsSecretsManagerRotate(t *testing.T) {
	same(t, "permission", readTemplate(t).resource(t, "RotationOfSecrets").get(t, "Properties"), object{
		"Action": "lambda:InvokeFunction", "FunctionName": object{"Ref": "RotationFunction"},
		"Principal": "secretsmanager.amazonaws.com", "SourceAccount": object{"Ref": "AWS::AccountId"},
	})
}
