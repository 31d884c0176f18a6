package tests

import (
	"go/ast"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// statements gives those of a policy document, the conditional ones too.
func statements(document object) (list []object) {
	for _, s := range document.list("Statement") {
		s := s.(object)
		if choice, ok := s["Fn::If"].([]any); ok {
			s = choice[1].(object)
		}
		list = append(list, s)
	}
	return list
}

// rights gives the statements of a role by their names.
func rights(t *testing.T, name string) map[string]object {
	t.Helper()
	role := readTemplate(t).resource(t, name).get(t, "Properties")
	if role["ManagedPolicyArns"] != nil || len(role.list("Policies")) != 1 {
		t.Fatalf("the rights of %s are not in one place", name)
	}
	found := map[string]object{}
	for _, s := range statements(role.list("Policies")[0].(object).get(t, "PolicyDocument")) {
		found[s.text("Sid")] = s
	}
	return found
}

// TestTemplateRights is the table of what each function may do. Their use of the
// KMS key stands in the key's own policy.
func TestTemplateRights(t *testing.T) {
	for role, want := range map[string]map[string][]string{
		"ProxyRole": {
			"ReadCatalogue":    {"dynamodb:BatchGetItem", "dynamodb:Query"},
			"ReadPolicies":     {"dynamodb:GetItem"},
			"ReadProviders":    {"dynamodb:GetItem"},
			"ReadRevocations":  {"dynamodb:BatchGetItem"},
			"ReadMarkers":      {"dynamodb:Query"},
			"ReadSealedValues": {"dynamodb:GetItem"},
			"RefreshGrants":    {"dynamodb:Query", "dynamodb:UpdateItem"},
			"ShareIssuerKeys":  {"dynamodb:GetItem", "dynamodb:PutItem"},
			"RollSessionKeys":  {"dynamodb:GetItem", "dynamodb:PutItem"},
			"KnowSessions":     {"dynamodb:DeleteItem", "dynamodb:PutItem"},
			"AskForConsent":    {"dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"},
			"CountUse":         {"dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"},
			"AppendAudit":      {"dynamodb:PutItem"},
			"ReadSecrets":      {"secretsmanager:GetSecretValue"},
			"DecryptSecrets":   {"kms:Decrypt"},
			"SignAsClient":     {"kms:GetPublicKey", "kms:Sign"},
			"WriteLog":         {"logs:CreateLogStream", "logs:PutLogEvents"},
			"WriteTrace":       {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
		},
		"AuthorizerRole": {
			"ShareIssuerKeys": {"dynamodb:GetItem", "dynamodb:PutItem"},
			"WriteLog":        {"logs:CreateLogStream", "logs:PutLogEvents"},
			"WriteTrace":      {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
		},
		"AdminRole": {
			"ManageCatalogue":   {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"},
			"MoveBindings":      {"dynamodb:DeleteItem"},
			"ReadRevocations":   {"dynamodb:BatchGetItem"},
			"ReadMarkers":       {"dynamodb:Query"},
			"ReadCases":         {"dynamodb:GetItem", "dynamodb:Query"},
			"Revoke":            {"lambda:InvokeFunction"},
			"OrderRotations":    {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"},
			"WakeRotation":      {"lambda:InvokeFunction"},
			"StoreSealedValues": {"dynamodb:GetItem", "dynamodb:PutItem"},
			"ListSealedValues":  {"dynamodb:PutItem", "dynamodb:Query"},
			"UseGrants":         {"dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"},
			"ShareIssuerKeys":   {"dynamodb:GetItem", "dynamodb:PutItem"},
			"FindSessions":      {"dynamodb:Query"},
			"RememberAttempts":  {"dynamodb:PutItem"},
			"AppendAudit":       {"dynamodb:PutItem"},
			"ReadAudit":         {"dynamodb:Query"},
			"ReadAuditIndex":    {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"},
			"ReadSecrets":       {"secretsmanager:GetSecretValue"},
			"DescribeSecrets":   {"secretsmanager:DescribeSecret"},
			"DecryptSecrets":    {"kms:Decrypt"},
			"ListSecretNames":   {"secretsmanager:ListSecrets"},
			"WriteLog":          {"logs:CreateLogStream", "logs:PutLogEvents"},
			"WriteTrace":        {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
		},
		"CallbackRole": {
			"ReadCatalogue":     {"dynamodb:BatchGetItem", "dynamodb:Query"},
			"ReadProviders":     {"dynamodb:GetItem"},
			"ReadRevocations":   {"dynamodb:BatchGetItem"},
			"ReadMarkers":       {"dynamodb:Query"},
			"KeepGrants":        {"dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"},
			"ShareIssuerKeys":   {"dynamodb:GetItem", "dynamodb:PutItem"},
			"TakeHandles":       {"dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"},
			"AppendAudit":       {"dynamodb:PutItem"},
			"ReadClientSecrets": {"secretsmanager:GetSecretValue"},
			"DecryptSecrets":    {"kms:Decrypt"},
			"SignAsClient":      {"kms:GetPublicKey", "kms:Sign"},
			"WriteLog":          {"logs:CreateLogStream", "logs:PutLogEvents"},
			"WriteTrace":        {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
		},
	} {
		allowed(t, role, want)
	}
}

// allowed holds a role to the list of what it may do.
func allowed(t *testing.T, role string, want map[string][]string) {
	t.Helper()
	got := map[string][]string{}
	for sid, s := range rights(t, role) {
		got[sid] = s.texts("Action")
		if s["Effect"] != "Allow" || s["NotAction"] != nil || s["NotResource"] != nil {
			t.Errorf("%s is not a plain permission", sid)
		}
		if slices.Contains(s.list("Resource"), any("*")) && sid != "WriteTrace" && sid != "ListSecretNames" { // AWS has no narrower resource for these
			t.Errorf("%s names every resource", sid)
		}
	}
	same(t, "rights of "+role, got, want)
}

// TestTemplateBoundsTransientRows: each statement reaches rows of one kind, of
// this environment.
func TestTemplateBoundsTransientRows(t *testing.T) {
	seen := 0
	for _, role := range []string{"ProxyRole", "AuthorizerRole", "AdminRole", "CallbackRole"} {
		for sid, s := range rights(t, role) {
			if diff := cmp.Diff([]any{object{"Fn::GetAtt": []any{"TransientTable", "Arn"}}}, s.list("Resource")); diff != "" {
				continue
			}
			seen++
			bound := map[string]any{
				"ShareIssuerKeys":  leading("ForAllValues:StringLike", "issuer-keys/${Environment}/*"),
				"RollSessionKeys":  leading("ForAllValues:StringEquals", "rolling-key/${Environment}"),
				"CountUse":         leading("ForAllValues:StringLike", "quota/${Environment}/*"),
				"AskForConsent":    leading("ForAllValues:StringEquals", "handle/${Environment}/asked", "handle/${Environment}/ticket"),
				"KnowSessions":     leading("ForAllValues:StringLike", "sessions/${Environment}/*"),
				"TakeHandles":      leading("ForAllValues:StringLike", "handle/${Environment}/*"),
				"FindSessions":     leading("ForAllValues:StringLike", "sessions/${Environment}/*"),
				"RememberAttempts": leading("ForAllValues:StringLike", "attempt/${Environment}/*"),
			}[sid]
			same(t, role+" "+sid, s["Condition"], bound)
		}
	}
	same(t, "statements about transient rows", seen, 11)
}

// leading is a condition on the partitions that a statement reaches. The second
// half is needed because ForAllValues alone is true of no key at all.
func leading(operator string, partitions ...string) any {
	var list []any
	for _, p := range partitions {
		list = append(list, object{"Fn::Sub": p})
	}
	return object{operator: object{"dynamodb:LeadingKeys": list}, "Null": object{"dynamodb:LeadingKeys": "false"}}
}

// TestTemplateBoundsTheAdminFunction: the only rows that it can delete are those
// that a binding leaves behind when it moves, and it stores sealed values of its
// own environment alone. Evidence it can only add.
func TestTemplateBoundsTheAdminFunction(t *testing.T) {
	admin := rights(t, "AdminRole")
	same(t, "deletes", admin["MoveBindings"]["Condition"],
		leading("ForAllValues:StringLike", "personal/${Environment}/*", "server/${Environment}/*"))
	same(t, "sealed values", admin["StoreSealedValues"]["Condition"], leading("ForAllValues:StringLike", "sealed/${Environment}/*"))
	same(t, "their names", admin["ListSealedValues"]["Condition"], leading("ForAllValues:StringEquals", "sealed-names/${Environment}"))
	same(t, "grants", admin["UseGrants"]["Condition"], leading("ForAllValues:StringLike", "grants/${Environment}/*", "registered/${Environment}/*"))
	for sid, table := range map[string]string{"UseGrants": "GrantsTable", "ManageCatalogue": "CatalogueTable", "MoveBindings": "CatalogueTable", "ReadRevocations": "RevocationsTable",
		"StoreSealedValues": "GrantsTable", "ListSealedValues": "GrantsTable", "AppendAudit": "AuditTable",
		"ReadAudit": "AuditTable", "ReadAuditIndex": "AuditIndexTable"} {
		same(t, sid, admin[sid]["Resource"], any(object{"Fn::GetAtt": []any{table, "Arn"}}))
	}
}

// TestTemplateGrantsNoUnusedVerb: what the code does not call is not allowed.
func TestTemplateGrantsNoUnusedVerb(t *testing.T) {
	called := map[string]bool{"ConditionCheckItem": true} // the right of a part of a transaction that only looks
	for _, f := range sources(t) {
		if !f.ships() {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				if s, ok := c.Fun.(*ast.SelectorExpr); ok {
					called[s.Sel.Name] = true
				}
			}
			return true
		})
	}
	for _, role := range []string{"ProxyRole", "AdminRole", "CallbackRole", "RotationRole", "LedgerRole", "OutboxRole", "RevocationRole", "CleanupRole"} {
		for sid, s := range rights(t, role) {
			for _, action := range s.texts("Action") {
				service, verb, _ := strings.Cut(action, ":")
				if (service == "dynamodb" && sid != "ReadStream" || service == "secretsmanager") && !called[verb] {
					t.Errorf("%s: %s allows %s, which nothing calls", role, sid, action)
				}
			}
		}
	}
}

// TestTemplateBoundsSecrets: by path, by the secret's own tag, by version.
func TestTemplateBoundsSecrets(t *testing.T) {
	proxy := rights(t, "ProxyRole")
	for _, sid := range []string{"ReadSecrets", "DecryptSecrets"} {
		same(t, "the admin function's "+sid, rights(t, "AdminRole")[sid], proxy[sid])
	}
	read := proxy["ReadSecrets"]
	same(t, "secrets", read["Condition"], any(object{
		"StringEquals":         object{"secretsmanager:ResourceTag/bindery-environment": object{"Ref": "Environment"}},
		"StringEqualsIfExists": object{"secretsmanager:VersionStage": []any{"AWSCURRENT", "AWSPREVIOUS"}},
	}))
	path := object{"SecretsPath": object{"Fn::If": []any{"HasSecretsPath", object{"Ref": "SecretsPath"}, object{"Fn::Sub": "${Environment}/"}}}}
	secrets := object{"Fn::Sub": []any{"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretsPath}*", path}}
	same(t, "secrets", read["Resource"], any(secrets))
	same(t, "their key", proxy["DecryptSecrets"]["Condition"], any(object{
		"StringEquals": object{"kms:ViaService": object{"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}},
		"StringLike":   object{"kms:EncryptionContext:SecretARN": secrets},
	}))
}

// TestTemplateKeyIsUsedByTheFunctionsAlone: administrators cannot open what is
// sealed, what is sealed for another environment or purpose does not open, and
// the authorizer opens no value.
func TestTemplateKeyIsUsedByTheFunctionsAlone(t *testing.T) {
	key := readTemplate(t).resource(t, "ValuesKey")
	same(t, "kept", key["DeletionPolicy"].(string)+key["UpdateReplacePolicy"].(string), any("RetainRetain"))
	same(t, "rotation", key.get(t, "Properties")["EnableKeyRotation"], any(true))
	want := map[string]any{
		"ProxyRole kms:Decrypt":              []any{"grant", "issuer-keys", "registration", "session-key", "value"},
		"ProxyRole kms:GenerateDataKey":      []any{"grant", "issuer-keys", "session-key"},
		"AuthorizerRole kms:Decrypt":         "issuer-keys",
		"AuthorizerRole kms:GenerateDataKey": "issuer-keys",
		"CleanupRole kms:Decrypt":            []any{"grant", "registration", "session-key", "value"},
		"CleanupRole kms:GenerateDataKey":    "grant",
		"RotationRole kms:Decrypt":           []any{"grant", "registration", "rotation", "value"},
		"RotationRole kms:GenerateDataKey":   []any{"grant", "rotation", "value"},
		"RotationRole kms:ReEncryptFrom":     []any{"grant", "registration", "rotation", "value"},
		"RotationRole kms:ReEncryptTo":       []any{"grant", "registration", "rotation", "value"},
		"CallbackRole kms:Decrypt":           []any{"grant", "issuer-keys", "registration"},
		"CallbackRole kms:GenerateDataKey":   []any{"grant", "issuer-keys", "registration"},
		"AdminRole kms:Decrypt":              []any{"grant", "issuer-keys", "registration", "value"},
		"AdminRole kms:GenerateDataKey":      []any{"grant", "issuer-keys", "value"},
	}
	got := map[string]any{}
	for _, s := range statements(key.get(t, "Properties", "KeyPolicy")) {
		for _, action := range s.texts("Action") {
			if !slices.ContainsFunc([]string{"*", "crypt", "DataKey", "CreateGrant", "Sign", "Mac", "Import"},
				func(verb string) bool { return strings.Contains(action, verb) }) {
				continue
			}
			role, _ := s.at("Principal").at("AWS")["Fn::GetAtt"].([]any)
			equals := s.at("Condition").at("StringEquals")
			if len(role) != 2 || len(s.at("Condition")) != 1 || len(equals) != 2 {
				t.Errorf("%s: %s uses the key", s.text("Sid"), action)
				continue
			}
			same(t, s.text("Sid"), equals["kms:EncryptionContext:bindery:environment"], any(object{"Ref": "Environment"}))
			got[textOf(role[0])+" "+action] = equals["kms:EncryptionContext:bindery:purpose"]
		}
	}
	same(t, "use of the key", got, want)
}

// TestTemplateBoundsTheReadingOfMarkers: who decides reads markers, of its own
// environment, and whatever else is in their table only by its key.
func TestTemplateBoundsTheReadingOfMarkers(t *testing.T) {
	for _, role := range []string{"ProxyRole", "AdminRole", "CallbackRole", "RotationRole"} {
		read := rights(t, role)["ReadMarkers"]
		same(t, role, read["Condition"], leading("ForAllValues:StringLike", "markers/${Environment}#*", "markers/${Environment}/*"))
		same(t, role, read["Resource"], any(object{"Fn::GetAtt": []any{"RevocationsTable", "Arn"}}))
	}
}
