package rights

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// asked is a line of the table by which make smoke asks IAM about deployed roles.
type asked struct {
	Attack   string              `json:"attack"`
	Action   string              `json:"action"`
	Resource string              `json:"resource"`
	Context  map[string][]string `json:"context,omitempty"`
	May      []string            `json:"may"`
}

const askedFile = root + "infra/smoke/checks/attacks.json"

// TestSmokeAsksAboutTheSameAttacks: what is played here with the template's roles
// is asked of IAM about the deployed ones. -update rewrites the file.
func TestSmokeAsksAboutTheSameAttacks(t *testing.T) {
	narrow, wide := deploy(t, map[string]any{"Environment": environment, "Issuers": "{}"}), deploy(t, widest())
	var lines []asked
	for _, a := range slices.Concat(onSecrets(), onEvidence(), onRows(), onFunctions(), []attack{
		row("read the catalogue of another stack", "Query", "other-catalogue", "server/prod/github", ""),
		row("refresh a grant without saying whose", "UpdateItem", "grants", "", ""),
	}) {
		if strings.Contains(a.resource, ":kms:") || strings.Contains(a.resource, "/stream/") {
			continue // IAM simulates no key's policy for a role, and nobody knows the stream's name beforehand
		}
		may := narrow.byRolesAlone(t, a)
		if !slices.Equal(may, wide.byRolesAlone(t, a)) {
			continue // a parameter decides it
		}
		lines = append(lines, a.anywhere(may))
	}
	text, err := json.MarshalIndent(lines, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(askedFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stands, err := os.ReadFile(askedFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(stands), string(text)); diff != "" {
		t.Errorf("%s (-file +attacks), go test ./tests/rights -update rewrites it:\n%s", askedFile, diff)
	}
	if len(lines) < 50 {
		t.Errorf("only %d attacks are left", len(lines))
	}
}

// byRolesAlone names the functions whose role's own policies allow an attack.
func (d deployed) byRolesAlone(t *testing.T, a attack) []string {
	t.Helper()
	may := []string{}
	for _, function := range d.stack.Resources("AWS::Serverless::Function") {
		role, err := d.stack.RoleOf(function)
		if err != nil {
			t.Fatal(err)
		}
		decision, err := iam.Account{Roles: d.account.Roles}.Decide(iam.Request{Principal: role, Action: a.action, Resource: a.resource, Keys: a.keys})
		if err != nil {
			t.Fatal(err)
		}
		if decision.Verdict == iam.Allowed {
			may = append(may, strings.ToLower(strings.TrimSuffix(function, "Function")))
		}
	}
	return may
}

// anywhere says an attack without the names of this stack, account and environment.
func (a attack) anywhere(may []string) asked {
	names := strings.NewReplacer(
		"secret:"+environment+"/", "secret:${SecretsPath}", "arn:aws:", "arn:${Partition}:", template.Region, "${Region}", template.AccountID, "${Account}",
		stackName+"-", "${Name}-", "role/"+stackName, "role/${Name}",
		"event-bus/default", "event-bus/${EventBus}", "dev/", "${Environment}-other/", environment, "${Environment}")
	whole := func(text string) string {
		if text == "dev" {
			return "${Environment}-other"
		}
		return names.Replace(text)
	}
	line := asked{Attack: a.what, Action: a.action, Resource: whole(a.resource), May: may}
	if len(a.keys) > 0 {
		line.Context = map[string][]string{}
	}
	documented := strings.NewReplacer("leadingkeys", "LeadingKeys", "versionstage", "VersionStage", "resourcetag", "ResourceTag") // IAM may be strict about them
	for _, key := range slices.Sorted(maps.Keys(a.keys)) {
		for _, value := range a.keys[key] {
			line.Context[documented.Replace(key)] = append(line.Context[documented.Replace(key)], whole(value))
		}
	}
	return line
}
