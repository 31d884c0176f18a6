package checks

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudformation "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	dynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	events "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	lambda "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// subject reads the account's stack.
func (a *account) subject(t *testing.T, given Given) *Subject {
	t.Helper()
	s, err := Read(t.Context(), stackName, Cloud{a, a, a, a, a, a, a, a, a}, given)
	if err != nil {
		t.Fatal(err)
	}
	s.pause = func(context.Context, time.Duration) error { return nil }
	return s
}

// result of one check.
func result(t *testing.T, s *Subject, name string) Result {
	t.Helper()
	for _, c := range All() {
		if c.Name == name {
			return c.result(t.Context(), s)
		}
	}
	t.Fatalf("there is no check %s", name)
	return Result{}
}

// cloudChecks are those that ask AWS and no address.
func cloudChecks() []Check {
	return slices.Concat(stackChecks(), roleChecks(), dataChecks(), runChecks(), restoreChecks())
}

// TestTheTemplateAsDeployedPasses: what template.yaml and the files it nests make
// of an account is what each check asks for.
func TestTheTemplateAsDeployedPasses(t *testing.T) {
	a := deployed(t, "https://mcp.example.com")
	s := a.subject(t, Given{Restore: true})
	for _, c := range cloudChecks() {
		if r := c.result(t.Context(), s); r.State != OK {
			t.Errorf("%s is %s: %s", r.Name, r.State, r.Says)
		}
	}
	if len(a.restored) != 1 || !slices.Equal(a.restored, a.deleted) {
		t.Errorf("restored %v, deleted %v", a.restored, a.deleted)
	}
}

func audit(a *account) string {
	return "arn:aws:dynamodb:" + template.Region + ":" + template.AccountID + ":table/" + stackName + "-audit"
}

// role is the ARN of a function's role.
func (a *account) role(function string) string { return *a.functions[stackName+"-"+function].Role }

