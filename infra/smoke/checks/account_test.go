package checks

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudformation "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	dynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	events "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

const (
	stackName = "bindery-prod"
	operator  = "arn:aws:iam::" + template.AccountID + ":role/operator"
	topic     = "arn:aws:sns:" + template.Region + ":" + template.AccountID + ":alarms"
)

// account is an AWS account in which template.yaml was deployed: what each service
// would say of it, made of the template and the files it nests, and decided by
// their policies. Tests break one thing of it.
type account struct {
	stacks    map[string]*cloudformation.Stack
	resources map[string][]cloudformation.StackResourceSummary
	drifted   map[string]cloudformation.StackResourceDriftStatus
	functions map[string]*lambda.GetFunctionConfigurationOutput
	reserved  map[string]int32
	aliases   map[string]string
	mappings  map[string]*lambda.GetEventSourceMappingOutput
	tables    map[string]*table
	groups    map[string]int32
	rules     map[string]*eventbridge.DescribeRuleOutput
	alarms    map[string]*cloudwatch.MetricAlarm
	confirmed string
	metrics   []cloudwatch.Metric
	invoked   float64
	rights    iam.Account
	key       *kms.DescribeKeyOutput
	keyPolicy string
	receipts  map[string][]string // phases by receipt
	restored  []string            // tables that exist beside the stack's
	deleted   []string
	globals   map[string]any // what SAM gives every function
	forbidden string         // what the operator may not ask, by the operation's name
}

type table struct {
	dynamodb.TableDescription
	backups dynamodb.ContinuousBackupsDescription
	ttl     dynamodb.TimeToLiveDescription
}

// deployed is the account as the template makes it.
func deployed(t *testing.T, base string) *account {
	t.Helper()
	return planned(t).deploy(t, base)
}

