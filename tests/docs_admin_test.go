package tests

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"

	"bindery/functions/admin/handler"
	"bindery/infra/local/stack"
	"bindery/shared/config"
)

func TestAdminErrorTableIsTheHandlers(t *testing.T) {
	var want [][]string
	names := map[string]bool{}
	for _, k := range handler.Kinds() {
		want = append(want, []string{k.Name, strconv.Itoa(k.Status), k.Title, yes(k.Retry)})
		if names[k.Name] {
			t.Errorf("two rows are called %s", k.Name)
		}
		names[k.Name] = true
	}
	rows := table(t, "docs/admin.md", "name", "HTTP", "title", "again", "what to do")
	if d := diff.Diff(want, columns(rows, 4)); d != "" {
		t.Errorf("docs/admin.md (-code +document):\n%s", d)
	}
	for _, row := range rows {
		if len(row) < 5 || row[4] == "" {
			t.Errorf("%s: nothing says what to do", row[0])
		}
	}
}

func TestAdminOperationsTableIsTheAPIs(t *testing.T) {
	var want [][]string
	for path, item := range adminDocument(t).Paths {
		for method, o := range item {
			want = append(want, []string{o.OperationID, strings.ToUpper(method), strings.TrimPrefix(path, "/admin/v1"), o.Summary})
		}
	}
	slices.SortFunc(want, func(a, b []string) int { return cmp.Or(cmp.Compare(a[2], b[2]), cmp.Compare(a[1], b[1])) })
	if d := diff.Diff(want, columns(table(t, "docs/admin.md", "operation", "method", "path", "what it does"), 4)); d != "" {
		t.Errorf("docs/admin.md (-code +document):\n%s", d)
	}
}

// openAPI is what these tests read of the document.
type openAPI struct {
	Paths map[string]map[string]struct {
		OperationID string
		Summary     string
	}
}

// adminDocument is the document of a handler that is built as in a deployment.
func adminDocument(t *testing.T) openAPI {
	t.Helper()
	issuers, err := stack.DemoIssuers("http://127.0.0.1:1", "local")
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{config.Environment: "local", config.PublicURL: "http://127.0.0.1:1", config.Issuers: string(issuers), config.Local: "true",
		config.CatalogueTable: "c", config.RevocationsTable: "r", config.GrantsTable: "g", config.TransientTable: "t", config.AuditTable: "a", config.AuditIndexTable: "i", config.ValuesKey: "k"}
	loaded, err := config.Load(func(name string) string { return settings[name] })
	if err != nil {
		t.Fatal(err)
	}
	h, err := handler.New(loaded, stack.AWS("http://127.0.0.1:1"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	text, err := h.Document()
	if err != nil {
		t.Fatal(err)
	}
	var document openAPI
	if err := json.Unmarshal(text, &document); err != nil || len(document.Paths) == 0 {
		t.Fatalf("the document has no paths: %v", err)
	}
	return document
}
