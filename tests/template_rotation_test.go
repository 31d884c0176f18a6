package tests

import (
	"testing"
)

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