func (p plan) deploy(t *testing.T, base string) *account {
	t.Helper()
	var err error
	a := &account{stacks: map[string]*cloudformation.Stack{}, resources: map[string][]cloudformation.StackResourceSummary{}, drifted: map[string]cloudformation.StackResourceDriftStatus{},
		functions: map[string]*lambda.GetFunctionConfigurationOutput{}, reserved: map[string]int32{}, aliases: map[string]string{}, mappings: map[string]*lambda.GetEventSourceMappingOutput{},
		tables: map[string]*table{}, groups: map[string]int32{}, rules: map[string]*eventbridge.DescribeRuleOutput{}, alarms: map[string]*cloudwatch.MetricAlarm{}, confirmed: "1",
		metrics: []cloudwatch.Metric{{}}, invoked: 15, receipts: map[string][]string{}}
	if a.rights, err = p.root.Account(); err != nil {
		t.Fatal(err)
	}
	globals, _ := p.document["Globals"].(map[string]any)
	a.globals, _ = globals["Function"].(map[string]any)
	everything, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}]}`), false)
	if err != nil {
		t.Fatal(err)
	}
	a.rights.Roles[operator] = everything
	stacks, err := p.root.Stacks()
	if err != nil {
		t.Fatal(err)
	}
	for i, one := range stacks {
		a.add(t, one, i)
	}
	declarations, _ := p.document["Parameters"].(map[string]any)
	a.describe(declarations, maps.Clone(p.given), base)
	return a
}

// describe gives the outermost stack its parameters and outputs.
func (a *account) describe(declarations, parameters map[string]any, base string) {
	root := a.stacks[stackName]
	for name, declared := range declarations {
		value, given := parameters[name]
		if !given {
			value = declared.(map[string]any)["Default"]
		}
		parameters[name] = value
	}
	for name, value := range parameters {
		root.Parameters = append(root.Parameters, cloudformation.Parameter{ParameterKey: &name, ParameterValue: aws.String(fmt.Sprint(value))})
	}
	for name, value := range map[string]string{"BaseUrl": base, "ApiUrl": "http://127.0.0.1:1/live", "AdminUrl": base + "/admin/v1", "ValuesKeyArn": "k", "ProxyRoleArn": "r", "TablePrefix": stackName + "-"} {
		root.Outputs = append(root.Outputs, cloudformation.Output{OutputKey: &name, OutputValue: &value})
	}
}

// add is what CloudFormation does with one stack.
func (a *account) add(t *testing.T, s *template.Stack, nth int) {
	t.Helper()
	id := stackName
	if nth > 0 {
		id = fmt.Sprintf("%s-nested-%d", stackName, nth)
	}
	arn := "arn:aws:cloudformation:" + template.Region + ":" + template.AccountID + ":stack/" + id + "/1"
	a.stacks[id] = &cloudformation.Stack{StackName: &id, StackId: &arn, StackStatus: cloudformation.StackStatusCreateComplete}
	if nth > 0 {
		a.resource(stackName, fmt.Sprintf("Nested%d", nth), nestedType, id)
	}
	for kind, make := range map[string]func(*testing.T, *template.Stack, string, string){
		"AWS::DynamoDB::Table": a.addTable, "AWS::Serverless::Function": a.addFunction, "AWS::Logs::LogGroup": a.addGroup, "AWS::IAM::Role": nil,
		"AWS::KMS::Key": a.addKey, "AWS::Events::Rule": a.addRule, "AWS::CloudWatch::Alarm": a.addAlarm,
	} {
		for _, logical := range s.Resources(kind) {
			has, err := s.Has(logical)
			if err != nil {
				t.Fatal(err)
			}
			if !has {
				continue
			}
			name := stackName + "-" + logical
			if full, err := s.ARN(logical); err == nil {
				name = strings.TrimSuffix(full[strings.LastIndexAny(strings.TrimSuffix(full, ":*"), ":/")+1:], ":*")
			}
			if make != nil {
				make(t, s, logical, name)
			}
			if kind == "AWS::Serverless::Function" {
				kind = "AWS::Lambda::Function"
			}
			a.resource(id, logical, kind, name)
		}
	}
}

func (a *account) resource(stack, logical, kind, physical string) {
	a.resources[stack] = append(a.resources[stack], cloudformation.StackResourceSummary{LogicalResourceId: &logical, ResourceType: &kind, PhysicalResourceId: &physical})
}

func (a *account) addTable(t *testing.T, s *template.Stack, logical, name string) {
	d := &table{}
	d.TableName, d.TableStatus = &name, dynamodb.TableStatusActive
	d.DeletionProtectionEnabled = aws.Bool(property[bool](t, s, logical, "DeletionProtectionEnabled"))
	if sse := property[struct{ SSEType string }](t, s, logical, "SSESpecification"); sse.SSEType != "" {
		d.SSEDescription = &dynamodb.SSEDescription{Status: dynamodb.SSEStatusEnabled, SSEType: dynamodb.SSEType(sse.SSEType)}
	}
	if ceiling := property[map[string]any](t, s, logical, "OnDemandThroughput"); ceiling != nil {
		d.OnDemandThroughput = &dynamodb.OnDemandThroughput{MaxReadRequestUnits: aws.Int64(number(t, ceiling["MaxReadRequestUnits"])), MaxWriteRequestUnits: aws.Int64(number(t, ceiling["MaxWriteRequestUnits"]))}
	}
	if view := property[struct{ StreamViewType string }](t, s, logical, "StreamSpecification").StreamViewType; view != "" {
		d.StreamSpecification = &dynamodb.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: dynamodb.StreamViewType(view)}
	}
	recovery := property[struct {
		PointInTimeRecoveryEnabled bool
		RecoveryPeriodInDays       int32
	}](t, s, logical, "PointInTimeRecoverySpecification")
	if recovery.PointInTimeRecoveryEnabled {
		d.backups.PointInTimeRecoveryDescription = &dynamodb.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: dynamodb.PointInTimeRecoveryStatusEnabled, RecoveryPeriodInDays: &recovery.RecoveryPeriodInDays}
	}
	if expires := property[struct{ AttributeName string }](t, s, logical, "TimeToLiveSpecification").AttributeName; expires != "" {
		d.ttl = dynamodb.TimeToLiveDescription{TimeToLiveStatus: dynamodb.TimeToLiveStatusEnabled, AttributeName: &expires}
	}
	a.tables[name] = d
}

func (a *account) addFunction(t *testing.T, s *template.Stack, logical, name string) {
	role := property[string](t, s, logical, "Role")
	logging := property[struct{ LogGroup, LogFormat string }](t, s, logical, "LoggingConfig")
	runtime := property[string](t, s, logical, "Runtime")
	if runtime == "" {
		runtime, _ = a.globals["Runtime"].(string)
	}
	if format, ok := a.globals["LoggingConfig"].(map[string]any); ok && logging.LogFormat == "" {
		logging.LogFormat, _ = format["LogFormat"].(string)
	}
	a.functions[name] = &lambda.GetFunctionConfigurationOutput{State: lambdatypes.StateActive, Role: &role, Runtime: lambdatypes.Runtime(runtime),
		LoggingConfig: &lambdatypes.LoggingConfig{LogGroup: &logging.LogGroup, LogFormat: lambdatypes.LogFormat(logging.LogFormat)},
		Environment:   &lambdatypes.EnvironmentResponse{Variables: map[string]string{"AWS_ENDPOINT_URL": "", "BINDERY_LOCAL": "false"}}}
	if property[string](t, s, logical, "AutoPublishAlias") == "live" {
		a.aliases[name] = "3"
	}
	a.reserved[name] = int32(number(t, property[any](t, s, logical, "ReservedConcurrentExecutions")))
	for event, e := range property[map[string]struct {
		Type       string
		Properties map[string]any
	}](t, s, logical, "Events") {
		switch e.Type {
		case "DynamoDB":
			a.addMapping(t, logical+event, e.Properties)
		case "EventBridgeRule":
			a.listen(logical+event, e.Properties["Pattern"])
		}
	}
}

func (a *account) addMapping(t *testing.T, logical string, properties map[string]any) {
	text, err := json.Marshal(properties)
	m := &lambda.GetEventSourceMappingOutput{}
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	m.State, m.LastProcessingResult = aws.String("Enabled"), aws.String("OK")
	a.mappings[logical] = m
	a.resource(stackName, logical, "AWS::Lambda::EventSourceMapping", logical)
}

func (a *account) addRule(t *testing.T, s *template.Stack, logical, _ string) {
	a.listen(logical, property[any](t, s, logical, "EventPattern"))
}

func (a *account) listen(logical string, pattern any) {
	text, _ := json.Marshal(pattern)
	a.rules[stackName+"-"+logical] = &eventbridge.DescribeRuleOutput{State: events.RuleStateEnabled, EventPattern: aws.String(string(text))}
	if !strings.HasSuffix(logical, "Rule") { // CloudFormation is given those of functions by SAM
		a.resource(stackName, logical, "AWS::Events::Rule", stackName+"-"+logical)
	}
}

func (a *account) addGroup(t *testing.T, s *template.Stack, logical, name string) {
	a.groups[name] = int32(number(t, property[any](t, s, logical, "RetentionInDays")))
}

func (a *account) addAlarm(t *testing.T, s *template.Stack, logical, name string) {
	a.alarms[name] = &cloudwatch.MetricAlarm{AlarmName: &name, ActionsEnabled: aws.Bool(true), AlarmActions: property[[]string](t, s, logical, "AlarmActions")}
}

func (a *account) addKey(t *testing.T, s *template.Stack, logical, name string) {
	text, err := json.Marshal(property[any](t, s, logical, "KeyPolicy"))
	if err != nil {
		t.Fatal(err)
	}
	a.keyPolicy = string(text)
	a.key = &kms.DescribeKeyOutput{KeyMetadata: &kmstypes.KeyMetadata{Arn: &name, Enabled: true, KeyState: kmstypes.KeyStateEnabled}}
}
