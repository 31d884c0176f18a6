package checks

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"

	evaluate "bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// may answers for an operation that the operator is not let ask.
func (a *account) may(operation string) error {
	if a.forbidden == operation {
		return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no identity-based policy allows it"}
	}
	return nil
}

func missing() error { return &smithy.GenericAPIError{Code: "ResourceNotFoundException"} }
func (a *account) DescribeStacks(_ context.Context, in *cloudformation.DescribeStacksInput, _ ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	s, ok := a.stacks[*in.StackName]
	if !ok {
		return nil, &smithy.GenericAPIError{Code: "ValidationError"}
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []cloudformationtypes.Stack{*s}}, nil
}

func (a *account) ListStackResources(_ context.Context, in *cloudformation.ListStackResourcesInput, _ ...func(*cloudformation.Options)) (*cloudformation.ListStackResourcesOutput, error) {
	list := a.resources[*in.StackName]
	if half := len(list) / 2; in.NextToken == nil && half > 0 {
		return &cloudformation.ListStackResourcesOutput{StackResourceSummaries: list[:half], NextToken: aws.String("second")}, nil
	} else if in.NextToken != nil {
		list = list[half:]
	}
	return &cloudformation.ListStackResourcesOutput{StackResourceSummaries: list}, nil
}

func (a *account) DetectStackDrift(context.Context, *cloudformation.DetectStackDriftInput, ...func(*cloudformation.Options)) (*cloudformation.DetectStackDriftOutput, error) {
	return &cloudformation.DetectStackDriftOutput{StackDriftDetectionId: aws.String("d")}, a.may("DetectStackDrift")
}

func (a *account) DescribeStackDriftDetectionStatus(context.Context, *cloudformation.DescribeStackDriftDetectionStatusInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStackDriftDetectionStatusOutput, error) {
	return &cloudformation.DescribeStackDriftDetectionStatusOutput{DetectionStatus: cloudformationtypes.StackDriftDetectionStatusDetectionComplete}, nil
}

func (a *account) DescribeStackResourceDrifts(_ context.Context, in *cloudformation.DescribeStackResourceDriftsInput, _ ...func(*cloudformation.Options)) (*cloudformation.DescribeStackResourceDriftsOutput, error) {
	out := &cloudformation.DescribeStackResourceDriftsOutput{}
	for name, list := range a.resources {
		if !strings.Contains(*in.StackName, "/"+name+"/") {
			continue
		}
		for _, r := range list {
			status := cloudformationtypes.StackResourceDriftStatusInSync
			if d, ok := a.drifted[*r.LogicalResourceId]; ok {
				status = d
			}
			out.StackResourceDrifts = append(out.StackResourceDrifts, cloudformationtypes.StackResourceDrift{LogicalResourceId: r.LogicalResourceId, StackResourceDriftStatus: status})
		}
	}
	return out, nil
}

// SimulatePrincipalPolicy decides by the role's policies alone, as IAM's does.
func (a *account) SimulatePrincipalPolicy(_ context.Context, in *iam.SimulatePrincipalPolicyInput, _ ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error) {
	if err := a.may("SimulatePrincipalPolicy"); err != nil {
		return nil, err
	}
	out := &iam.SimulatePrincipalPolicyOutput{}
	keys := map[string][]string{}
	for _, e := range in.ContextEntries {
		keys[strings.ToLower(*e.ContextKeyName)] = e.ContextKeyValues
	}
	for _, action := range in.ActionNames {
		d, err := evaluate.Account{Roles: a.rights.Roles}.Decide(evaluate.Request{Principal: *in.PolicySourceArn, Action: action, Resource: in.ResourceArns[0], Keys: keys})
		if err != nil {
			return nil, err
		}
		decision := iamtypes.PolicyEvaluationDecisionTypeImplicitDeny
		if d.Verdict == evaluate.Allowed {
			decision = iamtypes.PolicyEvaluationDecisionTypeAllowed
		}
		out.EvaluationResults = append(out.EvaluationResults, iamtypes.EvaluationResult{EvalActionName: &action, EvalDecision: decision})
	}
	return out, nil
}

func (a *account) GetFunctionConfiguration(_ context.Context, in *lambda.GetFunctionConfigurationInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error) {
	if f, ok := a.functions[*in.FunctionName]; ok {
		return f, nil
	}
	return nil, missing()
}

