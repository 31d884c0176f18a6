package rights

import (
	"slices"
	"strings"
	"testing"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// TestAttacksFromInsideEachFunction plays every attack with the role of every
// function, with all that parameters can add to it: exactly those may whose work
// it is, and nobody may where none is named.
func TestAttacksFromInsideEachFunction(t *testing.T) {
	d := deploy(t, widest())
	left, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"Left","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+template.AccountID+
		`:root"},"Action":"kms:*","Resource":"*"}]}`), true)
	if err != nil {
		t.Fatal(err)
	}
	d.account.Resources[secretsKey], d.account.Resources[signingKey] = left, left // as a key's policy is unless somebody says otherwise
	attacks := slices.Concat(onSecrets(), onEvidence(), onSealedTexts(), onRows(), onFunctions())
	for _, a := range attacks {
		var may []string
		for _, function := range d.stack.Resources("AWS::Serverless::Function") {
			if d.decides(t, function, a).Verdict == iam.Allowed {
				may = append(may, strings.ToLower(strings.TrimSuffix(function, "Function")))
			}
		}
		if got := strings.Join(may, " "); got != a.may {
			t.Errorf("%s (%s): may be done by %q, want %q", a.what, a.action, got, a.may)
		}
	}
}

// decides judges an attack from inside a function: by its code, not by Lambda.
func (d deployed) decides(t *testing.T, function string, a attack) iam.Decision {
	t.Helper()
	role, err := d.stack.RoleOf(function)
	if err != nil {
		t.Fatal(err)
	}
	arn, err := d.stack.ARN(function)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{"lambda:sourcefunctionarn": {arn}}
	for key, values := range a.keys {
		keys[key] = values
	}
	decision, err := d.account.Decide(iam.Request{Principal: role, Action: a.action, Resource: d.whole(a.resource), Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// TestAnAdministratorOfTheAccountChangesNoRecordAndOpensNothing, with all rights
// that IAM can give: what resources forbid, or do not allow, stands against them.
// They could change those policies; CloudTrail shows it.
func TestAnAdministratorOfTheAccountChangesNoRecordAndOpensNothing(t *testing.T) {
	d := deploy(t, widest())
	const administrator = "arn:aws:iam::" + template.AccountID + ":role/administrator"
	everything, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"Everything","Effect":"Allow","Action":"*","Resource":"*"}]}`), false)
	if err != nil {
		t.Fatal(err)
	}
	d.account.Roles[administrator] = everything
	for _, a := range []struct {
		attack
		want iam.Verdict
	}{
		{row("change a record", "UpdateItem", "audit", "01JABCDEF", ""), iam.ExplicitlyDenied},
		{row("delete a record", "DeleteItem", "audit", "01JABCDEF", ""), iam.ExplicitlyDenied},
		{row("delete records in a batch", "BatchWriteItem", "audit", "01JABCDEF", ""), iam.ExplicitlyDenied},
		{row("delete by a statement", "PartiQLDelete", "audit", "01JABCDEF", ""), iam.ExplicitlyDenied},
		{row("update by a statement", "PartiQLUpdate", "audit", "01JABCDEF", ""), iam.ExplicitlyDenied},
		{row("insert by a statement", "PartiQLInsert", "audit", "01JABCDEF", ""), iam.ExplicitlyDenied},
		{row("let records expire", "UpdateTimeToLive", "audit", "", ""), iam.ExplicitlyDenied},
		{opening("open a grant", "Decrypt", environment, "grant", ""), iam.ImplicitlyDenied},
		{opening("open a value", "Decrypt", environment, "value", ""), iam.ImplicitlyDenied},
		{opening("seal something", "GenerateDataKey", environment, "value", ""), iam.ImplicitlyDenied},
		{opening("lend the key", "CreateGrant", environment, "grant", ""), iam.ImplicitlyDenied},
		{opening("look at the key", "DescribeKey", "", "", ""), iam.Allowed},
	} {
		got, err := d.account.Decide(iam.Request{Principal: administrator, Action: a.action, Resource: d.whole(a.resource), Keys: a.keys})
		if err != nil || got.Verdict != a.want {
			t.Errorf("%s: %s, %v; want %s", a.what, got.Verdict, err, a.want)
		}
	}
}

// whole is a resource's ARN; the stack's key has a short name here.
func (d deployed) whole(resource string) string {
	if resource != "key" {
		return resource
	}
	for arn := range d.account.Resources {
		if strings.HasSuffix(arn, "-ValuesKey") {
			return arn
		}
	}
	return ""
}
