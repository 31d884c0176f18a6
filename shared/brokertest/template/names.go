package template

import (
	"fmt"
	"strings"
)

// physical is what a resource is called once it is deployed: the name that the
// template gives it, or one that CloudFormation could have made.
func (s *Stack) physical(resource string) (string, error) {
	r, ok := members(s.document["Resources"])[resource]
	if !ok {
		return "", fmt.Errorf("there is no resource %s", resource)
	}
	property := map[string]string{"AWS::DynamoDB::Table": "TableName", "AWS::Serverless::Function": "FunctionName", "AWS::SQS::Queue": "QueueName",
		"AWS::Logs::LogGroup": "LogGroupName", "AWS::IAM::Role": "RoleName"}[fmt.Sprint(members(r)["Type"])]
	name, err := s.Property(resource, property)
	if err != nil || name == nil {
		return fmt.Sprintf("%v-%s", s.parameters["AWS::StackName"], resource), err
	}
	return fmt.Sprint(name), nil
}

// attribute is what Fn::GetAtt gives.
func (s *Stack) attribute(resource, name string) (any, error) {
	kind := fmt.Sprint(members(members(s.document["Resources"])[resource])["Type"])
	if kind == "AWS::CloudFormation::Stack" {
		output, ok := strings.CutPrefix(name, "Outputs.")
		inner, err := s.stack(resource)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s.%s: %w", resource, name, err)
		}
		declared := members(members(inner.document["Outputs"])[output])
		if declared == nil {
			return nil, fmt.Errorf("%s has no output %s", inner.file, output)
		}
		return inner.Resolve(declared["Value"])
	}
	if name == "StreamArn" {
		table, err := s.ARN(resource)
		return table + "/stream/2026-01-01T00:00:00.000", err
	}
	if name != "Arn" {
		return nil, fmt.Errorf("the attribute %s of %s is not known", name, resource)
	}
	return s.ARN(resource)
}

// ARN is the one that a resource has once it is deployed.
func (s *Stack) ARN(resource string) (string, error) {
	name, err := s.physical(resource)
	if err != nil {
		return "", err
	}
	at := ":" + Region + ":" + AccountID + ":"
	switch kind := fmt.Sprint(members(members(s.document["Resources"])[resource])["Type"]); kind {
	case "AWS::DynamoDB::Table":
		return "arn:aws:dynamodb" + at + "table/" + name, nil
	case "AWS::Serverless::Function":
		return "arn:aws:lambda" + at + "function:" + name, nil
	case "AWS::SQS::Queue":
		return "arn:aws:sqs" + at + name, nil
	case "AWS::Logs::LogGroup":
		return "arn:aws:logs" + at + "log-group:" + name + ":*", nil
	case "AWS::KMS::Key":
		return "arn:aws:kms" + at + "key/" + name, nil
	case "AWS::IAM::Role":
		return "arn:aws:iam::" + AccountID + ":role/" + name, nil
	default:
		return "", fmt.Errorf("the ARN of %s (%s) is not known", resource, kind)
	}
}