func (a *account) grant(t *testing.T, function, statement string) {
	p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[`+statement+`]}`), false)
	if err != nil {
		t.Fatal(err)
	}
	own := a.rights.Roles[a.role(function)]
	own.Statements = append(slices.Clone(own.Statements), p.Statements...)
	a.rights.Roles[a.role(function)] = own
}

// breakage is something that is otherwise than deployed, and what a check says of it.
type breakage struct {
	check  string
	breaks func(*account)
	says   string
}

func (a *account) table(name string) *table { return a.tables[stackName+"-"+name] }

func brokenData() map[string]breakage {
	return map[string]breakage{
		"a deployment was rolled back": {"stack", func(a *account) { a.stacks[stackName].StackStatus = cloudformation.StackStatusUpdateRollbackComplete }, "ROLLBACK"},
		"a function is gone": {"stack", func(a *account) {
			a.resources[stackName] = slices.DeleteFunc(a.resources[stackName], func(r cloudformation.StackResourceSummary) bool { return *r.LogicalResourceId == "LedgerFunction" })
		}, "no LedgerFunction"},
		"a role was changed by hand": {"drift", func(a *account) { a.drifted["ProxyRole"] = cloudformation.StackResourceDriftStatusModified }, "ProxyRole is MODIFIED"},
		"no point-in-time recovery":  {"tables", func(a *account) { a.table("grants").backups.PointInTimeRecoveryDescription = nil }, "grants cannot be restored"},
		"recovery for a day": {"tables", func(a *account) {
			a.table("audit").backups.PointInTimeRecoveryDescription.RecoveryPeriodInDays = aws.Int32(1)
		}, "audit cannot be restored"},
		"deletion is not protected":     {"tables", func(a *account) { a.table("catalogue").DeletionProtectionEnabled = aws.Bool(false) }, "catalogue can be deleted"},
		"no KMS":                        {"tables", func(a *account) { a.table("transient").SSEDescription = nil }, "transient is not encrypted"},
		"no ceiling":                    {"tables", func(a *account) { a.table("audit").OnDemandThroughput = nil }, "audit has no ceiling"},
		"audit records expire":          {"expiry", func(a *account) { a.table("audit").ttl = a.table("transient").ttl }, "rows of audit expire: true"},
		"transient rows stay":           {"expiry", func(a *account) { a.table("transient").ttl = dynamodb.TimeToLiveDescription{} }, "rows of transient expire: false"},
		"no stream of records":          {"streams", func(a *account) { a.table("audit").StreamSpecification = nil }, "audit has a stream of new images: false"},
		"a stream of sealed values":     {"streams", func(a *account) { a.table("grants").StreamSpecification = a.table("audit").StreamSpecification }, "grants has a stream"},
		"the table's policy is missing": {"audit-append-only", func(a *account) { delete(a.rights.Resources, audit(a)) }, "nothing denied"},
		"nothing to restore by":         {"restore", func(a *account) { a.table("catalogue").backups.PointInTimeRecoveryDescription = nil }, "PointInTimeRecoveryUnavailable"},
		"a rehearsal that is left":      {"restore", func(a *account) { a.forbidden = "DeleteTable" }, "is left"},
	}
}

func brokenRights(t *testing.T) map[string]breakage {
	return map[string]breakage{
		"the key is disabled":              {"key-policy", func(a *account) { a.key.KeyMetadata.Enabled = false }, "the key is"},
		"the key's policy names everybody": {"key-policy", func(a *account) { a.keyPolicy = `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*"}]}` }, "names everybody"},
		"the account may use the key": {"key-policy", func(a *account) {
			a.keyPolicy = strings.Replace(a.keyPolicy, `"Statement":[`, `"Statement":[{"Sid":"Root","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:*","Resource":"*"},`, 1)
		}, "none of the functions"},
		"all but one action on the key": {"key-policy", func(a *account) {
			a.keyPolicy = strings.Replace(a.keyPolicy, `"Statement":[`, `"Statement":[{"Sid":"Not","Effect":"Allow","Principal":{"AWS":"`+a.role("proxy")+`"},"NotAction":"kms:DisableKey","Resource":"*"},`, 1)
		}, "more than named actions"},
		"a role opens without a context": {"key-policy", func(a *account) {
			a.keyPolicy = strings.ReplaceAll(a.keyPolicy, `"kms:EncryptionContext:bindery:environment":"prod",`, "")
		}, "this environment's context"},
		"a role opens another environment": {"key-policy", func(a *account) {
			a.keyPolicy = strings.Replace(a.keyPolicy, `"kms:EncryptionContext:bindery:environment":"prod"`, `"kms:EncryptionContext:bindery:environment":["prod","dev"]`, 1)
		}, "this environment's context"},
		"the operator may use the key": {"key-use", func(a *account) {
			a.keyPolicy = strings.Replace(a.keyPolicy, `"Statement":[`, `"Statement":[{"Sid":"Root","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:GenerateDataKey","Resource":"*"},`, 1)
		}, "you may use the key"},
		"a role may change records": {"roles", func(a *account) {
			a.grant(t, "ledger", `{"Sid":"X","Effect":"Allow","Action":"dynamodb:*","Resource":"`+audit(a)+`"}`)
		}, "ledger: change a record (dynamodb:UpdateItem) is allowed: true"},
		"a role reads untagged secrets": {"roles", func(a *account) {
			a.grant(t, "proxy", `{"Sid":"X","Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}`)
		}, "proxy: an untagged secret"},
		"ForAllValues without Null": {"roles", func(a *account) {
			a.grant(t, "proxy", `{"Sid":"X","Effect":"Allow","Action":"dynamodb:UpdateItem","Resource":"*","Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["grants/prod/*"]}}}`)
		}, "refresh a grant without saying whose"},
		"events in another name": {"roles", func(a *account) {
			a.grant(t, "outbox", `{"Sid":"X","Effect":"Allow","Action":"events:PutEvents","Resource":"*"}`)
		}, "outbox: tell an event in another's name"},
		"a role lost its rights": {"roles", func(a *account) { a.rights.Roles[a.role("proxy")] = iam.Policy{} }, "proxy: add a record, or overwrite one (dynamodb:PutItem) is allowed: false"},
	}
}

