package tests

import (
	"errors"
	"fmt"
	"go/ast"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/functions/proxy/handler"
	"bindery/shared/mcp"
)

func TestErrorTableIsTheHandlers(t *testing.T) {
	var want [][]string
	codes := map[int]bool{}
	for _, p := range handler.Problems() {
		want = append(want, []string{p.Name, strconv.Itoa(p.Status), strconv.Itoa(p.Code), p.Text, yes(p.Retry)})
		if codes[p.Code] {
			t.Errorf("two rows have the code %d", p.Code)
		}
		codes[p.Code] = true
	}
	rows := table(t, "docs/errors.md", "name", "HTTP", "code", "text", "again", "what to do")
	if diff := cmp.Diff(want, columns(rows, 5)); diff != "" {
		t.Errorf("docs/errors.md (-code +document):\n%s", diff)
	}
}

// TestProtocolErrorTableIsTheParsers provokes each refusal of mcp.Parse, and
// finds in its source that there is no other.
func TestProtocolErrorTableIsTheParsers(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	call := func(method string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + meta + `}}`
	}
	provoke := map[error]struct{ header, value, body string }{
		mcp.ErrMediaType:      {"Content-Type", "text/plain", call("tools/list")},
		mcp.ErrParse:          {"Mcp-Method", "tools/list", "{"},
		mcp.ErrInvalidRequest: {"Mcp-Method", "tools/list", "[" + call("tools/list") + "]"},
		mcp.ErrInvalidParams:  {"Mcp-Method", "tools/call", call("tools/call")},
		mcp.ErrMethodUnknown:  {"Mcp-Method", "tools/none", call("tools/none")},
		mcp.ErrHeaderMismatch: {"Mcp-Method", "tools/list", call("prompts/list")},
		mcp.ErrVersion:        {"Mcp-Protocol-Version", "1999-01-01", call("tools/list")},
	}
	want := map[string]string{}
	for sentinel, c := range provoke {
		h := http.Header{"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/list"}}
		h.Set(c.header, c.value)
		_, err := mcp.Parse(h, []byte(c.body))
		var fault *mcp.Error
		if !errors.Is(err, sentinel) || !errors.As(err, &fault) {
			t.Errorf("%v was to be provoked: %v", sentinel, err)
			continue
		}
		want[strings.TrimPrefix(sentinel.Error(), "mcp: ")] = fmt.Sprint(fault.Status, " ", fault.Code)
	}
	got := map[string]string{}
	for _, row := range table(t, "docs/errors.md", "name", "HTTP", "code", "when") {
		got[row[0]] = row[1] + " " + row[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/errors.md (-code +document):\n%s", diff)
	}
	for _, f := range sources(t) {
		if sentinels := regexp.MustCompile(`errors\.New\("mcp: `).FindAllString(f.text, -1); f.path == "shared/mcp/error.go" && len(sentinels) != len(provoke) {
			t.Errorf("%s has %d sentinels, and this test provokes %d", f.path, len(sentinels), len(provoke))
		}
	}
}

// TestPlatformErrorTableIsLambdahttps reads the refusals from its source.
func TestPlatformErrorTableIsLambdahttps(t *testing.T) {
	want := map[string]string{}
	for _, f := range sources(t) {
		if f.pkg != "shared/lambdahttp" || f.test {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			made, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if kind, ok := made.Type.(*ast.Ident); !ok || kind.Name != "refusal" {
				return true
			}
			status, named := made.Elts[0].(*ast.SelectorExpr)
			text, fixed := made.Elts[1].(*ast.BasicLit)
			if !named || !fixed {
				t.Errorf("%s: a refusal has a named status and a fixed text", f.at(made))
				return true
			}
			unquoted, _ := strconv.Unquote(text.Value) // the parser has checked it
			want[unquoted] = statusNumber(status.Sel.Name)
			return true
		})
	}
	got := map[string]string{}
	for _, row := range table(t, "docs/errors.md", "text", "HTTP") {
		got[row[0]] = row[1]
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 5 {
		t.Errorf("docs/errors.md (-code +document):\n%s", diff)
	}
}

// statusNumber gives the number of net/http's StatusX.
func statusNumber(name string) string {
	for n := range 600 {
		if "Status"+strings.ReplaceAll(http.StatusText(n), " ", "") == name {
			return strconv.Itoa(n)
		}
	}
	return "unknown"
}
