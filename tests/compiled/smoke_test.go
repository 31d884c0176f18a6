//go:build e2e

package compiled

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
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

// formation is as much of CloudFormation as says what the deployment's stack is
// and has. moto's own needs more than what is installed for it here, and knows no
// aliases, domains or schedules.
func (f *front) formation(name string) http.Handler {
	member := func(key, value string) string { return "<member>" + key + value + "</member>" }
	var parameters, outputs, resources strings.Builder
	for key, value := range map[string]string{"Environment": environment, "Authorizer": "request", "MaxReadUnits": "8000", "MaxWriteUnits": "5000", "DeletionProtection": "true"} {
		parameters.WriteString(member("<ParameterKey>"+key+"</ParameterKey>", "<ParameterValue>"+value+"</ParameterValue>"))
	}
	outputs.WriteString(member("<OutputKey>BaseUrl</OutputKey>", "<OutputValue>"+f.Config.PublicURL+"</OutputValue>"))
	resources.WriteString(member("<LogicalResourceId>ValuesKey</LogicalResourceId><ResourceType>AWS::KMS::Key</ResourceType>",
		"<PhysicalResourceId>"+f.Config.ValuesKey[strings.LastIndex(f.Config.ValuesKey, "/")+1:]+"</PhysicalResourceId><ResourceStatus>CREATE_COMPLETE</ResourceStatus>"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		switch action := r.FormValue("Action"); action {
		case "DescribeStacks":
			fmt.Fprintf(w, `<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member><StackName>%s</StackName>
				<StackId>arn:aws:cloudformation:us-east-1:123456789012:stack/%s/1</StackId><StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-01-01T00:00:00Z</CreationTime>
				<Parameters>%s</Parameters><Outputs>%s</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`, name, name, parameters.String(), outputs.String())
		case "ListStackResources":
			fmt.Fprintf(w, `<ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><ListStackResourcesResult><StackResourceSummaries>%s</StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>`, resources.String())
		default:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
		}
	})
}

// smoke runs the command as an operator does, and gives what it printed.
func (f *front) smoke(t *testing.T) (printed string, failed bool) {
	t.Helper()
	name, found := strings.CutSuffix(f.Config.Tables.Audit, "-audit")
	if !found {
		t.Fatalf("the audit table is called %s", f.Config.Tables.Audit)
	}
	binary := filepath.Join(f.dir, "smoke")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "bindery/infra/smoke").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	tokens := t.TempDir()
	for file, scope := range map[string]string{"wide": "mcp", "narrow": "other"} {
		if err := os.WriteFile(filepath.Join(tokens, file), []byte(f.token(f.resource, scope)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.CommandContext(t.Context(), binary, "-stack", name, "-region", "us-east-1", "-server", "raw", "-restore", "true",
		"-token-command", "cat "+filepath.Join(tokens, "wide"), "-narrow-token-command", "cat "+filepath.Join(tokens, "narrow"))
	run.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+*f.AWS.BaseEndpoint, "AWS_ENDPOINT_URL_CLOUDFORMATION="+serve(t, f.formation(name)),
		"AWS_ACCESS_KEY_ID=operator", "AWS_SECRET_ACCESS_KEY=operator", "AWS_MAX_ATTEMPTS=1", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	out, err := run.CombinedOutput()
	return string(out), err != nil
}

// TestSmokeOnTheCompiledFunctions: what is checked in an account holds for the
// functions as they are built, behind the small API Gateway, on real tables. What
// the local endpoint does not do, or has otherwise than the template, is found.
func TestSmokeOnTheCompiledFunctions(t *testing.T) {
	f := newFront(t, "request", listening())
	tables := dynamodb.NewFromConfig(f.AWS)
	before, err := tables.ListTables(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	printed, failed := f.smoke(t)
	if !failed || !strings.Contains(printed, "\nsmoke: ") {
		t.Errorf("it ends well, or without a last line:\n%s", printed)
	}
	said := map[string][2]string{}
	for _, m := range regexp.MustCompile(`(?m)^(ok|FAILED|left out) +([a-z-]+) +(.*)$`).FindAllStringSubmatch(printed, -1) {
		said[m[2]] = [2]string{m[1], m[3]}
	}
	for _, name := range []string{"challenge", "challenge-bad-token", "challenge-scope", "metadata", "unknown-route", "cors",
		"authorizer-path", "call", "body-bytes", "body-size", "stream", "restore"} {
		if r := said[name]; r[0] != "ok" {
			t.Errorf("%s is %q: %s", name, r[0], r[1])
		}
	}
	for name, says := range map[string]string{"stack": "there is no ProxyFunction", "tables": "cannot be restored", "audit-append-only": "nothing denied",
		"key-policy": "none of the functions", "key-use": "you may use the key", "rules": "no rule hears"} {
		if r := said[name]; r[0] != "FAILED" || !strings.Contains(r[1], says) {
			t.Errorf("%s is %q: %s", name, r[0], r[1])
		}
	}
	for _, name := range []string{"drift", "tls", "second-address"} {
		if r := said[name]; r[0] != "left out" {
			t.Errorf("%s is %q: %s", name, r[0], r[1])
		}
	}
	if strings.Contains(printed, f.canary) || strings.Contains(printed, "eyJ") {
		t.Errorf("a secret or a token is in what was printed:\n%s", printed)
	}
	if after, err := tables.ListTables(t.Context(), nil); err != nil || len(after.TableNames) != len(before.TableNames) {
		t.Errorf("tables before %d, after %d, %v", len(before.TableNames), len(after.TableNames), err)
	}
	if t.Failed() {
		t.Log(printed)
	}
}
