package rights

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/rights.md")

const (
	document = root + "docs/rights.md"
	begin    = "<!-- The tables below are written by go test ./tests/rights -update. -->\n"
	header   = "\n| to | may | on | only |\n|---|---|---|---|\n"
)

// TestTheDocumentSaysWhatFunctionsMayDo, of every statement with every option on: a
// right that is new or wider shows here, and as a changed line of the document.
func TestTheDocumentSaysWhatFunctionsMayDo(t *testing.T) {
	want := tables(t, deploy(t, widest()))
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, got, found := strings.Cut(string(text), begin)
	if !found {
		t.Fatalf("%s does not say where its tables begin", document)
	}
	if *update {
		if err := os.WriteFile(document, []byte(before+begin+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/rights.md (-template +document), go test ./tests/rights -update rewrites it:\n%s", diff)
	}
}

// tables are those of each role, with what the key allows it, and those of the two
// resources that have a policy of their own.
func tables(t *testing.T, d deployed) string {
	t.Helper()
	var text strings.Builder
	var shared []string
	remark := remarks(t)
	names, policies := d.named()
	key := d.ofResource(t, "-ValuesKey")
	for _, name := range names {
		text.WriteString("\n## " + title(name) + "\n" + header)
		for _, s := range policies[name].Statements {
			row := line(t, s, reach(t, s), remark[name+" "+s.Sid]+remark[sharedPolicy+" "+s.Sid])
			if _, isShared := remark[sharedPolicy+" "+s.Sid]; !isShared {
				text.WriteString(row)
			} else if !slices.Contains(shared, row) {
				shared = append(shared, row)
			}
		}
		for _, s := range key.Statements {
			if slices.Contains(s.Principals, d.role(t, name)) {
				text.WriteString(line(t, s, "key of the stack", remark["ValuesKey "+s.Sid]))
			}
		}
	}
	text.WriteString("\n## Every function, where they run in a VPC\n" + header + strings.Join(shared, ""))
	text.WriteString("\n## Everybody in the account, administrators too\n" + header)
	for _, s := range d.ofResource(t, "-audit").Statements {
		text.WriteString(line(t, s, reach(t, s), remark["AuditTable "+s.Sid]))
	}
	text.WriteString("\n## Who administers the key\n\n`KeyAdministrators`, or, where none is given, whoever this account's IAM says.\n" + header)
	for _, s := range key.Statements {
		if !strings.Contains(strings.Join(s.Principals, " "), ":role/") {
			text.WriteString(line(t, s, "key of the stack", remark["ValuesKey "+s.Sid]))
		}
	}
	return text.String()
}

// title is a role's name as a heading.
func title(role string) string {
	name := strings.TrimSuffix(role, "Role")
	if of, ok := strings.CutSuffix(name, "Schedule"); ok {
		return "Schedule of the " + strings.ToLower(of) + " function"
	}
	return name + " function"
}
