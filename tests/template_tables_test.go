package tests

import (
	"slices"
	"strings"
	"testing"
)

// TestTemplateTables: what every table has, and what only one has.
func TestTemplateTables(t *testing.T) {
	template := readTemplate(t)
	same(t, "expiry", template.resource(t, "TransientTable").get(t, "Properties")["TimeToLiveSpecification"],
		any(object{"AttributeName": "expires", "Enabled": true}))
	attribute := func(name, key, value string) object { return object{"AttributeName": name, key: value} }
	only := map[string]string{"TimeToLiveSpecification": "TransientTable", "ResourcePolicy": "AuditTable", "StreamSpecification": "AuditTable RevocationsTable",
		"GlobalSecondaryIndexes": "GrantsTable"}
	same(t, "index", template.resource(t, "GrantsTable").get(t, "Properties")["GlobalSecondaryIndexes"], any([]any{object{
		"IndexName": "due", "KeySchema": []any{attribute("due", "KeyType", "HASH"), attribute("due_at", "KeyType", "RANGE")},
		"Projection":         object{"ProjectionType": "KEYS_ONLY"},
		"OnDemandThroughput": object{"MaxReadRequestUnits": object{"Ref": "MaxReadUnits"}, "MaxWriteRequestUnits": object{"Ref": "MaxWriteUnits"}}}}))
	names := []string{"CatalogueTable", "RevocationsTable", "GrantsTable", "TransientTable", "AuditTable", "AuditIndexTable"}
	for name := range template.get(t, "Resources") {
		if table := template.resource(t, name); table["Type"] == "AWS::DynamoDB::Table" && !slices.Contains(names, name) {
			t.Errorf("nothing knows of %s", name)
		}
	}
	for _, name := range names {
		table := template.resource(t, name)
		same(t, name, table["DeletionPolicy"].(string)+table["UpdateReplacePolicy"].(string), any("RetainRetain"))
		want := object{
			"TableName":                        object{"Fn::Sub": "${AWS::StackName}-" + strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(name, "Table")), "auditindex", "audit-index")},
			"AttributeDefinitions":             []any{attribute("pk", "AttributeType", "S"), attribute("sk", "AttributeType", "S")},
			"KeySchema":                        []any{attribute("pk", "KeyType", "HASH"), attribute("sk", "KeyType", "RANGE")},
			"BillingMode":                      "PAY_PER_REQUEST",
			"OnDemandThroughput":               object{"MaxReadRequestUnits": object{"Ref": "MaxReadUnits"}, "MaxWriteRequestUnits": object{"Ref": "MaxWriteUnits"}},
			"PointInTimeRecoverySpecification": object{"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 35},
			"DeletionProtectionEnabled":        object{"Fn::If": []any{"IsProtected", true, false}},
			"SSESpecification":                 object{"SSEEnabled": true, "SSEType": "KMS"},
		}
		if name == "GrantsTable" {
			want["AttributeDefinitions"] = append(want["AttributeDefinitions"].([]any), attribute("due", "AttributeType", "S"), attribute("due_at", "AttributeType", "S"))
		}
		got := table.get(t, "Properties")
		for property, owner := range only {
			if (got[property] != nil) != slices.Contains(strings.Fields(owner), name) {
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
		"Resource": object{"Fn::GetAtt": []any{"AuditTable", "Arn"}},
	}})
}

// TestTemplateKeepsTheKey: losing it loses every sealed value, and what is old
// should not be under the same material for ever. Who may use it, tests/rights tells.
func TestTemplateKeepsTheKey(t *testing.T) {
	key := readTemplate(t).resource(t, "ValuesKey")
	same(t, "kept", textOf(key["DeletionPolicy"])+textOf(key["UpdateReplacePolicy"]), "RetainRetain")
	same(t, "rotation", key.get(t, "Properties")["EnableKeyRotation"], any(true))
}

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