func (a *account) GetFunctionConcurrency(_ context.Context, in *lambda.GetFunctionConcurrencyInput, _ ...func(*lambda.Options)) (*lambda.GetFunctionConcurrencyOutput, error) {
	if n := a.reserved[*in.FunctionName]; n > 0 {
		return &lambda.GetFunctionConcurrencyOutput{ReservedConcurrentExecutions: &n}, nil
	}
	return &lambda.GetFunctionConcurrencyOutput{}, nil
}

func (a *account) GetAlias(_ context.Context, in *lambda.GetAliasInput, _ ...func(*lambda.Options)) (*lambda.GetAliasOutput, error) {
	if v, ok := a.aliases[*in.FunctionName]; ok {
		return &lambda.GetAliasOutput{FunctionVersion: &v}, nil
	}
	return nil, missing()
}

func (a *account) GetEventSourceMapping(_ context.Context, in *lambda.GetEventSourceMappingInput, _ ...func(*lambda.Options)) (*lambda.GetEventSourceMappingOutput, error) {
	if m, ok := a.mappings[*in.UUID]; ok {
		return m, nil
	}
	return nil, missing()
}

func (a *account) DescribeLogGroups(_ context.Context, in *cloudwatchlogs.DescribeLogGroupsInput, _ ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	out := &cloudwatchlogs.DescribeLogGroupsOutput{}
	for name, days := range a.groups {
		if strings.HasPrefix(name, *in.LogGroupNamePrefix) {
			g := logtypes.LogGroup{LogGroupName: &name}
			if days > 0 {
				g.RetentionInDays = &days
			}
			out.LogGroups = append(out.LogGroups, g)
		}
	}
	return out, nil
}

func (a *account) DescribeRule(_ context.Context, in *eventbridge.DescribeRuleInput, _ ...func(*eventbridge.Options)) (*eventbridge.DescribeRuleOutput, error) {
	if r, ok := a.rules[*in.Name]; ok {
		return r, nil
	}
	return nil, missing()
}

func (a *account) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	out := &cloudwatch.DescribeAlarmsOutput{}
	for _, name := range in.AlarmNames {
		if alarm, ok := a.alarms[name]; ok {
			out.MetricAlarms = append(out.MetricAlarms, *alarm)
		}
	}
	return out, nil
}

func (a *account) ListMetrics(context.Context, *cloudwatch.ListMetricsInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error) {
	return &cloudwatch.ListMetricsOutput{Metrics: a.metrics}, nil
}

func (a *account) GetMetricStatistics(_ context.Context, in *cloudwatch.GetMetricStatisticsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricStatisticsOutput, error) {
	if *in.Dimensions[0].Value != stackName+"-cleanup" {
		return nil, errors.New("another function was meant")
	}
	return &cloudwatch.GetMetricStatisticsOutput{Datapoints: []cloudwatchtypes.Datapoint{{Sum: &a.invoked}}}, nil
}

func (a *account) GetTopicAttributes(context.Context, *sns.GetTopicAttributesInput, ...func(*sns.Options)) (*sns.GetTopicAttributesOutput, error) {
	return &sns.GetTopicAttributesOutput{Attributes: map[string]string{"SubscriptionsConfirmed": a.confirmed}}, nil
}

func (a *account) DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	return a.key, nil
}

func (a *account) GetKeyPolicy(context.Context, *kms.GetKeyPolicyInput, ...func(*kms.Options)) (*kms.GetKeyPolicyOutput, error) {
	return &kms.GetKeyPolicyOutput{Policy: &a.keyPolicy}, a.may("GetKeyPolicy")
}

// GenerateDataKey decides by the key's policy and the operator's rights.
func (a *account) GenerateDataKey(_ context.Context, in *kms.GenerateDataKeyInput, _ ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	if !aws.ToBool(in.DryRun) {
		return nil, errors.New("a data key was really asked for")
	}
	policy, err := evaluate.Parse([]byte(a.keyPolicy), true)
	if err != nil {
		return nil, err
	}
	arn := "arn:aws:kms:" + template.Region + ":" + template.AccountID + ":key/" + *in.KeyId
	keys := map[string][]string{}
	for name, value := range in.EncryptionContext {
		keys["kms:encryptioncontext:"+strings.ToLower(name)] = []string{value}
	}
	d, err := evaluate.Account{Roles: a.rights.Roles, Resources: map[string]evaluate.Policy{arn: policy}}.Decide(
		evaluate.Request{Principal: operator, Action: "kms:GenerateDataKey", Resource: arn, Keys: keys})
	if err != nil {
		return nil, err
	}
	if d.Verdict == evaluate.Allowed {
		return nil, &kmstypes.DryRunOperationException{}
	}
	return nil, &smithy.GenericAPIError{Code: "AccessDeniedException"}
}

