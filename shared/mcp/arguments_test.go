package mcp_test

import (
	"net/http"
	"strings"
	"testing"

	"bindery/shared/mcp"
)

// TestArgumentsAreThoseThatAnUpstreamReads: byte for byte out of the one body
// that is relayed, in both eras, of the methods that have arguments, and
// nowhere else.
func TestArgumentsAreThoseThatAnUpstreamReads(t *testing.T) {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},`
	for name, c := range map[string]struct{ method, params, want string }{
		"a tool's":          {"tools/call", `"name":"n","arguments": {"a" : [1e2,"\u0061"]} `, `{"a" : [1e2,"\u0061"]}`},
		"before the name":   {"tools/call", `"arguments":{"name":"other"},"name":"n"`, `{"name":"other"}`},
		"an escaped key":    {"tools/call", `"name":"n","\u0061rguments":{"a":1}`, `{"a":1}`},
		"a prompt's":        {"prompts/get", `"name":"n","arguments":{"a":"b"}`, `{"a":"b"}`},
		"none":              {"tools/call", `"name":"n"`, ""},
		"no object":         {"tools/call", `"name":"n","arguments":[{"a":1}]`, `[{"a":1}]`},
		"null":              {"tools/call", `"name":"n","arguments":null`, `null`},
		"of a method alone": {"resources/read", `"uri":"n","arguments":{"a":1}`, ""},
		"of a completion":   {"completion/complete", `"ref":{"type":"ref/prompt","name":"n"},"arguments":{"a":1}`, ""},
	} {
		for _, version := range []string{"2025-11-25", "2026-07-28"} {
			h, params := http.Header{"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {version}}, c.params
			if version == "2026-07-28" {
				params = meta + params
				h.Set("Mcp-Method", c.method)
				if c.method != "completion/complete" {
					h.Set("Mcp-Name", "n")
				}
			}
			body := []byte(`{"jsonrpc":"2.0","id":1,"method":"` + c.method + `","params":{` + params + `}}`)
			m, err := mcp.Parse(h, body)
			if err != nil {
				t.Errorf("%s, %s: %v", name, version, err)
				continue
			}
			if string(m.Arguments) != c.want || (m.Arguments == nil) != (c.want == "") {
				t.Errorf("%s, %s: arguments %s", name, version, m.Arguments)
			}
			if at := strings.Index(string(body), c.want); c.want != "" && &m.Arguments[0] != &body[at] {
				t.Errorf("%s, %s: the arguments are a copy", name, version)
			}
		}
	}
}

// TestArgumentsThatReadTwoWaysAreRefused, wherever in them the second way is.
func TestArgumentsThatReadTwoWaysAreRefused(t *testing.T) {
	for name, params := range map[string]string{
		"given twice":            `"arguments":{"a":1},"arguments":{"a":2}`,
		"and once escaped":       `"arguments":{"a":1},"\u0061rguments":{"a":2}`,
		"in another case":        `"arguments":{"a":1},"Arguments":{"a":2}`,
		"a key twice":            `"arguments":{"a":1,"a":2}`,
		"deep within":            `"arguments":{"a":[{"b":{"c":1,"\u0063":2}}]}`,
		"half a pair in the key": `"arguments":{"\ud800":1}`,
	} {
		h := http.Header{"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2025-11-25"}}
		if m, err := mcp.Parse(h, []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n",`+params+`}}`)); err == nil {
			t.Errorf("%s: parsed with the arguments %s", name, m.Arguments)
		}
	}
}
