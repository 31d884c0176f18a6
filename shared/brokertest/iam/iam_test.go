package iam

import (
	"strings"
	"testing"
)

const (
	role    = "arn:aws:iam::123456789012:role/reader"
	account = "arn:aws:iam::123456789012:root"
	table   = "arn:aws:dynamodb:us-east-1:123456789012:table/notes"
	key     = "arn:aws:kms:us-east-1:123456789012:key/one"
)

// conditioned is a permission to get items of one table under a condition.
func conditioned(condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"One","Effect":"Allow","Action":"dynamodb:GetItem","Resource":"` + table + `","Condition":` + condition + `}]}`
}

func parsed(t *testing.T, text string, ofResource bool) Policy {
	t.Helper()
	if text == "" {
		return Policy{}
	}
	p, err := Parse([]byte(text), ofResource)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestConditionsHoldAsDocumented is a table of what AWS's documentation says about
// operators, about keys with several values, and about keys that are absent.
func TestConditionsHoldAsDocumented(t *testing.T) {
	const leading = "dynamodb:leadingkeys"
	none, one, both := map[string][]string{}, map[string][]string{leading: {"a/1"}}, map[string][]string{leading: {"a/1", "b/1"}}
	for _, c := range []struct {
		condition string
		keys      map[string][]string
		want      bool
	}{
		{`{"StringEquals":{"dynamodb:LeadingKeys":"a/1"}}`, one, true},
		{`{"StringEquals":{"DynamoDB:leadingKeys":"a/1"}}`, one, true}, // names of keys have no case
		{`{"StringEquals":{"dynamodb:LeadingKeys":"A/1"}}`, one, false},
		{`{"StringEqualsIgnoreCase":{"dynamodb:LeadingKeys":"A/1"}}`, one, true},
		{`{"StringEquals":{"dynamodb:LeadingKeys":"a/*"}}`, one, false}, // a star, to Equals
		{`{"StringEquals":{"dynamodb:LeadingKeys":["x","a/1"]}}`, one, true},
		{`{"StringEquals":{"dynamodb:LeadingKeys":"a/1"}}`, none, false},
		{`{"StringEqualsIfExists":{"dynamodb:LeadingKeys":"x"}}`, none, true},
		{`{"StringEqualsIfExists":{"dynamodb:LeadingKeys":"x"}}`, one, false},
		{`{"StringNotEquals":{"dynamodb:LeadingKeys":"a/1"}}`, none, true}, // of an absent key
		{`{"StringNotEquals":{"dynamodb:LeadingKeys":"a/1"}}`, one, false},
		{`{"StringNotEquals":{"dynamodb:LeadingKeys":["x","a/1"]}}`, one, false}, // neither
		{`{"StringNotLike":{"dynamodb:LeadingKeys":"b/*"}}`, one, true},
		{`{"StringLike":{"dynamodb:LeadingKeys":"a/*"}}`, one, true},
		{`{"StringLike":{"dynamodb:LeadingKeys":"?/1"}}`, one, true},
		{`{"StringLike":{"dynamodb:LeadingKeys":"??/1"}}`, one, false},
		{`{"StringLike":{"dynamodb:LeadingKeys":"*/*/*"}}`, one, false},
		{`{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"a/*"}}`, one, true},
		{`{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"a/*"}}`, both, false},
		{`{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["a/*","b/*"]}}`, both, true},
		{`{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"a/*"}}`, none, true}, // which is why Null stands beside it
		{`{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"a/*"},"Null":{"dynamodb:LeadingKeys":"false"}}`, none, false},
		{`{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":"a/*"},"Null":{"dynamodb:LeadingKeys":"false"}}`, one, true},
		{`{"ForAllValues:StringNotEquals":{"dynamodb:LeadingKeys":"a/1"}}`, both, false},
		{`{"ForAnyValue:StringLike":{"dynamodb:LeadingKeys":"a/*"}}`, both, true},
		{`{"ForAnyValue:StringLike":{"dynamodb:LeadingKeys":"c/*"}}`, both, false},
		{`{"ForAnyValue:StringLike":{"dynamodb:LeadingKeys":"a/*"}}`, none, false},
		{`{"ForAnyValue:StringNotEquals":{"dynamodb:LeadingKeys":"a/1"}}`, none, false},
		{`{"ForAnyValue:StringNotEquals":{"dynamodb:LeadingKeys":"a/1"}}`, both, true},
		{`{"Null":{"dynamodb:LeadingKeys":true}}`, none, true},
		{`{"Null":{"dynamodb:LeadingKeys":"true"}}`, one, false},
		{`{"Bool":{"aws:SecureTransport":"true"}}`, map[string][]string{"aws:securetransport": {"true"}}, true},
		{`{"Bool":{"aws:SecureTransport":"false"}}`, none, false},
		{`{"BoolIfExists":{"aws:SecureTransport":"false"}}`, none, true},
		{`{"ArnLike":{"lambda:SourceFunctionArn":"arn:aws:lambda:*:123456789012:function:*"}}`,
			map[string][]string{"lambda:sourcefunctionarn": {"arn:aws:lambda:us-east-1:123456789012:function:proxy"}}, true},
		{`{"ArnEquals":{"lambda:SourceFunctionArn":"arn:aws:lambda:*:function:*"}}`, // no * reaches over a colon
			map[string][]string{"lambda:sourcefunctionarn": {"arn:aws:lambda:us-east-1:123456789012:function:proxy"}}, false},
		{`{"StringEquals":{"dynamodb:LeadingKeys":"a/1","dynamodb:Select":"COUNT"}}`, one, false}, // every key
		{`{"StringEquals":{"dynamodb:LeadingKeys":"a/1"},"StringLike":{"dynamodb:LeadingKeys":"b/*"}}`, one, false},
	} {
		a := Account{Roles: map[string]Policy{role: parsed(t, conditioned(c.condition), false)}}
		d, err := a.Decide(Request{role, "dynamodb:GetItem", table, c.keys})
		if err != nil || (d.Verdict == Allowed) != c.want {
			t.Errorf("%s of %v: %s, %v", c.condition, c.keys, d.Verdict, err)
		}
	}
}

// TestASingleValuedOperatorIsNotAskedAboutSeveralValues: AWS says nothing of what
// it would answer, so neither does this.
func TestASingleValuedOperatorIsNotAskedAboutSeveralValues(t *testing.T) {
	a := Account{Roles: map[string]Policy{role: parsed(t, conditioned(`{"StringLike":{"dynamodb:LeadingKeys":"*"}}`), false)}}
	if d, err := a.Decide(Request{role, "dynamodb:GetItem", table, map[string][]string{"dynamodb:leadingkeys": {"a", "b"}}}); err == nil {
		t.Errorf("it is %s", d.Verdict)
	}
}

// TestWhatIsNotKnownIsNoPolicy: a misread policy would be judged narrower, or
// wider, than it is.
func TestWhatIsNotKnownIsNoPolicy(t *testing.T) {
	statement := func(members string) string {
		return `{"Version":"2012-10-17","Statement":[{"Sid":"One",` + members + `}]}`
	}
	const plain = `"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"`
	for text, why := range map[string]string{
		statement(plain + `,"Condition":{"NumericLessThan":{"dynamodb:LeadingKeys":"1"}}`):                   "operator",
		statement(plain + `,"Condition":{"ForSomeValues:StringLike":{"dynamodb:LeadingKeys":"1"}}`):          "set operator",
		statement(plain + `,"Condition":{"NullIfExists":{"dynamodb:LeadingKeys":"true"}}`):                   "does not exist",
		statement(plain + `,"Condition":{"StringLike":{"dynamodb:LeadingKeys":"${aws:PrincipalTag/team}"}}`): "variable",
		statement(plain + `,"Condition":{"StringLike":{"dynamodb:LeadingKeys":[]}}`):                         "empty list",
		statement(`"Effect":"Allow","NotAction":"iam:*","Resource":"*"`):                                     "NotAction",
		statement(`"Effect":"Allow","Action":"s3:*","NotResource":"*"`):                                      "NotResource",
		statement(`"Effect":"Permit","Action":"s3:*","Resource":"*"`):                                        "effect",
		statement(`"Effect":"Allow","Action":"s3:GetObject"`):                                                "needs",
		statement(plain + `,"Principal":"*"`):                                                                "principals",
		`{"Version":"2008-10-17","Statement":[]}`:                                                            "version",
		`{"Version":"2012-10-17","Statements":[]}`:                                                           "unknown field",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":{"Ref":"x"},"Resource":"*"}]}`:      "belongs",
	} {
		if _, err := Parse([]byte(text), false); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestAPrincipalInAnotherSpellingIsNoPolicy: AWS takes an account's number for its
// root, and a prohibition that is passed over would be a right.
func TestAPrincipalInAnotherSpellingIsNoPolicy(t *testing.T) {
	for _, who := range []string{"123456789012", "AIDAEXAMPLE", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::*:root", "lambda", ""} {
		text := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"` + who + `"},"Action":"dynamodb:DeleteItem","Resource":"*"}]}`
		if _, err := Parse([]byte(text), true); err == nil || !strings.Contains(err.Error(), "principal") {
			t.Errorf("%q: %v", who, err)
		}
	}
}

// TestPoliciesAreJoinedAsDocumented: an explicit denial wins wherever it stands, a
// table's policy can allow beside the role's, and a key's policy has the last word.
func TestPoliciesAreJoinedAsDocumented(t *testing.T) {
	policy := func(sid, effect, principal, action, resource string) string {
		if principal != "" {
			principal = `"Principal":` + principal + `,`
		}
		return `{"Version":"2012-10-17","Statement":[{"Sid":"` + sid + `","Effect":"` + effect + `",` + principal + `"Action":"` + action + `","Resource":"` + resource + `"}]}`
	}
	get, decrypt := policy("Role", "Allow", "", "dynamodb:GetItem", table), policy("Role", "Allow", "", "kms:Decrypt", key)
	named, delegated := `{"AWS":"`+role+`"}`, `{"AWS":["`+account+`"]}`
	for _, c := range []struct {
		what, role, resource, action, on string
		want                             Verdict
		by                               string
	}{
		{"nothing", "", "", "dynamodb:GetItem", table, ImplicitlyDenied, ""},
		{"the role's", get, "", "dynamodb:GetItem", table, Allowed, "Role"},
		{"another action", get, "", "dynamodb:PutItem", table, ImplicitlyDenied, ""},
		{"another table", get, "", "dynamodb:GetItem", table + "-audit", ImplicitlyDenied, ""},
		{"an index is no table", get, "", "dynamodb:GetItem", table + "/index/due", ImplicitlyDenied, ""},
		{"the case of actions", get, "", "DynamoDB:getitem", table, Allowed, "Role"},
		{"an action with stars", policy("Role", "Allow", "", "dynamodb:*Item", table), "", "dynamodb:GetItem", table, Allowed, "Role"},
		{"a resource with stars", policy("Role", "Allow", "", "dynamodb:GetItem", "arn:aws:dynamodb:*:table/no?es"), "", "dynamodb:GetItem", table, Allowed, "Role"},
		{"a table's own", "", policy("Table", "Allow", named, "dynamodb:GetItem", table), "dynamodb:GetItem", table, Allowed, "Table"},
		{"a table's own, for everybody", "", policy("Table", "Allow", `"*"`, "dynamodb:GetItem", table), "dynamodb:GetItem", table, Allowed, "Table"},
		{"a table's own, for another", "", policy("Table", "Allow", `{"AWS":"`+role+`2"}`, "dynamodb:GetItem", table), "dynamodb:GetItem", table, ImplicitlyDenied, ""},
		{"a table that leaves it to the account", "", policy("Table", "Allow", delegated, "dynamodb:GetItem", table), "dynamodb:GetItem", table, ImplicitlyDenied, ""},
		{"a table that forbids", get, policy("Table", "Deny", `"*"`, "dynamodb:GetItem", table), "dynamodb:GetItem", table, ExplicitlyDenied, "Table"},
		{"a table that forbids other things", get, policy("Table", "Deny", `"*"`, "dynamodb:DeleteItem", table), "dynamodb:GetItem", table, Allowed, "Role"},
		{"a role that forbids", policy("Role", "Deny", "", "dynamodb:*", "*"), policy("Table", "Allow", named, "dynamodb:GetItem", table), "dynamodb:GetItem", table, ExplicitlyDenied, "Role"},
		{"the role's alone, at a key", decrypt, "", "kms:Decrypt", key, ImplicitlyDenied, ""},
		{"the key's alone", "", policy("Key", "Allow", named, "kms:Decrypt", "*"), "kms:Decrypt", key, Allowed, "Key"},
		{"the key's, for another", decrypt, policy("Key", "Allow", `{"AWS":"`+role+`2"}`, "kms:Decrypt", "*"), "kms:Decrypt", key, ImplicitlyDenied, ""},
		{"a key that leaves it to the account", decrypt, policy("Key", "Allow", delegated, "kms:*", "*"), "kms:Decrypt", key, Allowed, "Role"},
		{"a key that leaves something else to the account", decrypt, policy("Key", "Allow", delegated, "kms:DescribeKey", "*"), "kms:Decrypt", key, ImplicitlyDenied, ""},
		{"left to the account, and no right", "", policy("Key", "Allow", delegated, "kms:*", "*"), "kms:Decrypt", key, ImplicitlyDenied, ""},
		{"a key that forbids", decrypt, policy("Key", "Deny", delegated, "kms:Decrypt", "*"), "kms:Decrypt", key, ExplicitlyDenied, "Key"},
		{"a key for a service", decrypt, policy("Key", "Allow", `{"Service":"lambda.amazonaws.com"}`, "kms:Decrypt", "*"), "kms:Decrypt", key, ImplicitlyDenied, ""},
	} {
		a := Account{Roles: map[string]Policy{role: parsed(t, c.role, false)}, Resources: map[string]Policy{c.on: parsed(t, c.resource, true)}}
		d, err := a.Decide(Request{Principal: role, Action: c.action, Resource: c.on})
		if err != nil || d.Verdict != c.want || strings.Join(d.By, " ") != c.by {
			t.Errorf("%s: %s by %v, %v; want %s by %s", c.what, d.Verdict, d.By, err, c.want, c.by)
		}
	}
}

// TestAnUnknownRoleIsDenied, even where a table's policy allows everybody of this
// account.
func TestAnUnknownRoleIsDenied(t *testing.T) {
	open := parsed(t, `{"Version":"2012-10-17","Statement":[{"Sid":"Open","Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`, true)
	d, err := Account{Resources: map[string]Policy{table: open}}.Decide(Request{Principal: role, Action: "dynamodb:GetItem", Resource: table})
	if err != nil || d.Verdict != ImplicitlyDenied {
		t.Errorf("it is %s, %v", d.Verdict, err)
	}
}
