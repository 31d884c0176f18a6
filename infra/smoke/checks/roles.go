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

// Attack is a line of attacks.json, which tests/rights writes: what whoever has
// taken over a function could try, and the functions whose work it is. That those
// are allowed shows that IAM was asked the right question.
type Attack struct {
	Attack   string
	Action   string
	Resource string              // with ${Partition}, ${Region}, ${Account}, ${Name}, ${Environment}, ${SecretsPath}, ${EventBus}
	Context  map[string][]string // condition keys; the same placeholders
	May      []string
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
		unknown := slices.ContainsFunc(a.May, func(f string) bool { return !slices.Contains(functionNames(), f) })
		if a.Attack == "" || a.Action == "" || a.Resource == "" || unknown {
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
	var wrong []string
	for _, function := range s.present() {
		role := s.physical("AWS::IAM::Role", logical(function, "Role"))
		if role == "" {
			wrong = append(wrong, "there is no role of "+function)
			continue
		}
		for _, alike := range byPlace(attacks) {
			allowed, err := s.simulate(ctx, role, alike)
			if err != nil {
				return "", err
			}
			for _, a := range alike {
				may := slices.Contains(a.May, function)
				if is, said := allowed[a.Action]; !said || is != may {
					wrong = append(wrong, fmt.Sprintf("%s: %s (%s) is allowed: %t, said: %t", function, a.Attack, a.Action, is, said))
				}
			}
		}
	}
	return fmt.Sprintf("%d attacks by %d roles", len(attacks), len(s.present())), together(wrong)
}

// byPlace puts together what can be asked at once: other actions on the same
// resource under the same keys.
func byPlace(attacks []Attack) (groups [][]Attack) {
	at := map[string]int{}
	for _, a := range attacks {
		place := a.Resource + fmt.Sprint(a.Context) // maps print in the order of their keys
		i, met := at[place]
		if !met {
			i, at[place] = len(groups), len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], a)
	}
	return groups
}

// secretsPath is the path that secrets have, as the template decides it.
func (s *Subject) secretsPath() string {
	if path := s.Parameters["SecretsPath"]; path != "" {
		return path
	}
	return s.Environment + "/"
}

// simulate asks about attacks of one place and gives what IAM says of each action.
func (s *Subject) simulate(ctx context.Context, role string, alike []Attack) (map[string]bool, error) {
	fill := strings.NewReplacer("${Partition}", s.Partition, "${Region}", s.Region, "${Account}", s.Account, "${Name}", s.Name,
		"${Environment}", s.Environment, "${SecretsPath}", s.secretsPath(), "${EventBus}", s.Parameters["EventBus"])
	in := &iam.SimulatePrincipalPolicyInput{ResourceArns: []string{fill.Replace(alike[0].Resource)},
		PolicySourceArn: aws.String(fmt.Sprintf("arn:%s:iam::%s:role/%s", s.Partition, s.Account, role))}
	for _, a := range alike {
		in.ActionNames = append(in.ActionNames, a.Action)
	}
	for key, values := range alike[0].Context {
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
	allowed := map[string]bool{}
	pages := iam.NewSimulatePrincipalPolicyPaginator(s.Roles, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, asked("simulate the policies of "+role, err)
		}
		for _, r := range page.EvaluationResults {
			allowed[aws.ToString(r.EvalActionName)] = r.EvalDecision == types.PolicyEvaluationDecisionTypeAllowed
		}
	}
	return allowed, nil
}
