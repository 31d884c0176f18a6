package checks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

func stackChecks() []Check {
	return []Check{
		{"stack", "every stack is complete, and has the functions, roles, tables and key that Bindery consists of",
			"Read the events of the stack in CloudFormation; deploy again (docs/deploy.md).", complete},
		{"drift", "what CloudFormation can compare is as the template says: policies, key policy, tables, event sources, rules, stage",
			"Look at the named resources under Drifts of the stack, find who changed them in CloudTrail, and deploy again.", drift},
	}
}

// functionNames are those that must be there, as the Makefile names them.
func functionNames() []string {
	return []string{"proxy", "authorizer", "admin", "callback", "ledger", "rotation", "outbox", "revocation", "cleanup"}
}

// tableNames are the tables, after the prefix.
func tableNames() []string {
	return []string{"catalogue", "revocations", "grants", "transient", "audit", "audit-index"}
}

// logical is the template's name of a function's resource of a kind.
func logical(function, kind string) string {
	return strings.ToUpper(function[:1]) + function[1:] + kind
}

// present leaves out the authorizer where the stack has none.
func (s *Subject) present() []string {
	return slices.DeleteFunc(functionNames(), func(f string) bool {
		return f == "authorizer" && s.Parameters["Authorizer"] == "none" && s.physical("AWS::Lambda::Function", "AuthorizerFunction") == ""
	})
}

func (s *Subject) table(name string) string { return s.Name + "-" + name }

func complete(_ context.Context, s *Subject) (string, error) {
	var wrong []string
	for _, stack := range s.stacks {
		if status := string(stack.StackStatus); !strings.HasSuffix(status, "_COMPLETE") || strings.Contains(status, "ROLLBACK") || strings.HasPrefix(status, "DELETE") {
			wrong = append(wrong, aws.ToString(stack.StackName)+" is "+status)
		}
	}
	for _, f := range s.present() {
		for kind, suffix := range map[string]string{"AWS::Lambda::Function": "Function", "AWS::IAM::Role": "Role", "AWS::Logs::LogGroup": "Log"} {
			if s.physical(kind, logical(f, suffix)) == "" {
				wrong = append(wrong, "there is no "+logical(f, suffix))
			}
		}
	}
	for _, t := range tableNames() {
		if !slices.ContainsFunc(s.of("AWS::DynamoDB::Table"), func(r Resource) bool { return r.Physical == s.table(t) }) {
			wrong = append(wrong, "there is no table "+s.table(t))
		}
	}
	if s.physical("AWS::KMS::Key", "ValuesKey") == "" {
		wrong = append(wrong, "there is no ValuesKey")
	}
	for _, output := range []string{"BaseUrl", "ApiUrl", "AdminUrl", "ValuesKeyArn", "ProxyRoleArn", "TablePrefix"} {
		if s.Outputs[output] == "" {
			wrong = append(wrong, "there is no output "+output)
		}
	}
	slices.Sort(wrong)
	return fmt.Sprintf("%d stacks, %d resources, %d outputs", len(s.stacks), len(s.Resources), len(s.Outputs)), together(wrong)
}

const (
	driftAttempts = 60
	driftPause    = 5 * time.Second
)

// drift asks CloudFormation to compare. That is noted in the stack's own state
// and changes no resource.
func drift(ctx context.Context, s *Subject) (string, error) {
	var wrong []string
	compared := 0
	for _, stack := range s.stacks {
		begun, err := s.Stacks.DetectStackDrift(ctx, &cloudformation.DetectStackDriftInput{StackName: stack.StackId})
		if err != nil {
			return "", asked("compare the stack with its template", err)
		}
		if err := s.compared(ctx, begun.StackDriftDetectionId); err != nil {
			return "", err
		}
		pages := cloudformation.NewDescribeStackResourceDriftsPaginator(s.Stacks, &cloudformation.DescribeStackResourceDriftsInput{StackName: stack.StackId})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return "", asked("read what drifted", err)
			}
			for _, d := range page.StackResourceDrifts {
				compared++
				if d.StackResourceDriftStatus == types.StackResourceDriftStatusModified || d.StackResourceDriftStatus == types.StackResourceDriftStatusDeleted {
					wrong = append(wrong, fmt.Sprintf("%s is %s", aws.ToString(d.LogicalResourceId), d.StackResourceDriftStatus))
				}
			}
		}
	}
	if compared == 0 {
		return "", leftOut("CloudFormation compared nothing")
	}
	slices.Sort(wrong)
	return fmt.Sprintf("%d resources compared", compared), together(wrong)
}

// compared waits for the end of a comparison. A part that could not be read
// leaves the whole out: it would say less than it seems to.
func (s *Subject) compared(ctx context.Context, id *string) error {
	for range driftAttempts {
		out, err := s.Stacks.DescribeStackDriftDetectionStatus(ctx, &cloudformation.DescribeStackDriftDetectionStatusInput{StackDriftDetectionId: id})
		if err != nil {
			return asked("wait for the comparison with the template", err)
		}
		switch out.DetectionStatus {
		case types.StackDriftDetectionStatusDetectionComplete:
			return nil
		case types.StackDriftDetectionStatusDetectionFailed:
			return leftOut("CloudFormation could not read all that it has to compare; your rights may not suffice")
		case types.StackDriftDetectionStatusDetectionInProgress:
		}
		if err := s.pause(ctx, driftPause); err != nil {
			return err
		}
	}
	return leftOut("the comparison with the template did not end in time")
}
