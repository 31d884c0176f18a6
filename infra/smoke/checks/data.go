package checks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// Tables is DynamoDB's side.
type Tables interface {
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTableOutput, error)
	DescribeContinuousBackups(context.Context, *dynamodb.DescribeContinuousBackupsInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeContinuousBackupsOutput, error)
	DescribeTimeToLive(context.Context, *dynamodb.DescribeTimeToLiveInput, ...func(*dynamodb.Options)) (*dynamodb.DescribeTimeToLiveOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	RestoreTableToPointInTime(context.Context, *dynamodb.RestoreTableToPointInTimeInput, ...func(*dynamodb.Options)) (*dynamodb.RestoreTableToPointInTimeOutput, error)
	DeleteTable(context.Context, *dynamodb.DeleteTableInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteTableOutput, error)
}

func dataChecks() []Check {
	tables := "Compare the table with infra/tables.yaml; CloudFormation does not undo what was changed by hand until the template changes."
	return append([]Check{
		{"tables", "every table can be restored to any second, refuses to be deleted, is encrypted under KMS, and has a ceiling", tables, tableSettings},
		{"expiry", "rows expire in the transient table alone: no audit record and no revocation does", tables, expiry},
		{"streams", "the audit and the revocations table have streams of new images, and no other table has one", tables, streams},
		{"audit-append-only", "the audit table itself denies everybody, the operator too, to update or delete a record",
			"Put the resource policy of the audit table back (infra/tables.yaml): until then only roles protect the records.", appendOnly},
	}, keyChecks()...)
}

const restorableDays = 35

func tableSettings(ctx context.Context, s *Subject) (string, error) {
	var wrong []string
	for _, name := range tableNames() {
		out, err := s.describe(ctx, name)
		if err != nil {
			return "", err
		}
		backups, err := s.Tables.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String(s.table(name))})
		if err != nil {
			return "", asked("read the backups of "+s.table(name), err)
		}
		for what, fine := range map[string]bool{
			"cannot be restored to a point in time": restorable(backups.ContinuousBackupsDescription),
			"can be deleted":                        aws.ToBool(out.DeletionProtectionEnabled) || s.Parameters["DeletionProtection"] == "false",
			"is not encrypted under KMS":            out.SSEDescription != nil && out.SSEDescription.SSEType == types.SSETypeKms && out.SSEDescription.Status == types.SSEStatusEnabled,
			"has no ceiling, or another":            s.bounded(out.OnDemandThroughput),
			"is " + string(out.TableStatus):         out.TableStatus == types.TableStatusActive,
		} {
			if !fine {
				wrong = append(wrong, name+" "+what)
			}
		}
	}
	slices.Sort(wrong)
	return fmt.Sprintf("%d tables", len(tableNames())), together(wrong)
}

func (s *Subject) describe(ctx context.Context, name string) (*types.TableDescription, error) {
	out, err := s.Tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(s.table(name))})
	if err != nil {
		return nil, asked("describe the table "+s.table(name), err)
	}
	return out.Table, nil
}

func restorable(b *types.ContinuousBackupsDescription) bool {
	if b == nil || b.PointInTimeRecoveryDescription == nil {
		return false
	}
	p := b.PointInTimeRecoveryDescription
	return p.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled &&
		(p.RecoveryPeriodInDays == nil || *p.RecoveryPeriodInDays == restorableDays)
}

func (s *Subject) bounded(o *types.OnDemandThroughput) bool {
	return o != nil && strconv.FormatInt(aws.ToInt64(o.MaxReadRequestUnits), 10) == s.Parameters["MaxReadUnits"] &&
		strconv.FormatInt(aws.ToInt64(o.MaxWriteRequestUnits), 10) == s.Parameters["MaxWriteUnits"]
}

func expiry(ctx context.Context, s *Subject) (string, error) {
	var wrong []string
	for _, name := range tableNames() {
		out, err := s.Tables.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String(s.table(name))})
		if err != nil {
			return "", asked("read the expiry of "+s.table(name), err)
		}
		d := out.TimeToLiveDescription
		on := d != nil && (d.TimeToLiveStatus == types.TimeToLiveStatusEnabled || d.TimeToLiveStatus == types.TimeToLiveStatusEnabling)
		switch {
		case on != (name == "transient"):
			wrong = append(wrong, fmt.Sprintf("rows of %s expire: %t", name, on))
		case on && aws.ToString(d.AttributeName) != "expires":
			wrong = append(wrong, "rows of "+name+" expire by another attribute")
		}
	}
	return "in the transient table alone", together(wrong)
}

func streams(ctx context.Context, s *Subject) (string, error) {
	var wrong []string
	for _, name := range tableNames() {
		out, err := s.describe(ctx, name)
		if err != nil {
			return "", err
		}
		is := out.StreamSpecification != nil && aws.ToBool(out.StreamSpecification.StreamEnabled)
		if want := name == "audit" || name == "revocations"; is != want || is && out.StreamSpecification.StreamViewType != types.StreamViewTypeNewImage {
			wrong = append(wrong, fmt.Sprintf("%s has a stream of new images: %t", name, is))
		}
	}
	return "of audit and revocations", together(wrong)
}

// never is a condition that no item satisfies, so a request that is not denied
// changes nothing.
const never = "attribute_exists(pk) AND attribute_not_exists(pk)"

func appendOnly(ctx context.Context, s *Subject) (string, error) {
	key := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "smoke"}, "sk": &types.AttributeValueMemberS{Value: "smoke"}}
	table := aws.String(s.table("audit"))
	_, update := s.Tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: table, Key: key, ConditionExpression: aws.String(never),
		UpdateExpression: aws.String("SET smoke = :smoke"), ExpressionAttributeValues: map[string]types.AttributeValue{":smoke": &types.AttributeValueMemberBOOL{Value: true}}})
	_, remove := s.Tables.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: key, ConditionExpression: aws.String(never)})
	for doing, err := range map[string]error{"update a record": update, "delete a record": remove} {
		if err := deniedByTable(doing, err); err != nil {
			return "", err
		}
	}
	return "updating and deleting are denied by the table's own policy", nil
}

// deniedByTable tells who denied: that one's own rights do not suffice proves
// nothing about the table.
func deniedByTable(doing string, err error) error {
	var fault smithy.APIError
	var unmet *types.ConditionalCheckFailedException
	switch {
	case err == nil, errors.As(err, &unmet):
		return errors.New("nothing denied to " + doing + "; only the check's own condition kept it from happening")
	case errors.As(err, &fault) && fault.ErrorCode() == "AccessDeniedException" && strings.Contains(fault.ErrorMessage(), "explicit deny in a resource-based policy"):
		return nil
	case errors.As(err, &fault) && fault.ErrorCode() == "AccessDeniedException":
		return leftOut("your own rights do not let you " + doing + ", so that the table denies it cannot be seen")
	}
	return asked("try to "+doing, err)
}
