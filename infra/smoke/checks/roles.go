package checks

import (
	"context"
	_ "embed" // the table of attacks
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

//go:embed attacks.json
var attackTable []byte

// Attack is a line of attacks.json: what some functions' roles must not be able
// to do, or must be, so that a simulation that denies everything is seen.
type Attack struct {
	Attack   string
	Roles    []string // functions, or * for all of them
	Actions  []string
	Resource string              // with ${Partition}, ${Region}, ${Account}, ${Name}, ${Environment}, ${SecretsPath}, ${EventBus}
	Context  map[string][]string // condition keys; the same placeholders
	Want     string              // denied or allowed
}

// Attacks reads the table. What it does not know is an error.
func Attacks() ([]Attack, error) {
	d := json.NewDecoder(strings.NewReader(string(attackTable)))
	d.DisallowUnknownFields()
	var list []Attack
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("attacks.json: %w", err)
	}
	for _, a := range list {
		known := !slices.ContainsFunc(a.Roles, func(r string) bool { return r != "*" && !slices.Contains(functionNames(), r) })
		if a.Attack == "" || len(a.Roles) == 0 || len(a.Actions) == 0 || a.Resource == "" || !known || a.Want != "denied" && a.Want != "allowed" {
			return nil, fmt.Errorf("attacks.json: the line %q is not complete", a.Attack)
		}
	}
	return list, nil
}

// Roles is IAM's side.
type Roles interface {
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput, ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error)
}

func roleChecks() []Check {
	return []Check{{"roles", "IAM itself, asked about each role as deployed, denies every attack of the table and allows what a role needs",
		"Compare the role's policies with infra/roles.yaml, look for policies attached by hand, and deploy again.", attackRoles}}
}

func attackRoles(ctx context.Context, s *Subject) (string, error) {
	attacks, err := Attacks()
	if err != nil {
		return "", err
	}
	fill := strings.NewReplacer("${Partition}", s.Partition, "${Region}", s.Region, "${Account}", s.Account, "${Name}", s.Name,
		"${Environment}", s.Environment, "${SecretsPath}", s.secretsPath(), "${EventBus}", s.Parameters["EventBus"])
	var wrong []string
	questions := 0
	for _, function := range s.present() {
		role := s.physical("AWS::IAM::Role", logical(function, "Role"))
		if role == "" {
			wrong = append(wrong, "there is no role of "+function)
			continue
		}
		for _, a := range attacks {
			if !slices.Contains(a.Roles, "*") && !slices.Contains(a.Roles, function) {
				continue
			}
			found, err := s.simulate(ctx, role, a, fill)
			if err != nil {
				return "", err
			}
			questions += len(a.Actions)
			for _, action := range found {
				wrong = append(wrong, fmt.Sprintf("%s: %s (%s) is not %s", function, a.Attack, action, a.Want))
			}
		}
	}
	return fmt.Sprintf("%d questions about %d roles", questions, len(s.present())), together(wrong)
}

// secretsPath is the path that secrets have, as the template decides it.
func (s *Subject) secretsPath() string {
	if path := s.Parameters["SecretsPath"]; path != "" {
		return path
	}
	return s.Environment + "/"
}

// simulate asks about one line and gives the actions that are decided otherwise
// than it wants. An action that IAM says nothing about is one of them.
func (s *Subject) simulate(ctx context.Context, role string, a Attack, fill *strings.Replacer) ([]string, error) {
	in := &iam.SimulatePrincipalPolicyInput{ActionNames: a.Actions, ResourceArns: []string{fill.Replace(a.Resource)},
		PolicySourceArn: aws.String(fmt.Sprintf("arn:%s:iam::%s:role/%s", s.Partition, s.Account, role))}
	for key, values := range a.Context {
		kind := types.ContextKeyTypeEnumString
		if key == "dynamodb:LeadingKeys" || len(values) > 1 {
			kind = types.ContextKeyTypeEnumStringList
		}
		entry := types.ContextEntry{ContextKeyName: aws.String(key), ContextKeyType: kind}
		for _, v := range values {
			entry.ContextKeyValues = append(entry.ContextKeyValues, fill.Replace(v))
		}
		in.ContextEntries = append(in.ContextEntries, entry)
	}
	decided := map[string]bool{}
	pages := iam.NewSimulatePrincipalPolicyPaginator(s.Roles, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, asked("simulate the policies of "+role, err)
		}
		for _, r := range page.EvaluationResults {
			allowed := r.EvalDecision == types.PolicyEvaluationDecisionTypeAllowed
			decided[aws.ToString(r.EvalActionName)] = allowed == (a.Want == "allowed")
		}
	}
	return slices.DeleteFunc(slices.Clone(a.Actions), func(action string) bool { return decided[action] }), nil
}
