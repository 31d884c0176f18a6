package tests

import "testing"

// TestTemplateBoundsTheProxysReads: of the catalogue it can get no other row
// by itself than policies and providers of its own environment.
func TestTemplateBoundsTheProxysReads(t *testing.T) {
	for sid, partition := range map[string]string{"ReadPolicies": "policies/${Environment}", "ReadProviders": "provider/${Environment}"} {
		read := rights(t, "ProxyRole")[sid]
		same(t, sid, read["Condition"], leading("ForAllValues:StringEquals", partition))
		same(t, "its table", read["Resource"], any(object{"Fn::GetAtt": []any{"CatalogueTable", "Arn"}}))
	}
}

// TestTemplateBoundsTheProxysGrants: it changes grants of its own environment and
// no other sealed text, and deletes none.
func TestTemplateBoundsTheProxysGrants(t *testing.T) {
	refresh := rights(t, "ProxyRole")["RefreshGrants"]
	same(t, "grants", refresh["Condition"], leading("ForAllValues:StringLike", "grants/${Environment}/*"))
	same(t, "their table", refresh["Resource"], any(object{"Fn::GetAtt": []any{"GrantsTable", "Arn"}}))
}
