package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/config"
	"bindery/shared/identity"
	"bindery/shared/mask"
)

// table gives the rows of the one table of a document whose header begins with
// these cells.
func table(t *testing.T, name string, header ...string) [][]string {
	t.Helper()
	found := tables(document(t, name).text, header)
	if len(found) != 1 {
		t.Fatalf("%s has %d tables that begin with %q, want 1", name, len(found), header)
	}
	return found[0]
}

// tables gives the rows of every table whose header begins with these cells.
func tables(text string, header []string) (list [][][]string) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case !inside && len(cells) >= len(header) && slices.Equal(cells[:len(header)], header):
			inside = true
			list = append(list, nil)
		case inside && strings.Trim(line, "|-: ") != "":
			list[len(list)-1] = append(list[len(list)-1], cells)
		}
	}
	return list
}

// columns keeps the first n cells of each row, without code marks.
func columns(rows [][]string, n int) [][]string {
	cut := make([][]string, len(rows))
	for i, row := range rows {
		for _, cell := range row[:n] {
			cut[i] = append(cut[i], strings.ReplaceAll(cell, "`", ""))
		}
	}
	return cut
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func TestSettingsTableIsTheConfigs(t *testing.T) {
	var want [][]string
	for _, s := range config.Settings() {
		want = append(want, []string{s.Name, yes(s.Required), s.Default, s.ReadBy, s.Help})
	}
	rows := table(t, "docs/settings.md", "variable", "required", "default", "read by", "what it is")
	if diff := cmp.Diff(want, columns(rows, 5)); diff != "" {
		t.Errorf("docs/settings.md (-code +document):\n%s", diff)
	}
}

// TestMaskingDocumentListsWhatThePackageDoes compares with the package's own
// account of it: the table, and the sentence on what is not found.
func TestMaskingDocumentListsWhatThePackageDoes(t *testing.T) {
	var about string
	for _, f := range sources(t) {
		if f.pkg == "shared/mask" && f.file.Doc != nil {
			about += f.file.Doc.Text()
		}
	}
	_, list, _ := strings.Cut(about, "\tspelling ")
	_, list, _ = strings.Cut(list, "\n") // the rest of the header
	list, rest, _ := strings.Cut(list, "\n\n")
	var want [][]string
	for line := range strings.SplitSeq(list, "\n") {
		name, form, _ := strings.Cut(strings.TrimPrefix(line, "\t"), "  ")
		form = strings.TrimSpace(form)
		if name != "" {
			want = append(want, []string{name, form})
			continue
		}
		want[len(want)-1][1] += " " + form
	}
	p := document(t, "docs/masking.md")
	rows := table(t, p.path, "spelling", "forms")
	if diff := cmp.Diff(want, columns(rows, 2)); diff != "" || len(want) < 5 {
		t.Errorf("docs/masking.md (-package +document):\n%s", diff)
	}
	rest = strings.Join(strings.Fields(rest), " ")
	rest, _, _ = strings.Cut(strings.TrimPrefix(rest, "Not found: "), ". ")
	wantNot := strings.Split(strings.Replace(rest, ", and ", ", ", 1), ", ")
	_, not, _ := strings.Cut(p.text, "## What is not found\n\n- ")
	not, _, _ = strings.Cut(not, "\n\n")
	if diff := cmp.Diff(wantNot, strings.Split(not, "\n- ")); diff != "" {
		t.Errorf("docs/masking.md, not found (-package +document):\n%s", diff)
	}
	if length := fmt.Sprintf("fewer than %d bytes", mask.MinLen); !strings.Contains(p.text, length) {
		t.Errorf("docs/masking.md does not say %q", length)
	}
}

// TestIssuerDocumentFieldsAreTheParsers compares names and order with the
// types, and "required" with what Parse does when the field is left out.
func TestIssuerDocumentFieldsAreTheParsers(t *testing.T) {
	const least = `{"issuers":[{"name":"a","issuer":"https://a.example","kind":"user","environments":["prod"],"algorithms":["RS256"],` +
		`"audiences":[{"audience":"x","servers":["*"]}],"claims":{},"login":{"client_id":"c"}}]}`
	var want [][]string
	for _, of := range []any{identity.Document{}, identity.Issuer{}, identity.Audience{}, identity.Claims{}, identity.Login{}} {
		of := reflect.TypeOf(of)
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			var all any
			if err := json.Unmarshal([]byte(least), &all); err != nil {
				t.Fatal(err)
			}
			remove(all, name)
			without, _ := json.Marshal(all) // what was decoded encodes
			_, err := identity.Parse(without, false)
			want = append(want, []string{name, yes(err != nil)})
		}
	}
	var got [][]string
	for _, rows := range tables(document(t, "docs/issuers.md").text, []string{"field", "required", "what it says"}) {
		got = append(got, columns(rows, 2)...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/issuers.md (-code +document):\n%s", diff)
	}
}

// remove takes every member of that name out of a decoded document.
func remove(v any, name string) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, name)
		for _, member := range v {
			remove(member, name)
		}
	case []any:
		for _, element := range v {
			remove(element, name)
		}
	}
}

var example = regexp.MustCompile("(?s)\\]\\(\\.\\./(shared/identity/testdata/[^)]+)\\)[^\n]*\n\n```json\n(.*?)```")

// TestIssuerExamplesAreTheTestedOnes: each worked example is the issuer of the
// file it names, and can be deployed as it stands.
func TestIssuerExamplesAreTheTestedOnes(t *testing.T) {
	found := example.FindAllStringSubmatch(document(t, "docs/issuers.md").text, -1)
	names := map[any]bool{}
	for _, m := range found {
		raw, err := os.ReadFile("../" + m[1])
		if err != nil {
			t.Error(err)
			continue
		}
		var shown map[string]any
		var tested struct{ Issuer map[string]any }
		if err := errors.Join(json.Unmarshal([]byte(m[2]), &shown), json.Unmarshal(raw, &tested)); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(tested.Issuer, shown); diff != "" {
			t.Errorf("%s (-file +document):\n%s", m[1], diff)
		}
		if _, err := identity.Parse([]byte(`{"issuers":[`+m[2]+`]}`), false); err != nil {
			t.Error(err)
		}
		names[shown["name"]] = true
	}
	for _, name := range []string{"okta", "entra", "google", "authkit"} {
		if !names[name] {
			t.Errorf("docs/issuers.md has no example of %s: %v", name, slices.Collect(maps.Keys(names)))
		}
	}
}
