package tests

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
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

func proxyStatements(t *testing.T) map[string]object {
	t.Helper()
	role := readTemplate(t).resource(t, "ProxyRole").get(t, "Properties")
	if role["ManagedPolicyArns"] != nil || len(role.list("Policies")) != 1 {
		t.Fatal("the proxy's rights are not in one place")
	}
	found := map[string]object{}
	for _, s := range statements(role.list("Policies")[0].(object).get(t, "PolicyDocument")) {
		found[s.text("Sid")] = s
	}
	return found
}

// TestTemplateProxyRights is the table of what the proxy may do. Its use of the
// KMS key stands in the key's own policy.
func TestTemplateProxyRights(t *testing.T) {
	want := map[string][]string{
		"ReadCatalogue":    {"dynamodb:BatchGetItem", "dynamodb:Query"},
		"ReadRevocations":  {"dynamodb:BatchGetItem"},
		"ReadSealedValues": {"dynamodb:GetItem"},
		"ShareIssuerKeys":  {"dynamodb:GetItem", "dynamodb:PutItem"},
		"AppendAudit":      {"dynamodb:PutItem"},
		"ReadSecrets":      {"secretsmanager:GetSecretValue"},
		"DecryptSecrets":   {"kms:Decrypt"},
		"WriteLog":         {"logs:CreateLogStream", "logs:PutLogEvents"},
		"WriteTrace":       {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
	}
	got := map[string][]string{}
	for sid, s := range proxyStatements(t) {
		got[sid] = s.texts("Action")
		if s["Effect"] != "Allow" || s["NotAction"] != nil || s["NotResource"] != nil {
			t.Errorf("%s is not a plain permission", sid)
		}
		if slices.Contains(s.list("Resource"), any("*")) && sid != "WriteTrace" {
			t.Errorf("%s names every resource", sid)
		}
	}
	same(t, "rights of the proxy", got, want)
}

// TestTemplateGrantsNoUnusedVerb: what the code does not call is not allowed.
func TestTemplateGrantsNoUnusedVerb(t *testing.T) {
	called := map[string]bool{}
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
	for sid, s := range proxyStatements(t) {
		for _, action := range s.texts("Action") {
			service, verb, _ := strings.Cut(action, ":")
			if (service == "dynamodb" || service == "secretsmanager") && !called[verb] {
				t.Errorf("%s allows %s, which nothing calls", sid, action)
			}
		}
	}
}

// TestTemplateBoundsSecrets: by path, by the secret's own tag, by version.
func TestTemplateBoundsSecrets(t *testing.T) {
	rights := proxyStatements(t)
	read := rights["ReadSecrets"]
	same(t, "secrets", read["Condition"], any(object{
		"StringEquals":         object{"secretsmanager:ResourceTag/bindery-environment": object{"Ref": "Environment"}},
		"StringEqualsIfExists": object{"secretsmanager:VersionStage": []any{"AWSCURRENT", "AWSPREVIOUS"}},
	}))
	path := object{"Path": object{"Fn::If": []any{"HasSecretsPath", object{"Ref": "SecretsPath"}, object{"Fn::Sub": "${Environment}/"}}}}
	secrets := object{"Fn::Sub": []any{"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${Path}*", path}}
	same(t, "secrets", read["Resource"], any(secrets))
	same(t, "their key", rights["DecryptSecrets"]["Condition"], any(object{
		"StringEquals": object{"kms:ViaService": object{"Fn::Sub": "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"}},
		"StringLike":   object{"kms:EncryptionContext:SecretARN": secrets},
	}))
	same(t, "shared issuer keys", rights["ShareIssuerKeys"]["Condition"], any(object{
		"ForAllValues:StringLike": object{"dynamodb:LeadingKeys": []any{object{"Fn::Sub": "issuer-keys/${Environment}/*"}}},
		"Null":                    object{"dynamodb:LeadingKeys": "false"},
	}))
}

// TestTemplateKeyIsUsedByTheProxyAlone: administrators cannot open what is
// sealed, and what is sealed for another environment or purpose does not open.
func TestTemplateKeyIsUsedByTheProxyAlone(t *testing.T) {
	key := readTemplate(t).resource(t, "ValuesKey")
	same(t, "kept", key["DeletionPolicy"].(string)+key["UpdateReplacePolicy"].(string), any("RetainRetain"))
	same(t, "rotation", key.get(t, "Properties")["EnableKeyRotation"], any(true))
	bound := func(purpose any) object {
		return object{"StringEquals": object{
			"kms:EncryptionContext:bindery:environment": object{"Ref": "Environment"},
			"kms:EncryptionContext:bindery:purpose":     purpose,
		}}
	}
	conditions := map[string]object{
		"kms:Decrypt":         bound([]any{"issuer-keys", "value"}),
		"kms:GenerateDataKey": bound("issuer-keys"),
	}
	proxy := object{"AWS": object{"Fn::GetAtt": []any{"ProxyRole", "Arn"}}}
	for _, s := range statements(key.get(t, "Properties", "KeyPolicy")) {
		for _, action := range s.texts("Action") {
			condition, use := conditions[action]
			switch {
			case use:
				same(t, action, s["Principal"], any(proxy))
				same(t, action, s["Condition"], any(condition))
				delete(conditions, action)
			case strings.Contains(action, "*") || slices.ContainsFunc([]string{"crypt", "DataKey", "CreateGrant", "Sign", "Mac", "Import"},
				func(verb string) bool { return strings.Contains(action, verb) }):
				t.Errorf("%s: %s uses the key", s.text("Sid"), action)
			}
		}
	}
	if len(conditions) > 0 {
		t.Errorf("the key policy does not allow what the proxy needs: %v", conditions)
	}
}

// TestTemplateTables: what every table has, and what only one has.
func TestTemplateTables(t *testing.T) {
	template := readTemplate(t)
	same(t, "expiry", template.resource(t, "TransientTable").get(t, "Properties")["TimeToLiveSpecification"],
		any(object{"AttributeName": "expires", "Enabled": true}))
	attribute := func(name, key, value string) object { return object{"AttributeName": name, key: value} }
	only := map[string]string{"TimeToLiveSpecification": "TransientTable", "ResourcePolicy": "AuditTable"}
	names := []string{"CatalogueTable", "RevocationsTable", "GrantsTable", "TransientTable", "AuditTable"}
	for name := range template.get(t, "Resources") {
		if table := template.resource(t, name); table["Type"] == "AWS::DynamoDB::Table" && !slices.Contains(names, name) {
			t.Errorf("nothing knows of %s", name)
		}
	}
	for _, name := range names {
		table := template.resource(t, name)
		same(t, name, table["DeletionPolicy"].(string)+table["UpdateReplacePolicy"].(string), any("RetainRetain"))
		want := object{
			"TableName":                        object{"Fn::Sub": "${AWS::StackName}-" + strings.ToLower(strings.TrimSuffix(name, "Table"))},
			"AttributeDefinitions":             []any{attribute("pk", "AttributeType", "S"), attribute("sk", "AttributeType", "S")},
			"KeySchema":                        []any{attribute("pk", "KeyType", "HASH"), attribute("sk", "KeyType", "RANGE")},
			"BillingMode":                      "PAY_PER_REQUEST",
			"OnDemandThroughput":               object{"MaxReadRequestUnits": object{"Ref": "MaxReadUnits"}, "MaxWriteRequestUnits": object{"Ref": "MaxWriteUnits"}},
			"PointInTimeRecoverySpecification": object{"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 35},
			"DeletionProtectionEnabled":        object{"Fn::If": []any{"IsProtected", true, false}},
			"SSESpecification":                 object{"SSEEnabled": true, "SSEType": "KMS"},
		}
		got := table.get(t, "Properties")
		for property, owner := range only {
			if (got[property] != nil) != (owner == name) {
				t.Errorf("%s: %s belongs to %s alone", name, property, owner)
			}
			delete(got, property)
		}
		same(t, name, got, want)
	}
}

// TestTemplateAuditIsAppendOnly: nobody changes or removes a record, by any verb.
func TestTemplateAuditIsAppendOnly(t *testing.T) {
	policy := readTemplate(t).resource(t, "AuditTable").get(t, "Properties", "ResourcePolicy", "PolicyDocument")
	same(t, "audit", statements(policy), []object{{
		"Sid": "AppendOnly", "Effect": "Deny", "Principal": "*",
		"Action": []any{"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PartiQLDelete", "dynamodb:PartiQLInsert",
			"dynamodb:PartiQLUpdate", "dynamodb:UpdateItem", "dynamodb:UpdateTimeToLive"},
		"Resource": object{"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${AWS::StackName}-audit"},
	}})
}