func (a *account) of(name *string) (*table, error) {
	if d, ok := a.tables[*name]; ok {
		return d, nil
	}
	return nil, missing()
}

func (a *account) DescribeTable(_ context.Context, in *dynamodb.DescribeTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error) {
	d, err := a.of(in.TableName)
	if err != nil {
		return nil, err
	}
	return &dynamodb.DescribeTableOutput{Table: &d.TableDescription}, a.may("DescribeTable")
}

func (a *account) DescribeContinuousBackups(_ context.Context, in *dynamodb.DescribeContinuousBackupsInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error) {
	d, err := a.of(in.TableName)
	if err != nil {
		return nil, err
	}
	return &dynamodb.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: &d.backups}, nil
}

func (a *account) DescribeTimeToLive(_ context.Context, in *dynamodb.DescribeTimeToLiveInput, _ ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error) {
	d, err := a.of(in.TableName)
	if err != nil {
		return nil, err
	}
	return &dynamodb.DescribeTimeToLiveOutput{TimeToLiveDescription: &d.ttl}, nil
}

func (a *account) Query(_ context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out := &dynamodb.QueryOutput{}
	receipt, _ := in.ExpressionAttributeValues[":receipt"].(*types.AttributeValueMemberS)
	for _, phase := range a.receipts[receipt.Value] {
		out.Items = append(out.Items, map[string]types.AttributeValue{"sk": &types.AttributeValueMemberS{Value: phase}})
	}
	return out, nil
}

func (a *account) Scan(_ context.Context, in *dynamodb.ScanInput, _ ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	return &dynamodb.ScanOutput{Items: []map[string]types.AttributeValue{{"pk": &types.AttributeValueMemberS{Value: *in.TableName}}}}, a.may("Scan")
}

// write decides by the table's policy and the operator's rights; the condition is
// never met.
func (a *account) write(action string, name, condition *string) error {
	if aws.ToString(condition) != never {
		return errors.New("this would have been written")
	}
	arn := "arn:aws:dynamodb:" + template.Region + ":" + template.AccountID + ":table/" + *name
	d, err := a.rights.Decide(evaluate.Request{Principal: operator, Action: action, Resource: arn})
	switch {
	case err != nil:
		return err
	case d.Verdict == evaluate.ExplicitlyDenied:
		return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: x is not authorized to perform: y on resource: z with an explicit deny in a resource-based policy"}
	case d.Verdict != evaluate.Allowed:
		return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: x is not authorized to perform: y on resource: z because no identity-based policy allows it"}
	}
	return &types.ConditionalCheckFailedException{}
}

func (a *account) UpdateItem(_ context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return nil, a.write("dynamodb:UpdateItem", in.TableName, in.ConditionExpression)
}

func (a *account) DeleteItem(_ context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	return nil, a.write("dynamodb:DeleteItem", in.TableName, in.ConditionExpression)
}

func (a *account) RestoreTableToPointInTime(_ context.Context, in *dynamodb.RestoreTableToPointInTimeInput, _ ...func(*dynamodb.Options)) (*dynamodb.RestoreTableToPointInTimeOutput, error) {
	source, err := a.of(in.SourceTableName)
	if err != nil {
		return nil, err
	}
	if source.backups.PointInTimeRecoveryDescription == nil {
		return nil, &smithy.GenericAPIError{Code: "PointInTimeRecoveryUnavailableException"}
	}
	a.restored = append(a.restored, *in.TargetTableName)
	a.tables[*in.TargetTableName] = &table{TableDescription: types.TableDescription{TableStatus: types.TableStatusActive, KeySchema: make([]types.KeySchemaElement, 2)}}
	return &dynamodb.RestoreTableToPointInTimeOutput{}, nil
}

func (a *account) DeleteTable(_ context.Context, in *dynamodb.DeleteTableInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteTableOutput, error) {
	a.deleted = append(a.deleted, *in.TableName)
	return &dynamodb.DeleteTableOutput{}, a.may("DeleteTable")
}
