package checks

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the table of docs/smoke.md")

const docs = "../../../docs/"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(docs + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestThePageOfSmokeListsEveryCheck, in the words that a run prints.
func TestThePageOfSmokeListsEveryCheck(t *testing.T) {
	text, begin := read(t, "smoke.md"), "-update. -->\n\n"
	above, _, found := strings.Cut(text, begin)
	if !found {
		t.Fatal("docs/smoke.md does not say where its table begins")
	}
	var table strings.Builder
	table.WriteString("| check | what it proves | if it fails |\n|---|---|---|\n")
	for _, c := range All() {
		table.WriteString("| `" + c.Name + "` | " + c.Proves + " | " + c.Next + " |\n")
	}
	want := above + begin + table.String()
	if *update {
		if err := os.WriteFile(docs+"smoke.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(text, want); diff != "" {
		t.Errorf("docs/smoke.md (-page +checks):\n%s", diff)
	}
}

// assumptions are the rows of docs/not-verified.md: what is assumed, where it
// matters, what settles it, what happens if it is wrong.
func assumptions(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| we assume") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// unsettled says what is wrong with the rows: one that nothing settles, one that
// is not whole, and a check that settles none.
func unsettled(rows [][]string) (wrong []string) {
	var names, used []string
	for _, c := range All() {
		names = append(names, c.Name)
	}
	span := regexp.MustCompile("`([a-z-]+)`")
	for _, cells := range rows {
		if len(cells) != 4 || slices.Contains(cells, "") {
			wrong = append(wrong, "not four cells: "+cells[0])
			continue
		}
		settled := strings.HasPrefix(cells[2], "by hand: ") || strings.Contains(cells[2], "; by hand: ")
		for _, m := range span.FindAllStringSubmatch(strings.Split(cells[2], "by hand: ")[0], -1) {
			if !slices.Contains(names, m[1]) {
				wrong = append(wrong, "no such check: "+m[1])
			}
			settled, used = true, append(used, m[1])
		}
		if !settled {
			wrong = append(wrong, "neither a check nor by hand: "+cells[0])
		}
	}
	for _, name := range names {
		if !slices.Contains(used, name) {
			wrong = append(wrong, "settles nothing: "+name)
		}
	}
	return wrong
}

// TestEveryAssumptionIsSettledSomehow and every check settles one.
func TestEveryAssumptionIsSettledSomehow(t *testing.T) {
	rows := assumptions(read(t, "not-verified.md"))
	for _, finding := range unsettled(rows) {
		t.Error(finding)
	}
	if len(rows) < 30 {
		t.Errorf("there are %d assumptions", len(rows))
	}
}

// TestAnUnsettledAssumptionIsFound shows that the test above can fail.
func TestAnUnsettledAssumptionIsFound(t *testing.T) {
	for row, want := range map[string]string{
		"| a | b | some day | c |":            "neither a check nor by hand: a",
		"| a | b | `no-such-check` | c |":     "no such check: no-such-check",
		"| a | b | `challenge` |  |":          "not four cells: a",
		"| a | b | by hand: look at it |":     "not four cells: a",
		"| a | b | by hand: look at it | c |": "settles nothing: challenge",
	} {
		if found := unsettled(assumptions(row)); !slices.Contains(found, want) {
			t.Errorf("%s: %v", row, found)
		}
	}
}
