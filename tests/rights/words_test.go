package rights

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bindery/shared/brokertest/iam"
)

// unbounded are the actions that are allowed on "*", each with the reason. No
// other may be.
var unbounded = map[string]string{
	"xray:PutTelemetryRecords":       "X-Ray has no resource to name",
	"xray:PutTraceSegments":          "X-Ray has no resource to name",
	"secretsmanager:ListSecrets":     "AWS lists all secrets or none; only where `ListSecretNames` is true",
	"ec2:AssignPrivateIpAddresses":   "interfaces have no name before they are made, and what describes them knows none; only in a VPC, and denied to the function's code",
	"ec2:CreateNetworkInterface":     "interfaces have no name before they are made, and what describes them knows none; only in a VPC, and denied to the function's code",
	"ec2:DeleteNetworkInterface":     "interfaces have no name before they are made, and what describes them knows none; only in a VPC, and denied to the function's code",
	"ec2:DescribeNetworkInterfaces":  "interfaces have no name before they are made, and what describes them knows none; only in a VPC, and denied to the function's code",
	"ec2:DescribeSubnets":            "interfaces have no name before they are made, and what describes them knows none; only in a VPC, and denied to the function's code",
	"ec2:UnassignPrivateIpAddresses": "interfaces have no name before they are made, and what describes them knows none; only in a VPC, and denied to the function's code",
}

// forms turn ARNs into words, the first that fits.
var forms = []struct {
	pattern *regexp.Regexp
	words   string
}{
	{regexp.MustCompile(`:table/bindery-([a-z-]+)/index/([a-z]+)$`), "index `$2` of table `$1`"},
	{regexp.MustCompile(`:table/bindery-([a-z-]+)/stream/.*$`), "stream of table `$1`"},
	{regexp.MustCompile(`:table/bindery-([a-z-]+)$`), "table `$1`"},
	{regexp.MustCompile(`:secret:(.*)$`), "secrets `$1`"},
	{regexp.MustCompile(`:key/of-the-customer$`), "key of the secrets (`SecretsKeyArn`)"},
	{regexp.MustCompile(`:key/that-signs$`), "signing key (`SigningKeyArn`)"},
	{regexp.MustCompile(`:function:rotator$`), "functions in `SecretRotationFunctions`"},
	{regexp.MustCompile(`:function:bindery-([a-z]+)$`), "function `$1`"},
	{regexp.MustCompile(`:log-group:bindery-([a-z]+):\*$`), "log of `$1`"},
	{regexp.MustCompile(`:event-bus/default$`), "bus `EventBus`"},
	{regexp.MustCompile(`^arn:aws:sqs:[^:]*:[^:]*:bindery-([a-z-]+)$`), "queue `$1`"},
}

func inWords(t *testing.T, resource string) string {
	t.Helper()
	for _, f := range forms {
		if at := f.pattern.FindStringSubmatchIndex(resource); at != nil {
			return generic(string(f.pattern.ExpandString(nil, f.words, resource, at)))
		}
	}
	t.Errorf("there are no words for %s", resource)
	return resource
}

// generic writes the environment's name as what it stands for.
func generic(text string) string {
	return regexp.MustCompile(`\bprod\b`).ReplaceAllString(text, "{environment}")
}

// reach is what a statement is about, in words.
func reach(t *testing.T, s iam.Statement) string {
	t.Helper()
	var all []string
	for _, r := range s.Resources {
		if r != "*" {
			all = append(all, inWords(t, r))
			continue
		}
		for _, action := range s.Actions {
			if why := unbounded[action]; why != "" && !slices.Contains(all, "everything: "+why) {
				all = append(all, "everything: "+why)
			}
		}
	}
	return strings.Join(all, ", ")
}

// bounds are a statement's conditions in words. A condition for which there are
// none is an error: it may bound nothing.
func bounds(t *testing.T, s iam.Statement) string {
	t.Helper()
	var all []string
	for _, c := range s.Conditions {
		values := generic("`" + strings.Join(c.Values, "`, `") + "`")
		switch c.Operator + " " + c.Key {
		case "ForAllValues:StringEquals dynamodb:LeadingKeys", "ForAllValues:StringLike dynamodb:LeadingKeys":
			all = append(all, "rows "+values)
		case "Null dynamodb:LeadingKeys": // rows are named at all; it belongs to the one before
		case "StringEquals secretsmanager:ResourceTag/bindery-environment":
			all = append(all, "the secret is tagged `bindery-environment` "+values)
		case "StringEqualsIfExists secretsmanager:VersionStage":
			all = append(all, "the stage, if one is named, is "+values)
		case "StringEquals kms:ViaService":
			all = append(all, "through Secrets Manager")
		case "StringLike kms:EncryptionContext:SecretARN":
			all = append(all, "for "+inWords(t, c.Values[0]))
		case "StringEquals kms:EncryptionContext:bindery:environment":
			all = append(all, "sealed for this environment")
		case "StringEquals kms:EncryptionContext:bindery:purpose":
			all = append(all, "sealed as "+values)
		case "StringEquals events:source":
			all = append(all, "in the name of "+values)
		case "ArnLike lambda:SourceFunctionArn":
			all = append(all, "asked by a function's code")
		default:
			t.Errorf("%s: there are no words for %s %s", s.Sid, c.Operator, c.Key)
		}
	}
	return strings.Join(all, "; ")
}

var capital = regexp.MustCompile(`[A-Z]`)

// purpose is a statement's name as words, with the remark beside it.
func purpose(sid, remark string) string {
	words := strings.TrimSpace(capital.ReplaceAllStringFunc(sid, func(c string) string { return " " + strings.ToLower(c) }))
	if remark == "" {
		return words
	}
	return words + ": " + remark
}

// line is a statement as a row of the table.
func line(t *testing.T, s iam.Statement, on, remark string) string {
	t.Helper()
	actions := "`" + strings.Join(s.Actions, "`, `") + "`"
	if s.Deny {
		actions = "never " + actions
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", purpose(s.Sid, remark), actions, on, bounds(t, s))
}
