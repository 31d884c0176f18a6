package handler

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bindery/shared/policy"
)

// TestPoliciesOfADocumentAreStoredAndPutIntoForce, with the environment, after
// everything else; and taken out of force where the document says so.
func TestPoliciesOfADocumentAreStoredAndPutIntoForce(t *testing.T) {
	f := newFixture(t)
	f.applies(t, "root", "/apply", catalogueBody)
	document := func(active, shadow string) string {
		return `{"environment":{"state":"active"},"policy_sets":{"active":` + active + `,"shadow":` + shadow + `}}`
	}
	one, two := "policy/"+policy.DocumentID(noDeletion, deletionTests), "policy/"+policy.DocumentID(noSecretRepo, "")
	both := document(setBody(noDeletion, deletionTests), setBody(noSecretRepo, ""))
	known := []string{"extra agent/corp:writer", "extra assignment/notes", "extra server/notes", "extra store/aws-sm"}
	applied := func(who, path, document string, want ...string) {
		t.Helper()
		_, done := f.applies(t, who, path, document)
		same(t, done, append(want, known...)...)
	}
	applied("root", "/apply?dry_run=true", both, "create "+one, "create "+two, "change environment/prod policies,shadow unchecked")
	applied("root", "/apply", both, "create "+one, "create "+two, "change environment/prod policies,shadow")
	applied("root", "/apply", both, "none "+one, "none "+two, "none environment/prod")
	elsewhere := newFixture(t)
	elsewhere.applies(t, "root", "/apply", f.exported(t, "root"))
	if a, b := f.exported(t, "root"), elsewhere.exported(t, "root"); a != b || !strings.Contains(a, "no-deletion") {
		t.Errorf("exported %s\nand then %s", a, b)
	}
	applied("root", "/apply", `{"environment":{"state":"active"}}`, "none environment/prod")
	applied("root", "/apply", `{"policy_sets":{"active":`+setBody(noDeletion, deletionTests)+`}}`, "none "+one, "change environment/prod shadow")
	broken := "policy/" + policy.DocumentID(noDeletion, brokenTests)
	applied("root", "/apply", `{"policy_sets":{"active":`+setBody(noDeletion, brokenTests)+`}}`, "create "+broken, "refused environment/prod policy_tests_failed")
	applied("root", "/apply", `{"policy_sets":{"active":{"text":"forbid"}}}`, "refused policy/"+policy.DocumentID("forbid", "")+" invalid", "refused environment/prod invalid")
	applied("admin", "/apply", `{"policy_sets":{}}`, "refused environment/prod forbidden")
	applied("root", "/apply", `{"policy_sets":{}}`, "change environment/prod policies")
}

// TestAnExportHoldsBothPolicySetsOrSaysThatThereIsMore: who may not read them
// applies an export without taking them out of force.
func TestAnExportHoldsBothPolicySetsOrSaysThatThereIsMore(t *testing.T) {
	f := newFixture(t)
	f.inForce(t, f.stored(t, noDeletion, deletionTests), "").want(t, 200, "")
	for _, who := range []string{"auditor", "admin", "owner"} {
		var c Catalogue
		if err := json.Unmarshal([]byte(f.exported(t, who)), &c); err != nil {
			t.Fatal(err)
		}
		if (c.PolicySets == nil) != c.Partial || c.PolicySets != nil && (c.PolicySets.Active == nil || c.PolicySets.Shadow != nil) {
			t.Errorf("%s reads %+v", who, c)
		}
	}
}

// TestMembersByNameAreNothingElseElsewhere: whoever reads strictly does so by the
// names of members, wherever they stand.
func TestMembersByNameAreNothingElseElsewhere(t *testing.T) {
	for name, schema := range newFixture(t).api.OpenAPI().Components.Schemas.Map() {
		for member, s := range schema.Properties {
			switch {
			case s.Ref != "" && (byName(member) || member == "document"), byName(member) && len(s.Properties) > 0:
				t.Errorf("%s.%s has members of this API's own", name, member)
			case s.Type == "object" && s.AdditionalProperties != nil && s.AdditionalProperties != false && !byName(member) && member != "document" && member != argumentsName:
				t.Errorf("%s.%s holds objects by name, and their names cannot be sent", name, member)
			}
		}
	}
}

// TestHostileDocuments come to nothing, and nothing of them is repeated.
func TestHostileDocuments(t *testing.T) {
	f := newFixture(t)
	many := func(n int) string {
		agents := make([]string, n)
		for i := range agents {
			agents[i] = fmt.Sprintf(`"corp:a%d":%s`, i, agentBody)
		}
		return `{"agents":{` + strings.Join(agents, ",") + `}}`
	}
	for name, c := range map[string]struct {
		document string
		status   int
		problem  string
	}{
		"a server twice":              {`{"servers":{"a":` + serverBody + `,"a":` + serverBody + `}}`, 400, "malformed"},
		"a member twice":              {`{"servers":{"a":{"owner":"x",` + serverBody[1:] + `}}`, 400, "malformed"},
		"a member in other case":      {strings.Replace(catalogueBody, `"bindings"`, `"Bindings"`, 1), 400, "malformed"},
		"a part in other case":        {strings.Replace(catalogueBody, `"agents"`, `"Agents"`, 1), 400, "malformed"},
		"a member that nobody knows":  {strings.Replace(catalogueBody, `"owner"`, `"colour":"blue","owner"`, 1), 422, "invalid"},
		"a part that nobody knows":    {`{"values":{}}`, 422, "invalid"},
		"nothing where a server is":   {`{"servers":{"a":null}}`, 422, "invalid"},
		"a list of servers":           {`{"servers":[]}`, 422, "invalid"},
		"a name that is none":         {strings.Replace(catalogueBody, `"dev-notes"`, `"Dev Notes"`, 1), 422, "invalid"},
		"an empty name":               {`{"agents":{"":` + agentBody + `}}`, 422, "invalid"},
		"a name that is a path":       {`{"servers":{"../admin":` + serverBody + `}}`, 422, "invalid"},
		"nested without end":          {`{"servers":` + strings.Repeat(`{"a":`, 1<<17) + "1" + strings.Repeat("}", 1<<17) + "}", 400, "malformed"},
		"too many objects":            {many(1001), 422, "invalid"},
		"more than a MiB":             {many(12000), 413, "too_large"},
		"a secret where none belongs": {strings.Replace(catalogueBody, "Bearer {token}", "Bearer "+canary, 1), 422, "literal_secret"},
		"a secret as a name":          {strings.Replace(catalogueBody, `"corp:writer"`, `"`+canary+`"`, 1), 422, "literal_secret"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.call(t, "root", "POST", "/apply", c.document).want(t, c.status, c.problem)
			if strings.Contains(a.Body.String(), "blue") || strings.Contains(a.Body.String(), "Dev Notes") {
				t.Errorf("the answer repeats the document: %s", a.Body)
			}
		})
	}
	if document := f.exported(t, "root"); strings.TrimSpace(document) != `{"environment":{"state":"active"},"policy_sets":{}}` {
		t.Errorf("something was made: %s", document)
	}
	f.keepsNothing(t)
}

// TestAWrongPlaceOfADocumentIsNamed, with the names of objects on the way.
func TestAWrongPlaceOfADocumentIsNamed(t *testing.T) {
	f := newFixture(t)
	a := f.call(t, "root", "POST", "/apply", strings.Replace(catalogueBody, `"service_account"`, `"workload_identity"`, 1)).want(t, 422, "invalid")
	same(t, wrongPlaces(a), "body.servers.notes.bindings.dev-notes.mode")
}
