package tests

import (
	"os"
	"strings"
	"testing"
)

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
