// Package rights holds what the deployed functions may do: that docs/rights.md says
// it, that nothing is wider than it says, that no attack from inside a function
// reaches what it should not, and that nothing which a function does is missing.
// It asks no AWS account; the policies are judged by brokertest/iam.
package rights

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

const (
	root        = "../../"
	stackName   = "bindery"
	environment = "prod"
	secretsKey  = "arn:aws:kms:" + template.Region + ":" + template.AccountID + ":key/of-the-customer"
	signingKey  = "arn:aws:kms:" + template.Region + ":" + template.AccountID + ":key/that-signs"
	rotator     = "arn:aws:lambda:" + template.Region + ":" + template.AccountID + ":function:rotator"
)

// widest are the parameters with which every right is given that can be.
func widest() map[string]any {
	return map[string]any{"Environment": environment, "Issuers": "{}", "SecretsKeyArn": secretsKey, "SigningKeyArn": signingKey,
		"SecretRotationFunctions": rotator, "ListSecretNames": "true", "SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1"}
}

// deployed is a stack with what it brings into its account.
type deployed struct {
	stack   *template.Stack
	account iam.Account
}

func deploy(t *testing.T, parameters map[string]any) deployed {
	t.Helper()
	s, err := template.Read(root+"template.yaml", stackName, parameters)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account()
	if err != nil {
		t.Fatal(err)
	}
	return deployed{s, a}
}

// named gives the policies of roles by what they are called in the template, in
// the order of the functions.
func (d deployed) named() (names []string, policies map[string]iam.Policy) {
	policies = map[string]iam.Policy{}
	for arn, p := range d.account.Roles {
		name := arn[strings.LastIndex(arn, "-")+1:]
		names, policies[name] = append(names, name), p
	}
	slices.Sort(names)
	return names, policies
}

// role is the ARN of one.
func (d deployed) role(t *testing.T, name string) string {
	t.Helper()
	for arn := range d.account.Roles {
		if strings.HasSuffix(arn, "-"+name) {
			return arn
		}
	}
	t.Fatalf("there is no role %s", name)
	return ""
}

// ofResource is the policy of the one resource whose ARN ends so.
func (d deployed) ofResource(t *testing.T, end string) iam.Policy {
	t.Helper()
	for arn, p := range d.account.Resources {
		if strings.HasSuffix(arn, end) {
			return p
		}
	}
	t.Fatalf("no resource's policy is for %s", end)
	return iam.Policy{}
}

// sharedPolicy is what several roles have in common.
const sharedPolicy = "NetworkInterfaces"

// remarks are the comments beside the statements' names, by resource and name.
func remarks(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, file := range []string{"template.yaml", "infra/roles.yaml", "infra/tables.yaml", "infra/keys.yaml"} {
		text, err := os.ReadFile(root + file)
		if err != nil {
			t.Fatal(err)
		}
		var document yaml.Node
		if err := yaml.Unmarshal(text, &document); err != nil {
			t.Fatal(err)
		}
		for _, resource := range pairs(child(document.Content[0], "Resources")) {
			walk(resource[1], func(mapping *yaml.Node) {
				if sid := child(mapping, "Sid"); sid != nil {
					found[resource[0].Value+" "+sid.Value] = strings.TrimSpace(strings.TrimPrefix(sid.LineComment, "#"))
				}
			})
		}
	}
	return found
}

// pairs are the names and values of a mapping.
func pairs(n *yaml.Node) (list [][2]*yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i < len(n.Content); i += 2 {
		list = append(list, [2]*yaml.Node{n.Content[i], n.Content[i+1]})
	}
	return list
}

func child(n *yaml.Node, name string) *yaml.Node {
	for _, p := range pairs(n) {
		if p[0].Value == name {
			return p[1]
		}
	}
	return nil
}

func walk(n *yaml.Node, visit func(mapping *yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		visit(n)
	}
	for _, c := range n.Content {
		walk(c, visit)
	}
}

// TestNoStatementIsOverlooked: a statement that stands under a condition which no
// parameter here fulfils would be judged by nobody.
func TestNoStatementIsOverlooked(t *testing.T) {
	d := deploy(t, widest())
	seen := map[string]bool{}
	names, policies := d.named()
	for _, name := range names {
		for _, s := range policies[name].Statements {
			seen[name+" "+s.Sid], seen[sharedPolicy+" "+s.Sid] = true, true
		}
	}
	for resource, end := range map[string]string{"AuditTable": "-audit", "ValuesKey": "-ValuesKey"} {
		for _, s := range d.ofResource(t, end).Statements {
			seen[resource+" "+s.Sid] = true
		}
	}
	for statement := range remarks(t) {
		if !seen[statement] {
			t.Errorf("%s is in the template and is not judged", statement)
		}
	}
	if len(seen) < 100 {
		t.Errorf("%d statements", len(seen))
	}
}
