package mcp_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bindery/shared/mcp"

	"golang.org/x/tools/txtar"
)

// allowed is a caller who may use what begins with "ok", whatever it is.
func allowed() *mcp.Sees {
	ok := func(name string) bool { return strings.HasPrefix(name, "ok") }
	return &mcp.Sees{Tool: ok, Prompt: ok, Resource: ok, Template: ok}
}

// asked gives the message whose answer is to be edited.
func asked(t testing.TB, version, method string) *mcp.Message {
	h := http.Header{"Mcp-Protocol-Version": {version}}
	if method == "GET" {
		m, err := mcp.ParseListen(h)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	h.Set("Content-Type", mcp.JSON)
	h.Set("Mcp-Method", method)
	h.Set("Mcp-Name", "ok")
	meta := ""
	if version >= "2026-07-28" {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + version + `","io.modelcontextprotocol/clientCapabilities":{}}`
	}
	m, err := mcp.Parse(h, []byte(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{"name":"ok","uri":"ok"`+meta+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEditsOfAnswers runs each testdata/edits/*.txtar: NAME.answer is the
// revision, the method and perhaps "unfiltered", and after a blank line the
// upstream's message; NAME.want is what reaches the caller.
func TestEditsOfAnswers(t *testing.T) {
	golden(t, "testdata/edits/*.txtar", func(f txtar.File) (name, got string) {
		name, isAnswer := strings.CutSuffix(f.Name, ".answer")
		if !isAnswer {
			return "", ""
		}
		head, answer, _ := bytes.Cut(f.Data, []byte("\n\n"))
		words, see := strings.Fields(string(head)), allowed()
		if len(words) > 2 {
			see = nil
		}
		edited, changed, err := asked(t, words[0], words[1]).EditResult(answer, see)
		switch {
		case err != nil && (edited != nil || changed):
			t.Errorf("%s: an answer beside an error", name)
		case err != nil:
			return name, fmt.Sprintf("refused: %v\n", err)
		case changed == bytes.Equal(edited, answer):
			t.Errorf("%s: changed is %v", name, changed)
		case !changed:
			return name, "unchanged\n"
		}
		return name, string(edited)
	})
}

// TestUneditedAnswerIsNotCopied: what needs no edit costs no memory.
func TestUneditedAnswerIsNotCopied(t *testing.T) {
	for method, answer := range map[string]string{
		"tools/list":      `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[{"name":"ok"}],"cacheScope":"private"}}`,
		"prompts/list":    `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no"}}`,
		"tools/call":      `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"hidden"}],"cacheScope":"public"}}`,
		"server/discover": ` `,
	} {
		in := []byte(answer)
		out, changed, err := asked(t, "2026-07-28", method).EditResult(in, allowed())
		if err != nil || changed || len(out) != len(in) || &out[0] != &in[0] {
			t.Errorf("%s: changed %v, %v: %s", method, changed, err, out)
		}
	}
}

// TestEveryPatternOfCutsLeavesAList tries all subsets of a list with white
// space in every place.
func TestEveryPatternOfCutsLeavesAList(t *testing.T) {
	const n = 6
	m := asked(t, "2025-11-25", "tools/list")
	for pattern := range 1 << n {
		var given, kept []string
		for i := range n {
			name := "hidden"
			if pattern&(1<<i) != 0 {
				name = "ok"
			}
			element := fmt.Sprintf(`{ "name" : %q , "n" : %d }`, name, i)
			given = append(given, element)
			if name == "ok" {
				kept = append(kept, element)
			}
		}
		edited, _, err := m.EditResult([]byte(`{"result":{"tools":[ `+strings.Join(given, " , ")+` ]}}`), allowed())
		inside, found := strings.CutPrefix(string(edited), `{"result":{"tools":[`)
		inside, closed := strings.CutSuffix(inside, `]}}`)
		if err != nil || !found || !closed || strings.TrimSpace(inside) != strings.Join(kept, " , ") {
			t.Errorf("%06b: %s, %v", pattern, edited, err)
		}
	}
}

// TestCostlyAnswersAreEdited: no answer makes editing quadratic or recurse
// without end; at these sizes neither would come back.
func TestCostlyAnswersAreEdited(t *testing.T) {
	list := func(element string, n int) string {
		return `{"result":{"tools":[` + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + `]}}`
	}
	m := asked(t, "2025-11-25", "tools/list")
	for name, c := range map[string]struct {
		answer  string
		refused bool
	}{
		"alternating":    {list(`{"name":"ok"},{"name":"x"}`, 150_000), false},
		"all cut":        {list(`{"name":"x"}`, 300_000), false},
		"many members":   {list(`{"name":"ok",`+members(100_000)[1:], 2), false},
		"escaped names":  {list(`{"name":"`+strings.Repeat(`\u006f`, 600_000)+`"}`, 1), false},
		"deep elements":  {list(`{"name":"ok","x":`+strings.Repeat("[", 900)+strings.Repeat("]", 900)+`}`, 2000), false},
		"endless depth":  {list(`{"name":"ok","x":`+strings.Repeat("[", 2_000_000), 1), true},
		"endless lists":  {`{"result":{` + strings.Repeat(`"tools":[],`, 300_000) + `"x":0}}`, true},
		"endless spaces": {`{"result":` + strings.Repeat(" ", 4_000_000) + `{}}`, false},
	} {
		if _, _, err := m.EditResult([]byte(c.answer), allowed()); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRefusedAnswerRepeatsNothing: the error can be logged.
func TestRefusedAnswerRepeatsNothing(t *testing.T) {
	const canary = "canary-7f3a"
	m := asked(t, "2025-11-25", "tools/list")
	for _, answer := range []string{canary, `{"` + canary + `"}`, `{"result":{"tools":["` + canary + `"]}}`, `{"result":{"` + canary + `\u0000":1}}`,
		`{"result":{"tools":[{"Name":"` + canary + `"}]}}`} {
		if _, _, err := m.EditResult([]byte(answer), allowed()); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func BenchmarkEditResult(b *testing.B) {
	tool := func(name string) string {
		return `{"name":"` + name + `","title":"Some tool","description":"` + strings.Repeat("What it does. ", 20) +
			`","inputSchema":{"type":"object","properties":{"query":{"type":"string","description":"What to look for"},"limit":{"type":"integer"}},"required":["query"]},"annotations":{"readOnlyHint":true}}`
	}
	answer := func(n int, names ...string) []byte {
		var list []string
		for i := range n {
			list = append(list, tool(names[i%len(names)]))
		}
		return []byte(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[` + strings.Join(list, ",") + `],"ttlMs":0,"cacheScope":"private"}}`)
	}
	for name, c := range map[string]struct {
		method string
		answer []byte
	}{
		"small":            {"tools/list", answer(3, "ok", "hidden")},
		"1MB-unchanged":    {"tools/list", answer(2000, "ok")},
		"1MB-filtered":     {"tools/list", answer(2000, "ok", "ok", "hidden")},
		"1MB-of-tool-call": {"tools/call", answer(2000, "hidden")},
	} {
		b.Run(name, func(b *testing.B) {
			m := asked(b, "2026-07-28", c.method)
			see := allowed()
			b.SetBytes(int64(len(c.answer)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := m.EditResult(c.answer, see); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