func brokenFunctions() map[string]breakage {
	return map[string]breakage{
		"a function under another's role": {"functions", func(a *account) { *a.functions[stackName+"-outbox"].Role = a.role("proxy") }, "outbox runs under another role"},
		"a function that failed":          {"functions", func(a *account) { a.functions[stackName+"-proxy"].State = lambda.StateFailed }, "proxy is Failed"},
		"a log as text":                   {"functions", func(a *account) { a.functions[stackName+"-proxy"].LoggingConfig.LogFormat = lambda.LogFormatText }, "proxy logs elsewhere"},
		"an endpoint that is not AWS": {"functions", func(a *account) {
			a.functions[stackName+"-admin"].Environment.Variables["AWS_ENDPOINT_URL"] = "http://x"
		}, "admin has another endpoint"},
		"an alias of what is unpublished": {"functions", func(a *account) { a.aliases[stackName+"-proxy"] = "$LATEST" }, "proxy's alias"},
		"nothing is reserved":             {"concurrency", func(a *account) { a.reserved[stackName+"-revocation"] = 0 }, "revocation has 0 reserved instead of 5"},
		"logs for ever":                   {"log-retention", func(a *account) { a.groups[stackName+"-proxy"] = 0 }, "ProxyLog keeps for ever"},
		"a stream is not followed":        {"event-sources", func(a *account) { *a.mappings["LedgerFunctionRecords"].State = "Disabled" }, "is Disabled"},
		"a batch that does not go through": {"event-sources", func(a *account) {
			*a.mappings["CleanupFunctionRevocations"].LastProcessingResult = "PROBLEM: Function call failed"
		}, "problem with its last batch"},
		"a filter before the ledger": {"event-sources", func(a *account) {
			a.mappings["LedgerFunctionRecords"].FilterCriteria = a.mappings["OutboxFunctionRecords"].FilterCriteria
		}, "LedgerFunctionRecords has 3 filters"},
		"every call is told":               {"event-sources", func(a *account) { a.mappings["OutboxFunctionRecords"].FilterCriteria = nil }, "OutboxFunctionRecords has 0 filters"},
		"no queue for failures":            {"event-sources", func(a *account) { a.mappings["LedgerFunctionRecords"].DestinationConfig = nil }, "names its failures nowhere"},
		"whole batches again":              {"event-sources", func(a *account) { a.mappings["LedgerFunctionRecords"].FunctionResponseTypes = nil }, "repeats whole batches"},
		"gives up early":                   {"event-sources", func(a *account) { a.mappings["LedgerFunctionRecords"].MaximumRetryAttempts = aws.Int32(1) }, "gives up"},
		"a rule is off":                    {"rules", func(a *account) { a.rules[stackName+"-RevocationRule"].State = events.RuleStateDisabled }, "RevocationRule is DISABLED"},
		"changed secrets are not heard of": {"rules", func(a *account) { *a.rules[stackName+"-RotationFunctionStoreChange"].EventPattern = `{"source":["x"]}` }, "no rule hears of changed secrets"},
		"anybody may ask for a stop": {"rules", func(a *account) {
			a.rules[stackName+"-RevocationRule"].EventPattern = aws.String(`{"detail-type":["Bindery Revocation Request"]}`)
		}, "asks for no source"},
		"another environment's requests": {"rules", func(a *account) {
			r := a.rules[stackName+"-RevocationRule"]
			r.EventPattern = aws.String(strings.Replace(*r.EventPattern, `"environment":["prod"]`, `"environment":["prod","dev"]`, 1))
		}, "other sources, kinds or environments"},
		"no metric":   {"metrics", func(a *account) { a.metrics = nil }, "no metric"},
		"no schedule": {"schedules", func(a *account) { a.invoked = 0 }, "was not invoked"},
	}
}

