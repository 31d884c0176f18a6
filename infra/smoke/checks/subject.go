package checks

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// Cloud is what is asked of AWS, by service. The SDK's clients are these.
type Cloud struct {
	Stacks    Stacks
	Roles     Roles
	Functions Functions
	Tables    Tables
	Keys      Keys
	Logs      Logs
	Watch     Watch
	Topics    Topics
	Rules     Rules
}

// Given is what the operator says, beside the stack's name.
type Given struct {
	Server      string                 // a registered server that the token may call
	Token       func() (string, error) // prints a token for it; nil: none is given
	NarrowToken func() (string, error) // one whose scopes are too few; nil: none is given
	Restore     bool                   // whether a restore is rehearsed
}

// Subject is the deployed stack, with what is needed to look at it.
type Subject struct {
	Cloud
	Given
	Name        string // of the stack
	Partition   string
	Region      string
	Account     string
	Environment string
	Base        string // public URL
	Parameters  map[string]string
	Outputs     map[string]string
	Resources   []Resource // of the nested stacks too
	stacks      []types.Stack
	http        *http.Client
	roots       *x509.CertPool // nil: the system's
	pause       func(context.Context, time.Duration) error
}

// Resource is one that CloudFormation made.
type Resource struct{ Logical, Type, Physical, Status string }

// Stacks is CloudFormation's side.
type Stacks interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
	ListStackResources(context.Context, *cloudformation.ListStackResourcesInput, ...func(*cloudformation.Options)) (*cloudformation.ListStackResourcesOutput, error)
	DetectStackDrift(context.Context, *cloudformation.DetectStackDriftInput, ...func(*cloudformation.Options)) (*cloudformation.DetectStackDriftOutput, error)
	DescribeStackDriftDetectionStatus(context.Context, *cloudformation.DescribeStackDriftDetectionStatusInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStackDriftDetectionStatusOutput, error)
	DescribeStackResourceDrifts(context.Context, *cloudformation.DescribeStackResourceDriftsInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStackResourceDriftsOutput, error)
}

const (
	nestedType  = "AWS::CloudFormation::Stack"
	maxStacks   = 20
	requestTime = time.Minute
)

// stackARN tells where a stack is.
var stackARN = regexp.MustCompile(`^arn:([a-z-]+):cloudformation:([a-z0-9-]+):([0-9]{12}):stack/[^/]+/.+$`)

// Read finds the stack and everything that belongs to it.
func Read(ctx context.Context, name string, cloud Cloud, given Given) (*Subject, error) {
	s := &Subject{Cloud: cloud, Given: given, Name: name, pause: wait,
		http: &http.Client{Timeout: requestTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if err := s.read(ctx, name); err != nil {
		return nil, err
	}
	root := s.stacks[0]
	where := stackARN.FindStringSubmatch(aws.ToString(root.StackId))
	if where == nil {
		return nil, fmt.Errorf("the stack %s has no ARN that can be read", name)
	}
	s.Partition, s.Region, s.Account = where[1], where[2], where[3]
	s.Parameters, s.Outputs = map[string]string{}, map[string]string{}
	for _, p := range root.Parameters {
		s.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range root.Outputs {
		s.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	s.Environment, s.Base = s.Parameters["Environment"], strings.TrimSuffix(s.Outputs["BaseUrl"], "/")
	if s.Environment == "" || s.Base == "" {
		return nil, fmt.Errorf("the stack %s has no parameter Environment or no output BaseUrl: it is none of Bindery's", name)
	}
	return s, nil
}

// read adds one stack and those inside it.
func (s *Subject) read(ctx context.Context, name string) error {
	if len(s.stacks) == maxStacks {
		return fmt.Errorf("more than %d nested stacks", maxStacks)
	}
	out, err := s.Stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return asked("describe the stack "+s.Name, err)
	}
	if len(out.Stacks) != 1 {
		return fmt.Errorf("there are %d stacks of that name", len(out.Stacks))
	}
	s.stacks = append(s.stacks, out.Stacks[0])
	var nested []string
	pages := cloudformation.NewListStackResourcesPaginator(s.Stacks, &cloudformation.ListStackResourcesInput{StackName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return asked("list the resources of the stack "+s.Name, err)
		}
		for _, r := range page.StackResourceSummaries {
			one := Resource{aws.ToString(r.LogicalResourceId), aws.ToString(r.ResourceType), aws.ToString(r.PhysicalResourceId), string(r.ResourceStatus)}
			s.Resources = append(s.Resources, one)
			if one.Type == nestedType && one.Physical != "" {
				nested = append(nested, one.Physical)
			}
		}
	}
	for _, inside := range nested {
		if err := s.read(ctx, inside); err != nil {
			return err
		}
	}
	return nil
}

// of lists the resources of one type by their logical names.
func (s *Subject) of(kind string) []Resource {
	var found []Resource
	for _, r := range s.Resources {
		if r.Type == kind && r.Physical != "" {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b Resource) int { return cmp.Compare(a.Logical, b.Logical) })
	return found
}

// physical is the name of the resource of one type that CloudFormation knows by
// a logical name; empty if there is none.
func (s *Subject) physical(kind, logical string) string {
	for _, r := range s.of(kind) {
		if r.Logical == logical {
			return r.Physical
		}
	}
	return ""
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
