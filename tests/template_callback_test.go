package tests

import "testing"

// TestTemplateBoundsTheCallbackFunction: it keeps grants and registrations of its
// own environment and deletes none, reads no other row by itself than providers
// and stores, and no secret of an upstream.
func TestTemplateBoundsTheCallbackFunction(t *testing.T) {
	callback := rights(t, "CallbackRole")
	same(t, "grants", callback["KeepGrants"]["Condition"],
		leading("ForAllValues:StringLike", "grants/${Environment}/*", "registered/${Environment}/*"))
	same(t, "providers", callback["ReadProviders"]["Condition"],
		leading("ForAllValues:StringLike", "provider/${Environment}", "env/${Environment}#*"))
	for sid, table := range map[string]string{"ReadCatalogue": "CatalogueTable", "ReadProviders": "CatalogueTable", "ReadRevocations": "RevocationsTable",
		"KeepGrants": "GrantsTable", "TakeHandles": "TransientTable", "AppendAudit": "AuditTable"} {
		same(t, sid, callback[sid]["Resource"], any(object{"Fn::GetAtt": []any{table, "Arn"}}))
	}
	path := object{"SecretsPath": object{"Fn::If": []any{"HasSecretsPath", object{"Ref": "SecretsPath"}, object{"Fn::Sub": "${Environment}/"}}}}
	secrets := object{"Fn::Sub": []any{"arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretsPath}clients/*", path}}
	same(t, "secrets", callback["ReadClientSecrets"]["Resource"], any(secrets))
	same(t, "their condition", callback["ReadClientSecrets"]["Condition"], rights(t, "ProxyRole")["ReadSecrets"]["Condition"])
	same(t, "their key", callback["DecryptSecrets"]["Condition"].(object).at("StringLike")["kms:EncryptionContext:SecretARN"], any(secrets))
}
