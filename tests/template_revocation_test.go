package tests

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestTemplateRevocationOnlyWritesMarkers: it reads and writes markers and cases of
// its own environment, removes none, and can open nothing: no statement of the
// key's policy names it.
func TestTemplateRevocationOnlyWritesMarkers(t *testing.T) {
	allowed(t, "RevocationRole", map[string][]string{
		"WriteMarkers": {"dynamodb:BatchGetItem", "dynamodb:PutItem"},
		"OpenCases":    {"dynamodb:GetItem", "dynamodb:PutItem"},
		"AppendAudit":  {"dynamodb:PutItem"},
		"NameFailures": {"sqs:SendMessage"},
		"WriteLog":     {"logs:CreateLogStream", "logs:PutLogEvents"},
		"WriteTrace":   {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
	})
	revocation := rights(t, "RevocationRole")
	for sid, resource := range map[string][]any{"WriteMarkers": {"RevocationsTable", "Arn"}, "OpenCases": {"RevocationsTable", "Arn"}, "AppendAudit": {"AuditTable", "Arn"},
		"NameFailures": {"RevocationFailures", "Arn"}, "WriteLog": {"RevocationLog", "Arn"}} {
		same(t, sid, revocation[sid]["Resource"], any(object{"Fn::GetAtt": resource}))
	}
	same(t, "markers", revocation["WriteMarkers"]["Condition"],
		leading("ForAllValues:StringLike", "marker/${Environment}/*", "markers/${Environment}/*", "markers/${Environment}#*"))
	same(t, "cases", revocation["OpenCases"]["Condition"], leading("ForAllValues:StringEquals", "revocations/${Environment}"))
	template := readTemplate(t)
	key, err := json.Marshal(template.resource(t, "ValuesKey"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(key), "RevocationRole") {
		t.Error("it may use the key")
	}
	for _, role := range []string{"ProxyRole", "AuthorizerRole", "AdminRole", "CallbackRole", "LedgerRole", "RotationRole"} {
		for sid, s := range rights(t, role) {
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "RevocationsTable") && strings.Contains(string(text), "Item\"") && strings.Contains(string(text), "PutItem") &&
				!strings.Contains(string(text), "dynamodb:LeadingKeys") {
				t.Errorf("%s may write any marker: %s", role, sid)
			}
		}
	}
}

// TestTemplateTheAdminFunctionAsksForRevocations: it reads cases, and invokes the one
// function that writes markers.
func TestTemplateTheAdminFunctionAsksForRevocations(t *testing.T) {
	admin := rights(t, "AdminRole")
	same(t, "what it invokes", admin["Revoke"]["Resource"], any(object{"Fn::GetAtt": []any{"RevocationFunction", "Arn"}}))
	same(t, "cases", admin["ReadCases"]["Condition"], leading("ForAllValues:StringEquals", "revocations/${Environment}"))
	same(t, "their table", admin["ReadCases"]["Resource"], any(object{"Fn::GetAtt": []any{"RevocationsTable", "Arn"}}))
}

// TestTemplateRevocationByEvent: only sources that the deployment lists, only what
// means this environment, and what fails ends in a queue, not in a storm.
func TestTemplateRevocationByEvent(t *testing.T) {
	template := readTemplate(t)
	same(t, "unless told", template.get(t, "Parameters", "RevocationSources")["Default"], any(""))
	queue := object{"Fn::GetAtt": []any{"RevocationFailures", "Arn"}}
	for _, name := range []string{"RevocationRule", "RevocationRulePermission", "RevocationFailuresPolicy"} {
		same(t, name, template.resource(t, name)["Condition"], any("HasRevocationSources"))
	}
	rule := template.resource(t, "RevocationRule").get(t, "Properties")
	same(t, "pattern", rule["EventPattern"], any(object{"source": object{"Ref": "RevocationSources"},
		"detail-type": []any{"Bindery Revocation Request"}, "detail": object{"environment": []any{object{"Ref": "Environment"}}}}))
	same(t, "bus", rule["EventBusName"], any(object{"Ref": "EventBus"}))
	same(t, "targets", rule["Targets"], any([]any{object{"Id": "revocation", "Arn": object{"Fn::GetAtt": []any{"RevocationFunction", "Arn"}},
		"RetryPolicy": object{"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400}, "DeadLetterConfig": object{"Arn": queue}}}))
	permission := template.resource(t, "RevocationRulePermission").get(t, "Properties")
	same(t, "permission", permission, object{"Action": "lambda:InvokeFunction", "FunctionName": object{"Ref": "RevocationFunction"},
		"Principal": "events.amazonaws.com", "SourceArn": object{"Fn::GetAtt": []any{"RevocationRule", "Arn"}}})
	same(t, "after a fault", template.resource(t, "RevocationFunction").get(t, "Properties", "EventInvokeConfig"), object{
		"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 21600, "DestinationConfig": object{"OnFailure": object{"Type": "SQS", "Destination": queue}}})
	same(t, "kept free for it", template.resource(t, "RevocationFunction").get(t, "Properties")["ReservedConcurrentExecutions"], any(5))
	same(t, "queue", template.resource(t, "RevocationFailures").get(t, "Properties"), queueOf("revocation"))
	sample, err := os.ReadFile("../events/revocation/offboarding.json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(sample), `"detail-type": "Bindery Revocation Request"`) {
		t.Error("the sample is none that the rule lets pass")
	}
}