// TestWhatIsNotAsDeployedIsFound breaks one thing of the account for each line.
func TestWhatIsNotAsDeployedIsFound(t *testing.T) {
	plan, all := planned(t), brokenData()
	maps.Copy(all, brokenRights(t))
	maps.Copy(all, brokenFunctions())
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			a := plan.deploy(t, "https://mcp.example.com")
			c.breaks(a)
			r := result(t, a.subject(t, Given{Restore: true}), c.check)
			if r.State != Failed || !strings.Contains(r.Says, c.says) {
				t.Errorf("%s is %s: %s", c.check, r.State, r.Says)
			}
		})
	}
}

// TestWhatTheOperatorMayNotAskIsLeftOut: it says nothing about the stack, neither
// good nor bad.
func TestWhatTheOperatorMayNotAskIsLeftOut(t *testing.T) {
	for operation, check := range map[string]string{"DetectStackDrift": "drift", "SimulatePrincipalPolicy": "roles", "GetKeyPolicy": "key-policy", "DescribeTable": "tables"} {
		a := deployed(t, "https://mcp.example.com")
		a.forbidden = operation
		if r := result(t, a.subject(t, Given{}), check); r.State != LeftOut || !strings.Contains(r.Says, "your own rights") {
			t.Errorf("%s is %s: %s", check, r.State, r.Says)
		}
	}
	a := deployed(t, "https://mcp.example.com")
	a.rights.Roles[operator] = iam.Policy{}
	delete(a.rights.Resources, audit(a))
	if r := result(t, a.subject(t, Given{}), "audit-append-only"); r.State != LeftOut {
		t.Errorf("an operator without rights proves something: %s: %s", r.State, r.Says)
	}
}

// TestNothingIsMadeUnasked: no restore without the word, and no table is deleted
// that was not made for it.
func TestNothingIsMadeUnasked(t *testing.T) {
	a := deployed(t, "https://mcp.example.com")
	s := a.subject(t, Given{})
	if r := result(t, s, "restore"); r.State != LeftOut || len(a.restored)+len(a.deleted) > 0 {
		t.Errorf("%s: restored %v, deleted %v", r.State, a.restored, a.deleted)
	}
	if err := s.discard(t.Context(), stackName+"-catalogue"); err == nil || len(a.deleted) > 0 {
		t.Errorf("deleted %v, %v", a.deleted, err)
	}
}

// TestARunEndsByWhatFailed also holds the shape of what is printed.
func TestARunEndsByWhatFailed(t *testing.T) {
	fine := Check{Name: "fine", run: func(context.Context, *Subject) (string, error) { return "it is", nil }}
	out := Check{Name: "out", run: func(context.Context, *Subject) (string, error) { return "", leftOut("nothing was given") }}
	bad := Check{Name: "bad", Proves: "it holds", Next: "mend it", run: func(context.Context, *Subject) (string, error) { return "", context.Canceled }}
	for _, c := range []struct {
		list   []Check
		failed bool
		last   string
	}{
		{[]Check{fine, out}, false, "smoke: 1 ok, 0 failed, 1 left out\n"},
		{[]Check{fine, bad}, true, "smoke: 1 ok, 1 failed, 0 left out\n"},
		{[]Check{out}, true, "smoke: 0 ok, 0 failed, 1 left out\n"},
	} {
		var text bytes.Buffer
		_, err := Run(t.Context(), &Subject{}, c.list, &text)
		if (err != nil) != c.failed || !strings.HasSuffix(text.String(), c.last) {
			t.Errorf("%v:\n%s", err, text.String())
		}
		if c.list[len(c.list)-1].Name == "bad" && !strings.Contains(text.String(), "next: mend it") {
			t.Errorf("no next step:\n%s", text.String())
		}
	}
}

// TestNoStackOfBindery is refused before anything is looked at.
func TestNoStackOfBindery(t *testing.T) {
	a := deployed(t, "https://mcp.example.com")
	if _, err := Read(t.Context(), "another", Cloud{Stacks: a}, Given{}); err == nil || !strings.Contains(err.Error(), "ValidationError") {
		t.Error(err)
	}
	a.stacks[stackName].Outputs = nil
	if _, err := Read(t.Context(), stackName, Cloud{Stacks: a}, Given{}); err == nil || !strings.Contains(err.Error(), "none of Bindery's") {
		t.Error(err)
	}
}
