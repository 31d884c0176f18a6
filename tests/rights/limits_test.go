package rights

import (
	"encoding/json"
	"strings"
	"testing"

	"bindery/shared/brokertest/template"
)

// TestPoliciesFitIntoWhatIAMTakes: 10,240 characters for all inline policies of a
// role together, without white space, and 32 KiB for a key's. A role that is longer
// cannot be deployed.
func TestPoliciesFitIntoWhatIAMTakes(t *testing.T) {
	parameters := widest()
	parameters["Environment"] = "an-environment-with-quite-a-long-name-00"                 // the longest that the template takes
	whole, err := template.Read(root+"template.yaml", strings.Repeat("s", 53), parameters) // with -authorizer, as long as a function's name may be
	if err != nil {
		t.Fatal(err)
	}
	stacks, err := whole.Stacks()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stacks {
		for kind, property := range map[string]string{"AWS::IAM::Role": "Policies", "AWS::KMS::Key": "KeyPolicy"} {
			limit := map[string]int{"Policies": 10240, "KeyPolicy": 32768}[property]
			for _, name := range s.Resources(kind) {
				value, err := s.Property(name, property)
				if err != nil {
					t.Fatal(err)
				}
				text, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: %d of %d", name, len(text), limit)
				if len(text) > limit {
					t.Errorf("%s has %d characters of policy, IAM takes %d", name, len(text), limit)
				}
			}
		}
	}
}
