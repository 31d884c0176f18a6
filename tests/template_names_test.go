package tests

import "testing"

// TestTemplateListsSecretsOnlyWhereTold: names of all secrets of an account are
// seen by the function then, so it is for the deployment to say.
func TestTemplateListsSecretsOnlyWhereTold(t *testing.T) {
	template := readTemplate(t)
	same(t, "unless told", template.get(t, "Parameters", "ListSecretNames")["Default"], any("false"))
	same(t, "where told", template.get(t, "Conditions")["MayListSecretNames"], any(object{"Fn::Equals": []any{object{"Ref": "ListSecretNames"}, "true"}}))
	role := template.resource(t, "AdminRole").get(t, "Properties")
	conditional := 0
	for _, s := range role.list("Policies")[0].(object).get(t, "PolicyDocument").list("Statement") {
		if choice, ok := s.(object)["Fn::If"].([]any); ok && choice[0] == "MayListSecretNames" {
			conditional++
			same(t, "then", choice[1].(object)["Sid"], any("ListSecretNames"))
		}
	}
	same(t, "conditional statements", conditional, 1)
}
