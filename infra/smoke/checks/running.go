package checks

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Functions is Lambda's side.
type Functions interface {
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	GetFunctionConcurrency(context.Context, *lambda.GetFunctionConcurrencyInput, ...func(*lambda.Options)) (*lambda.GetFunctionConcurrencyOutput, error)
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
	GetEventSourceMapping(context.Context, *lambda.GetEventSourceMappingInput, ...func(*lambda.Options)) (*lambda.GetEventSourceMappingOutput, error)
}

// Logs is CloudWatch Logs' side.
type Logs interface {
	DescribeLogGroups(context.Context, *cloudwatchlogs.DescribeLogGroupsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DescribeLogGroupsOutput, error)
}

// Rules is EventBridge's side.
type Rules interface {
	DescribeRule(context.Context, *eventbridge.DescribeRuleInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeRuleOutput, error)
}

func runChecks() []Check {
	deploy := "Deploy again; if it stays, read the resource in CloudFormation and find who changed it in CloudTrail."
	return append([]Check{
		{"functions", "each function is active under its own role, logs as JSON into its own group, and an alias names a published version", deploy, functions},
		{"concurrency", "the executions that are reserved are those of the template and its parameter", deploy, concurrency},
		{"log-retention", "every log group of the stack forgets after LogRetentionDays", deploy, retention},
		{"event-sources", "the streams reach their functions: enabled, last batch processed, filter and queue for failures as they should be",
			"Read the mapping's LastProcessingResult and StateTransitionReason, then the function's log and its queue of failures.", eventSources},
		{"rules", "the event rules are enabled, and each asks for its sources",
			"Compare the rule's pattern with template.yaml; RevocationSources names who may ask for revocations.", rules},
	}, watchChecks()...)
}

func functions(ctx context.Context, s *Subject) (string, error) {
	var wrong []string
	for _, name := range s.present() {
		physical := s.physical("AWS::Lambda::Function", logical(name, "Function"))
		c, err := s.Functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &physical})
		if err != nil {
			return "", asked("read the function "+name, err)
		}
		role, log := s.physical("AWS::IAM::Role", logical(name, "Role")), s.physical("AWS::Logs::LogGroup", logical(name, "Log"))
		for what, fine := range map[string]bool{
			"is " + string(c.State):                      c.State == types.StateActive && c.LastUpdateStatus != types.LastUpdateStatusFailed,
			"runs under another role":                    strings.HasSuffix(aws.ToString(c.Role), ":role/"+role),
			"runs on " + string(c.Runtime):               c.Runtime == types.RuntimeProvidedal2023,
			"logs elsewhere, or no JSON":                 c.LoggingConfig != nil && aws.ToString(c.LoggingConfig.LogGroup) == log && c.LoggingConfig.LogFormat == types.LogFormatJson,
			"has another endpoint than AWS, or is local": c.Environment != nil && c.Environment.Variables["AWS_ENDPOINT_URL"] == "" && c.Environment.Variables["BINDERY_LOCAL"] != "true",
		} {
			if !fine {
				wrong = append(wrong, name+" "+what)
			}
		}
		if !slices.Contains([]string{"proxy", "admin", "callback"}, name) {
			continue
		}
		alias, err := s.Functions.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &physical, Name: aws.String("live")})
		if err != nil {
			return "", asked("read the alias of "+name, err)
		}
		if _, err := strconv.Atoi(aws.ToString(alias.FunctionVersion)); err != nil {
			wrong = append(wrong, name+"'s alias names no published version")
		}
	}
	slices.Sort(wrong)
	return fmt.Sprintf("%d functions", len(s.present())), together(wrong)
}

// reserved are the executions that the template fixes.
func (s *Subject) reserved(function string) (int, bool) {
	switch function {
	case "revocation":
		return 5, true
	case "rotation", "cleanup":
		return 10, true
	}
	parameter := map[string]string{"proxy": "ReservedConcurrency", "admin": "AdminConcurrency", "authorizer": "AuthorizerConcurrency"}[function]
	n, err := strconv.Atoi(s.Parameters[parameter])
	return n, err == nil
}

func concurrency(ctx context.Context, s *Subject) (string, error) {
	var wrong, says []string
	for _, name := range s.present() {
		want, fixed := s.reserved(name)
		if !fixed {
			continue
		}
		out, err := s.Functions.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String(s.physical("AWS::Lambda::Function", logical(name, "Function")))})
		if err != nil {
			return "", asked("read the concurrency of "+name, err)
		}
		got := int(aws.ToInt32(out.ReservedConcurrentExecutions))
		says = append(says, fmt.Sprintf("%s %d", name, got))
		if got != want || out.ReservedConcurrentExecutions != nil && got == 0 {
			wrong = append(wrong, fmt.Sprintf("%s has %d reserved instead of %d", name, got, want))
		}
	}
	return strings.Join(says, ", "), together(wrong)
}

func retention(ctx context.Context, s *Subject) (string, error) {
	want, groups := s.Parameters["LogRetentionDays"], s.of("AWS::Logs::LogGroup")
	var wrong []string
	for _, g := range groups {
		out, err := s.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String(g.Physical)})
		if err != nil {
			return "", asked("describe the log group "+g.Logical, err)
		}
		days := "for ever"
		for _, l := range out.LogGroups {
			if aws.ToString(l.LogGroupName) == g.Physical && l.RetentionInDays != nil {
				days = strconv.Itoa(int(*l.RetentionInDays))
			}
		}
		if days != want {
			wrong = append(wrong, fmt.Sprintf("%s keeps %s", g.Logical, days))
		}
	}
	if len(groups) == 0 {
		wrong = append(wrong, "the stack has no log group")
	}
	return fmt.Sprintf("%d groups, %s days", len(groups), want), together(wrong)
}

