package tests

import (
	"strconv"
	"testing"
)

// TestEveryRelayRuleNamesItsTests: the rules of docs/mcp.md are numbered
// without a gap, and each names what proves it. That the named tests exist is
// TestDocumentsNameTestsAndFilesThatExist.
func TestEveryRelayRuleNamesItsTests(t *testing.T) {
	rows := table(t, "docs/mcp.md", "", "rule", "tests")
	if len(rows) < 32 {
		t.Errorf("%d rules", len(rows))
	}
	for i, row := range rows {
		if row[0] != strconv.Itoa(i+1) {
			t.Errorf("rule %d is numbered %q", i+1, row[0])
		}
		if len(row) != 3 || !testNames.MatchString(row[2]) {
			t.Errorf("rule %d names no test", i+1)
		}
	}
}
