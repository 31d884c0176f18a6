package handler

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestEveryReasonHasASentence of its own.
func TestEveryReasonHasASentence(t *testing.T) {
	said := map[string]broker.Reason{}
	all := reasons(t)
	for _, reason := range all {
		sentence := explanationOf(broker.Record{Phase: broker.Refused, Reason: reason})
		if _, known := sentences()[reason]; !known || said[sentence] != "" || !strings.HasSuffix(sentence, ".") {
			t.Errorf("%s says %q, as %s does", reason, sentence, said[sentence])
		}
		said[sentence] = reason
	}
	if len(all) == 0 || len(all) != len(sentences()) {
		t.Errorf("there are %d reasons and %d sentences", len(all), len(sentences()))
	}
	for _, r := range []broker.Record{{Phase: broker.Intent}, {Phase: broker.Outcome}, {Phase: broker.Refused, Reason: "of tomorrow"}} {
		if explanationOf(r) == "" || said[explanationOf(r)] != "" {
			t.Errorf("%+v says %q", r, explanationOf(r))
		}
	}
}

// reasons reads the constants of type broker.Reason.
func reasons(t *testing.T) (all []broker.Reason) {
	t.Helper()
	files, err := filepath.Glob("../../../shared/broker/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || fmt.Sprint(v.Type) != "Reason" {
				return true
			}
			for _, value := range v.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, broker.Reason(text))
			}
			return false
		})
	}
	return all
}