const longestRetry = 82800 // seconds: 23 of the 24 hours that a stream keeps

func eventSources(ctx context.Context, s *Subject) (string, error) {
	var wrong, says []string
	for _, m := range s.of("AWS::Lambda::EventSourceMapping") {
		out, err := s.Functions.GetEventSourceMapping(ctx, &lambda.GetEventSourceMappingInput{UUID: aws.String(m.Physical)})
		if err != nil {
			return "", asked("read the event source "+m.Logical, err)
		}
		for _, why := range mappingFaults(m.Logical, out) {
			wrong = append(wrong, m.Logical+" "+why)
		}
		says = append(says, fmt.Sprintf("%s: %s", m.Logical, aws.ToString(out.LastProcessingResult)))
	}
	for _, f := range []string{"LedgerFunction", "OutboxFunction", "CleanupFunction"} {
		if !slices.ContainsFunc(says, func(one string) bool { return strings.HasPrefix(one, f) }) {
			wrong = append(wrong, f+" has no event source")
		}
	}
	return strings.Join(says, "; "), together(wrong)
}

// mappingFaults says what is wrong with one event source. Records that nobody
// waits for are filtered out for the outbox alone: the ledger sees all of them.
func mappingFaults(logical string, m *lambda.GetEventSourceMappingOutput) (wrong []string) {
	last, state := aws.ToString(m.LastProcessingResult), aws.ToString(m.State)
	filters := 0
	if m.FilterCriteria != nil {
		filters = len(m.FilterCriteria.Filters)
		for _, f := range m.FilterCriteria.Filters {
			if !json.Valid([]byte(aws.ToString(f.Pattern))) {
				wrong = append(wrong, "has a filter that is no JSON")
			}
		}
	}
	if state != "Enabled" {
		wrong = append(wrong, "is "+state)
	}
	if strings.HasPrefix(last, "PROBLEM") {
		wrong = append(wrong, "has a problem with its last batch")
	}
	if (filters > 0) != strings.HasPrefix(logical, "Outbox") {
		wrong = append(wrong, fmt.Sprintf("has %d filters", filters))
	}
	if m.DestinationConfig == nil || m.DestinationConfig.OnFailure == nil || aws.ToString(m.DestinationConfig.OnFailure.Destination) == "" {
		wrong = append(wrong, "names its failures nowhere")
	}
	if !slices.Contains(m.FunctionResponseTypes, types.FunctionResponseTypeReportBatchItemFailures) || !aws.ToBool(m.BisectBatchOnFunctionError) {
		wrong = append(wrong, "repeats whole batches")
	}
	if aws.ToInt32(m.MaximumRecordAgeInSeconds) != longestRetry || aws.ToInt32(m.MaximumRetryAttempts) != -1 {
		wrong = append(wrong, "gives up at another time")
	}
	return wrong
}

// rule is what of an event pattern is looked at.
type rule struct {
	Source     []string `json:"source"`
	DetailType []string `json:"detail-type"`
	Detail     struct {
		Environment []string `json:"environment"`
	} `json:"detail"`
}

func rules(ctx context.Context, s *Subject) (string, error) {
	var wrong []string
	found, stores := s.of("AWS::Events::Rule"), false
	for _, r := range found {
		bus, name, custom := strings.Cut(r.Physical, "|") // as CloudFormation writes it for a bus of one's own
		in := &eventbridge.DescribeRuleInput{Name: aws.String(name), EventBusName: aws.String(bus)}
		if !custom {
			in = &eventbridge.DescribeRuleInput{Name: aws.String(r.Physical)}
		}
		out, err := s.Rules.DescribeRule(ctx, in)
		if err != nil {
			return "", asked("read the rule "+r.Logical, err)
		}
		var pattern rule
		if out.ScheduleExpression == nil && (json.Unmarshal([]byte(aws.ToString(out.EventPattern)), &pattern) != nil || len(pattern.Source) == 0) {
			wrong = append(wrong, r.Logical+" asks for no source")
		}
		stores = stores || slices.Contains(pattern.Source, "aws.secretsmanager")
		if out.State != eventtypes.RuleStateEnabled {
			wrong = append(wrong, r.Logical+" is "+string(out.State))
		}
		if r.Logical == "RevocationRule" && !s.mayRevoke(pattern) {
			wrong = append(wrong, "RevocationRule takes requests of other sources, kinds or environments")
		}
	}
	if !stores {
		wrong = append(wrong, "no rule hears of changed secrets")
	}
	if has := s.physical("AWS::Events::Rule", "RevocationRule") != ""; has != (s.Parameters["RevocationSources"] != "") {
		wrong = append(wrong, "RevocationRule exists without sources, or is missing")
	}
	return fmt.Sprintf("%d rules", len(found)), together(wrong)
}

func (s *Subject) mayRevoke(pattern rule) bool {
	return slices.Equal(pattern.Source, strings.Split(s.Parameters["RevocationSources"], ",")) &&
		slices.Equal(pattern.DetailType, []string{"Bindery Revocation Request"}) && slices.Equal(pattern.Detail.Environment, []string{s.Environment})
}
