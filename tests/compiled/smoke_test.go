//go:build e2e

package compiled

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"bindery/infra/smoke/checks"
)

// listening answers calls, and keeps the stream of a GET open.
func listening() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, ": here\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[]}}`)
	})
}

// described is the deployment as CloudFormation would describe it.
type described struct {
	checks.Stacks
	stack cloudformationtypes.Stack
}

func (d described) DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error) {
	return &cloudformation.DescribeStacksOutput{Stacks: []cloudformationtypes.Stack{d.stack}}, nil
}

func (d described) ListStackResources(context.Context, *cloudformation.ListStackResourcesInput, ...func(*cloudformation.Options)) (*cloudformation.ListStackResourcesOutput, error) {
	return &cloudformation.ListStackResourcesOutput{}, nil
}

// smoke runs some checks as an operator would, and gives what each said.
func (f *front) smoke(t *testing.T, given checks.Given, names ...string) map[string]checks.Result {
	t.Helper()
	name, found := strings.CutSuffix(f.Config.Tables.Audit, "-audit")
	if !found {
		t.Fatalf("the audit table is called %s", f.Config.Tables.Audit)
	}
	stack := cloudformationtypes.Stack{StackName: &name, StackId: aws.String("arn:aws:cloudformation:us-east-1:123456789012:stack/" + name + "/1"),
		Outputs: []cloudformationtypes.Output{{OutputKey: aws.String("BaseUrl"), OutputValue: &f.Config.PublicURL}}}
	for key, value := range map[string]string{"Environment": environment, "Authorizer": "request", "MaxReadUnits": "8000", "MaxWriteUnits": "2000", "DeletionProtection": "true"} {
		stack.Parameters = append(stack.Parameters, cloudformationtypes.Parameter{ParameterKey: &key, ParameterValue: &value})
	}
	s, err := checks.Read(t.Context(), name, checks.Cloud{Stacks: described{stack: stack}, Tables: dynamodb.NewFromConfig(f.AWS)}, given)
	if err != nil {
		t.Fatal(err)
	}
	var list []checks.Check
	for _, c := range checks.All() {
		for _, n := range names {
			if c.Name == n {
				list = append(list, c)
			}
		}
	}
	if len(list) != len(names) {
		t.Fatalf("of %v there are %d", names, len(list))
	}
	var out bytes.Buffer
	results, _ := checks.Run(t.Context(), s, list, &out) // failures are judged one by one
	if strings.Contains(out.String(), f.canary) || strings.Contains(out.String(), "eyJ") {
		t.Errorf("a secret or a token is in what was printed:\n%s", out.String())
	}
	said := map[string]checks.Result{}
	for _, r := range results {
		said[r.Name] = r
	}
	return said
}

func (f *front) given() checks.Given {
	return checks.Given{Server: "raw", Token: func() (string, error) { return f.token(f.resource, "mcp"), nil },
		NarrowToken: func() (string, error) { return f.token(f.resource, "other"), nil }, Restore: true}
}

// TestSmokeOnTheCompiledFunctions: what is checked in an account holds for the
// functions as they are built, behind the small API Gateway, on real tables. What
// moto does not do (resource policies, recovery) is found.
func TestSmokeOnTheCompiledFunctions(t *testing.T) {
	f := newFront(t, "request", listening())
	for name, r := range f.smoke(t, f.given(), "challenge", "challenge-bad-token", "challenge-scope", "metadata", "unknown-route", "cors",
		"authorizer-path", "call", "body-bytes", "body-size", "stream") {
		if r.State != checks.OK {
			t.Errorf("%s is %s: %s", name, r.State, r.Says)
		}
	}
	for name, says := range map[string]string{"tables": "cannot be restored", "audit-append-only": "nothing denied"} {
		if r := f.smoke(t, f.given(), name)[name]; r.State != checks.Failed || !strings.Contains(r.Says, says) {
			t.Errorf("%s is %s: %s", name, r.State, r.Says)
		}
	}
	tables := dynamodb.NewFromConfig(f.AWS)
	before, err := tables.ListTables(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := f.smoke(t, f.given(), "restore")["restore"]; r.State != checks.OK {
		t.Errorf("restore is %s: %s", r.State, r.Says)
	}
	if after, err := tables.ListTables(t.Context(), nil); err != nil || len(after.TableNames) != len(before.TableNames) {
		t.Errorf("tables before %d, after %d, %v", len(before.TableNames), len(after.TableNames), err)
	}
}
