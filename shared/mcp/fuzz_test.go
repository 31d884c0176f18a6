package mcp_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/mcp"

	"golang.org/x/tools/txtar"
)

// asStruct is how a reader that ignores case sees a message, asMap how one
// that does not.
type asStruct struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  struct {
		Name string `json:"name"`
		URI  string `json:"uri"`
		Ref  struct {
			Type string `json:"type"`
			Name string `json:"name"`
			URI  string `json:"uri"`
		} `json:"ref"`
	} `json:"params"`
}

// FuzzParse: whatever Parse accepts, other readers understand the same way.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/parse/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, sample := range txtar.Parse(data).Files {
			if _, body, found := bytes.Cut(sample.Data, []byte("\n\n")); found {
				f.Add(bytes.TrimSpace(body))
			}
		}
	}
	for _, spelling := range []string{"nam\u212a", `na\u0000me`, "\u0131d", "\ufeffname", "name ", "NAME", "_Meta", "capabilitie\u017f"} {
		f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","` + spelling + `":"b"}}`))
		f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"` + spelling + `":{"name":"b"}}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, h := range headersFor(body) {
			m, err := mcp.Parse(h, body)
			if err != nil {
				if m != nil || strings.Contains(err.Error(), string(body)) && len(body) > 8 {
					t.Fatalf("error with a message, or repeating the body: %v", err)
				}
				continue
			}
			sameInStruct(t, m, body)
			sameInMap(t, m, body)
		}
	})
}

// headersFor gives legacy headers, and modern ones that mirror the body as
// encoding/json reads it.
func headersFor(body []byte) []http.Header {
	var seen asStruct
	_ = json.Unmarshal(body, &seen) // a broken body gets headers that do not fit
	legacy := http.Header{"Content-Type": {"application/json"}}
	modern := http.Header{
		"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2026-07-28"},
		"Mcp-Method": {seen.Method}, "Mcp-Name": {seen.Params.Name + seen.Params.URI},
	}
	return []http.Header{legacy, modern}
}

func sameInStruct(t *testing.T, m *mcp.Message, body []byte) {
	var seen asStruct
	if err := json.Unmarshal(body, &seen); err != nil {
		// Go refuses a known parameter of another type where no method needs it.
		if !json.Valid(body) {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		return
	}
	target := ""
	switch {
	case seen.Method == "completion/complete" && seen.Params.Ref.Type == "ref/prompt":
		target = seen.Params.Ref.Name
	case seen.Method == "completion/complete":
		target = seen.Params.Ref.URI
	case seen.Method == "tools/call", seen.Method == "prompts/get":
		target = seen.Params.Name
	case strings.HasPrefix(seen.Method, "resources/") && m.Action == broker.ReadResource:
		target = seen.Params.URI
	}
	if seen.JSONRPC != "2.0" || seen.Method != m.Method || string(seen.ID) != string(m.ID) || target != m.Target {
		t.Fatalf("encoding/json reads %+v, Parse %+v", seen, m)
	}
}

func sameInMap(t *testing.T, m *mcp.Message, body []byte) {
	var seen map[string]any
	if err := json.Unmarshal(body, &seen); err != nil {
		t.Fatalf("accepted what is not an object: %v", err)
	}
	method, _ := seen["method"].(string)
	if method != m.Method {
		t.Fatalf("map has method %q, Parse %q", method, m.Method)
	}
	if _, has := seen["id"]; has != (m.Kind != mcp.Notification) {
		t.Fatalf("map has id: %v, Parse says kind %d", has, m.Kind)
	}
	params, _ := seen["params"].(map[string]any)
	key := map[string]string{"tools/call": "name", "prompts/get": "name", "resources/read": "uri",
		"resources/subscribe": "uri", "resources/unsubscribe": "uri"}[method]
	if key == "" {
		return
	}
	if target, _ := params[key].(string); target != m.Target {
		t.Fatalf("map has target %q, Parse %q", target, m.Target)
	}
}
