package rights

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// TestNothingIsWiderThanItMayBe, whatever the parameters add.
func TestNothingIsWiderThanItMayBe(t *testing.T) {
	for _, parameters := range []map[string]any{widest(), {"Environment": environment, "Issuers": "{}"}} {
		for _, why := range wide(deploy(t, parameters)) {
			t.Error(why)
		}
	}
}

// TestEachReasonIsNeeded: a reason for what is no longer there would let it come back.
func TestEachReasonIsNeeded(t *testing.T) {
	d := deploy(t, widest())
	statements, actions := map[string]bool{}, map[string]bool{}
	names, policies := d.named()
	for _, name := range names {
		for _, s := range policies[name].Statements {
			statements[name+" "+s.Sid] = !rowsBounded(s)
			for _, a := range s.Actions {
				actions[a] = actions[a] || strings.Join(s.Resources, "") == "*"
			}
		}
	}
	for where, why := range whole {
		if !statements[where] || why == "" {
			t.Errorf("%s: %q is a reason for nothing", where, why)
		}
	}
	for action, why := range unbounded {
		if !actions[action] {
			t.Errorf("%s: %q is a reason for nothing", action, why)
		}
	}
}

// TestAWiderRightIsRefused: each sample is a statement that somebody could add to a
// role, or to the policy of table or key.
func TestAWiderRightIsRefused(t *testing.T) {
	const (
		table  = `arn:aws:dynamodb:us-east-1:123456789012:table/bindery-`
		rows   = `"Condition":{"ForAllValues:StringLike":{"dynamodb:LeadingKeys":["grants/prod/*"]},"Null":{"dynamodb:LeadingKeys":"false"}}`
		tagged = `"Condition":{"StringEquals":{"secretsmanager:ResourceTag/bindery-environment":"prod"},"StringEqualsIfExists":{"secretsmanager:VersionStage":["AWSCURRENT","AWSPREVIOUS"]}}`
		secret = `"Resource":"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/*"`
	)
	for sample, why := range map[string]string{
		`"Action":"dynamodb:*","Resource":"` + table + `grants",` + rows:                                                         "wildcard",
		`"Action":"*","Resource":"*"`:                                                                                            "wildcard",
		`"Action":"s3:GetObject","Resource":"*"`:                                                                                 "without a reason",
		`"Action":"dynamodb:GetItem","Resource":"` + table + `*",` + rows:                                                        "too many",
		`"Action":"dynamodb:GetItem","Resource":"` + table + `grants"`:                                                           "whole table",
		`"Action":"dynamodb:Scan","Resource":"` + table + `grants"`:                                                              "whole table",
		`"Action":"dynamodb:GetItem","Resource":"` + table + `grants",` + strings.Split(rows, `,"Null"`)[0] + `}`:                "whole table",
		`"Action":"dynamodb:GetItem","Resource":"` + table + `grants",` + strings.Replace(rows, "/prod", "", 1):                  "whole table",
		`"Action":"dynamodb:GetItem","Resource":"` + table + `grants",` + strings.Replace(rows, "prod/", "prod", 1):              "whole table",
		`"Action":"dynamodb:UpdateItem","Resource":"` + table + `audit",` + rows:                                                 "audit table",
		`"Action":"dynamodb:DeleteTable","Resource":"` + table + `grants",` + rows:                                               "not rows",
		`"Action":"secretsmanager:GetSecretValue",` + secret:                                                                     "without the tag",
		`"Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:us-east-1:123456789012:secret:*",` + tagged: "too many",
		`"Action":"secretsmanager:GetSecretValue",` + secret + `,` + strings.Replace(tagged, `AWSPREVIOUS`, `AWSPENDING`, 1):     "staged",
		`"Action":"kms:Decrypt","Resource":"` + secretsKey + `"`:                                                                 "through Secrets Manager",
		`"Action":"kms:Decrypt","Resource":"*"`:                                                                                  "without a reason",
		`"Action":"kms:Sign","Resource":"` + secretsKey + `"`:                                                                    "through Secrets Manager",
	} {
		d := deploy(t, widest())
		p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"Added","Effect":"Allow",`+sample+`}]}`), false)
		if err != nil {
			t.Fatal(err)
		}
		role := d.role(t, "ProxyRole")
		p.Statements = append(p.Statements, d.account.Roles[role].Statements...)
		d.account.Roles[role] = p
		refused(t, d, sample, why)
	}
}

// TestAWiderPolicyOfAResourceIsRefused, in the same way.
func TestAWiderPolicyOfAResourceIsRefused(t *testing.T) {
	proxy := `"Principal":{"AWS":"` + deploy(t, widest()).role(t, "ProxyRole") + `"},"Resource":"*",`
	account := `"Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Resource":"*",`
	for sample, why := range map[string]string{
		`"Principal":"*","Resource":"*","Action":"kms:DescribeKey"`:          "everybody",
		`"Principal":{"AWS":"*"},"Resource":"*","Action":"dynamodb:GetItem"`: "everybody",
		account + `"Action":"kms:*"`:                                         "kms:* by",
		account + `"Action":"kms:Decrypt"`:                                   "kms:Decrypt by",
		account + `"Action":"kms:CreateGrant"`:                               "kms:CreateGrant by",
		proxy + `"Action":"kms:CreateGrant"`:                                 "by a function",
		proxy + `"Action":"kms:Decrypt"`:                                     "any environment",
		proxy + `"Action":"kms:Decrypt","Condition":{"StringLike":{"kms:EncryptionContext:bindery:environment":"prod"}}`:   "any environment",
		proxy + `"Action":"kms:Decrypt","Condition":{"StringEquals":{"kms:EncryptionContext:bindery:environment":"prod"}}`: "any purpose",
	} {
		d := deploy(t, widest())
		p, err := iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"Added","Effect":"Allow",`+sample+`}]}`), true)
		if err != nil {
			t.Fatal(err)
		}
		d.account.Resources["arn:aws:kms:us-east-1:123456789012:key/added"] = p
		refused(t, d, sample, why)
	}
}

