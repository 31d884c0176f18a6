package handler

import "testing"

// TestAnAddressThatIsItsOwnKeyIsNotImported: it would stand in the catalogue and
// in the records. Paths made of words are.
func TestAnAddressThatIsItsOwnKeyIsNotImported(t *testing.T) {
	f, _ := importFixture(t)
	for path, random := range map[string]bool{
		"":    false,
		"mcp": false, "api/v1/mcp-server": false, "projects/team-notes-2026/mcp": false, "v1alpha1/organizations/acme/servers/notes": false,
		"s/canary0000f3a9c2d1e8b7a6/mcp":            true,
		"s/0f3a9c2d-1e8b-7a6f-5e4d-3c2b1a09f8e7":    true, // canary
		"hook/canary2mxw6ytboi3dkmrq":               true,
		"s/id_canary2mxw6ytboi3dkmrq.mcp":           true,
		"a/00112233445566778899aabbccddeeff/canary": true,
	} {
		_, got := f.imports(t, "root", "?dry_run=true", `{"mcpServers":{"a":{"url":"https://a.example.com/`+path+`"}}}`)
		if left := len(got.Left) == 1 && got.Left[0].Reason == leftPath; left != random || random == (len(got.Objects) > 0) {
			t.Errorf("%s: left out %v, %+v", path, got.Left, got.Objects)
		}
	}
}
