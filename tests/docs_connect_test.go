package tests

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/functions/callback/handler"
)

// TestConnectDocumentListsEveryNo compares its table with the handler's.
func TestConnectDocumentListsEveryNo(t *testing.T) {
	var want [][]string
	for _, f := range handler.Faults() {
		want = append(want, []string{f.Name, strconv.Itoa(f.Status), f.Title, f.Text})
	}
	got := columns(table(t, "docs/connect.md", "name", "HTTP", "title", "what it says"), 4)
	for _, row := range got {
		row[3] = strings.TrimSpace(row[3])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/connect.md (-code +document):\n%s", diff)
	}
}
