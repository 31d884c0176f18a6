package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bindery/shared/mcp"

	"golang.org/x/tools/txtar"
)

// modernHeader goes with a request of 2026-07-28, whatever is judged besides.
func modernHeader(body []byte) http.Header {
	var m struct{ Method string }
	_ = json.Unmarshal(body, &m)
	h := http.Header{"Content-Type": {mcp.JSON}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {m.Method}}
	if m.Method == "tools/call" {
		h.Set("Mcp-Name", "create_issue")
	}
	return h
}

// TestWhatComesBackOfAQuestionIsCutOutAndNothingElse runs testdata/replies:
// NAME.body is a request, NAME.want what is understood and what goes upstream.
func TestWhatComesBackOfAQuestionIsCutOutAndNothingElse(t *testing.T) {
	golden(t, "testdata/replies/*.txtar", func(f txtar.File) (name, got string) {
		name, modern := strings.CutSuffix(f.Name, ".body")
		header := modernHeader(f.Data)
		if !modern {
			var legacy bool
			if name, legacy = strings.CutSuffix(f.Name, ".legacy"); !legacy {
				return "", ""
			}
			header = jsonHeader
		}
		body := []byte(strings.TrimSuffix(string(f.Data), "\n"))
		m, err := mcp.Parse(header, body)
		if err != nil {
			return name, fmt.Sprintf("refused: %v\n", err)
		}
		out := m.WithoutReply(body)
		if !json.Valid(out) {
			t.Errorf("%s: not JSON any more", name)
		}
		if again, err := mcp.Parse(header, out); err != nil || again.State != "" {
			t.Errorf("%s: goes upstream with a state, %v", name, err)
		}
		return name, fmt.Sprintf("state=%q reply=%q continues=%v\n%s\n", m.State, m.Reply, m.Continues, out)
	})
}

// TestARepeatedCallHasTheSameDigestAndAnotherCallAnother.
func TestARepeatedCallHasTheSameDigestAndAnotherCallAnother(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`
	digest := func(id, method, params string) string {
		t.Helper()
		body := []byte(`{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + params + `}}`)
		h := modernHeader(body)
		h.Set("Mcp-Name", "create_issue")
		m, err := mcp.Parse(h, body)
		if err != nil {
			t.Fatal(err)
		}
		return m.CallDigest(body)
	}
	first := digest("1", "tools/call", `"name":"create_issue","arguments":{"title":"A"},`+meta+`}`)
	for what, again := range map[string]string{
		"with its answer":         digest("2", "tools/call", `"name":"create_issue","arguments":{"title":"A"},"requestState":"brk1.x","inputResponses":{},`+meta+`}`),
		"with another trace":      digest("2", "tools/call", meta+`,"traceparent":"00-1"},"name":"create_issue","arguments":{"title":"A"}`),
		"under a progress token":  digest(`"3"`, "tools/call", meta+`,"progressToken":7},"name":"create_issue","arguments":{"title":"A"}`),
		"with an upstream's part": digest("2", "tools/call", `"name":"create_issue","arguments":{"title":"A"},"requestState":"theirs",`+meta+`}`),
	} {
		if again != first || first == "" {
			t.Errorf("%s: %q, want %q", what, again, first)
		}
	}
	for what, other := range map[string]string{
		"other arguments": digest("1", "tools/call", `"name":"create_issue","arguments":{"title":"B"},`+meta+`}`),
		"no arguments":    digest("1", "tools/call", `"name":"create_issue",`+meta+`}`),
		"another method":  digest("1", "prompts/get", `"name":"create_issue","arguments":{"title":"A"},`+meta+`}`),
		"one more member": digest("1", "tools/call", `"name":"create_issue","arguments":{"title":"A"},"task":{},`+meta+`}`),
	} {
		if other == first {
			t.Errorf("%s: the same digest", what)
		}
	}
}

// TestQuestions runs testdata/questions: how a person is asked on the wire.
func TestQuestions(t *testing.T) {
	const link, prompt = "https://mcp.example.com/connect/MADEUP?a=1&b=2", `Your consent is needed before "files" can be used.`
	call := func(modern bool) *mcp.Message { return &mcp.Message{ID: json.RawMessage("7"), Modern: modern} }
	bodies := map[string][]byte{
		"input-required":         mcp.InputRequired(json.RawMessage("7"), mcp.StatePrefix+"sealed", link, prompt),
		"input-required-text-id": mcp.InputRequired(json.RawMessage(`"seven"`), mcp.StatePrefix+"sealed", link, prompt),
		"url-required":           mcp.URLRequired(json.RawMessage("7"), "made-up-id", link, prompt),
		"tool-failure-modern":    call(true).ToolFailure(prompt + " Open " + link),
		"tool-failure-legacy":    call(false).ToolFailure(prompt + " Open " + link),
	}
	golden(t, "testdata/questions/*.txtar", func(f txtar.File) (name, got string) {
		name, isQuestion := strings.CutSuffix(f.Name, ".question")
		if !isQuestion {
			return "", ""
		}
		if !json.Valid(bodies[name]) {
			t.Errorf("%s: not JSON", name)
		}
		return name, string(bodies[name]) + "\n"
	})
}

// FuzzWithoutReply: whatever stands around them, the two members go, the call
// stays what it was, and what goes upstream reads as the same call.
func FuzzWithoutReply(f *testing.F) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	f.Add(`"arguments":{"a":1}`, `{"brk_connect":{"action":"accept"}}`, true)
	f.Add(`"task" : {} , "x":"\""`, `[]`, false)
	f.Fuzz(func(t *testing.T, member, responses string, first bool) {
		reply := `"requestState":"brk1.x", "inputResponses" :` + responses
		params := member + `,"name":"create_issue",` + meta
		with := params + "," + reply
		if first {
			with = reply + "," + params
		}
		wrap := func(params string) []byte {
			return []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + params + `}}`)
		}
		m, err := mcp.Parse(modernHeader(wrap(params)), wrap(with))
		if err != nil || m.State == "" {
			return
		}
		out := m.WithoutReply(wrap(with))
		plain, err := mcp.Parse(modernHeader(wrap(params)), out)
		if err != nil || plain.State != "" || plain.Continues {
			t.Fatalf("%s goes upstream as %s: %v", wrap(with), out, err)
		}
		if m.CallDigest(wrap(with)) != plain.CallDigest(out) {
			t.Errorf("the digest of the call changed")
		}
	})
}
