package handler

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheExamplesOfTheGuide runs what docs/declarative.md shows: each request,
// and the answer that stands behind it.
func TestTheExamplesOfTheGuide(t *testing.T) {
	page, err := os.ReadFile("../../../docs/declarative.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	f, k := importFixture(t)
	f.call(t, "root", "PUT", "/agents/corp:writer", agentBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/stores/aws-sm", storeBody, "If-None-Match", "*").want(t, 200, "")
	f.shown(t, "/apply?dry_run=true", blocks[0][1], withoutStore(t, blocks[1][1]))
	f.shown(t, "/import?dry_run=true", blocks[2][1], blocks[3][1])
	f.call(t, "root", "POST", "/apply", blocks[0][1]).want(t, 200, "")
	f.call(t, "root", "POST", "/import", blocks[2][1]).want(t, 200, "")
	for _, path := range []string{"/servers/notes/bindings/dev-notes", "/servers/team-notes/bindings/imported"} {
		f.call(t, "root", "GET", path, nil).want(t, 200, "")
	}
	if k.puts != 1 {
		t.Errorf("%d values were sealed", k.puts)
	}
	f.keepsNothing(t)
}

// withoutStore is the answer with what else the test has registered.
func withoutStore(t *testing.T, answer string) string {
	t.Helper()
	var a map[string]any
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		t.Fatal(err)
	}
	a["extra"] = append(a["extra"].([]any), "store/sealed")
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var receipts = regexp.MustCompile(`"receipt":"[0-9A-Z]{26}"`)

// shown wants an answer as the guide shows it.
func (f *fixture) shown(t *testing.T, path, request, answer string) {
	t.Helper()
	got := receipts.ReplaceAllString(f.call(t, "root", "POST", path, request).want(t, 200, "").Body.String(), `"receipt":"RECEIPT"`)
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(answer), &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("%s is answered otherwise than the guide says:\n%s", path, diff)
	}
}
