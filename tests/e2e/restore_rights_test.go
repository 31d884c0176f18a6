//go:build e2e && !nonode

package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"bindery/shared/brokertest/enforce"
	"bindery/shared/brokertest/faultproxy"
	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// restorers is the endpoint as the role of infra/restore sees it: what
// infra/restore/policy.json does not allow is denied.
type restorers struct {
	*enforce.Proxy
	tables *faultproxy.Proxy
	tally  enforce.Tally
}

// restorer is the access key id of the program.
const restorer = "restorer"

func newRestorers(t *testing.T, endpoint, environment, prefix string) *restorers {
	t.Helper()
	text, err := os.ReadFile("../../infra/restore/policy.json")
	must(t, err)
	here := strings.NewReplacer("eu-central-1:111122223333", template.Region+":"+template.AccountID, "bindery-prod-", prefix)
	policy, err := iam.Parse([]byte(here.Replace(string(text))), false)
	must(t, err)
	s := &restorers{tables: faultproxy.New(t, endpoint)}
	s.Proxy = enforce.New(t, s.tables.URL, enforce.Deployment{Environment: environment}, &s.tally)
	s.Admit(restorer, policy)
	return s
}

// breaksAfter has the program end in the middle.
func (s *restorers) breaksAfter(puts int) {
	s.tables.Inject(faultproxy.Rule{Operations: []string{"PutItem"}, Skip: puts - 1, Times: 1, Effect: faultproxy.Fail(http.StatusBadRequest, "AccessDeniedException")})
}

// held: the program asked for nothing that its policy does not allow, and needed all
// that it allows.
func (s *restorers) held(t *testing.T) {
	t.Helper()
	if denied := s.Denied(); len(denied) > 0 {
		t.Errorf("denied: %v", denied)
	}
	for _, use := range [][2]string{{"ReadCopies", "dynamodb:DescribeTable"}, {"ReadCopies", "dynamodb:Scan"}, {"ReadWhatHappenedSince", "dynamodb:Scan"},
		{"ReadMarkers", "dynamodb:BatchGetItem"}, {"PutWhatIsMissing", "dynamodb:GetItem"}, {"PutWhatIsMissing", "dynamodb:PutItem"}} {
		if !s.tally.Needed(enforce.Use{Function: restorer, Statement: use[0], Action: use[1]}) {
			t.Errorf("nothing needed %v", use)
		}
	}
}