func refused(t *testing.T, d deployed, sample, why string) {
	t.Helper()
	for _, found := range wide(d) {
		if strings.Contains(found, "Added: ") && strings.Contains(found, why) {
			return
		}
	}
	t.Errorf("%s is not refused as %q: %v", sample, why, wide(d))
}

// TestATemplateWhosePoliciesAreNotThereIsRefused: what stands elsewhere, or takes
// away instead of giving, cannot be judged here.
func TestATemplateWhosePoliciesAreNotThereIsRefused(t *testing.T) {
	const role = "Resources:\n  OneRole:\n    Type: AWS::IAM::Role\n    Properties:\n"
	statement := func(members string) string {
		return role + "      Policies: [{ PolicyDocument: { Version: \"2012-10-17\", Statement: [{ Effect: Allow, " + members + " }] } }]\n"
	}
	for text, why := range map[string]string{
		role + "      ManagedPolicyArns: [\"arn:aws:iam::aws:policy/AdministratorAccess\"]\n": "not here",
		statement("NotAction: \"iam:*\", Resource: \"*\""):                                    "NotAction",
		statement("Action: \"s3:*\", NotResource: x"):                                         "NotResource",
		statement("Action: \"s3:*\", Resource: !ImportValue x"):                               "not known",
		"Resources:\n  Shared:\n    Type: AWS::IAM::ManagedPolicy\n    Properties:\n      Roles: [somebody]\n" +
			"      PolicyDocument: { Version: \"2012-10-17\", Statement: [{ Effect: Allow, Action: \"s3:GetObject\", Resource: \"*\" }] }\n": "no role of the stack",
	} {
		file := filepath.Join(t.TempDir(), "template.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := template.Read(file, stackName, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Account(); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestWithoutOptionsNothingIsAdded: rights that only some deployments need are
// given where a parameter says so.
func TestWithoutOptionsNothingIsAdded(t *testing.T) {
	names, policies := deploy(t, map[string]any{"Environment": environment, "Issuers": "{}", "Tracing": "false", "Authorizer": "none"}).named()
	for _, name := range names {
		if name == "AuthorizerRole" {
			t.Error("there is a role without a function")
		}
		for _, s := range policies[name].Statements {
			for _, sid := range []string{"DecryptSecrets", "EncryptSecrets", "SignAsClient", "RotateByFunction", "ListSecretNames", "WriteTrace", "ConnectFunctions"} {
				if s.Sid == sid {
					t.Errorf("%s has %s", name, sid)
				}
			}
		}
	}
}
