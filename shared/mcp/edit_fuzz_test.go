package mcp_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bindery/shared/mcp"

	"golang.org/x/tools/txtar"
)

// listsOf are the lists of a result and the member that names their elements.
var listsOf = map[string]string{"tools": "name", "prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}

// FuzzEditResult: what is not refused is JSON, shows what the filter of a
// decoded answer would show and nothing else, and keeps every other value.
func FuzzEditResult(f *testing.F) {
	files, err := filepath.Glob("testdata/edits/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, sample := range archive.Files {
			if _, body, found := bytes.Cut(sample.Data, []byte("\n\n")); found {
				f.Add(body)
			}
		}
	}
	legacy, modern := asked(f, "2025-11-25", "GET"), asked(f, "2026-07-28", "tools/list")
	f.Fuzz(func(t *testing.T, answer []byte) {
		for _, m := range []*mcp.Message{legacy, modern} {
			edited, changed, err := m.EditResult(answer, allowed())
			switch {
			case err != nil:
				continue
			case len(bytes.TrimSpace(answer)) == 0:
				continue
			case !json.Valid(edited):
				t.Fatalf("not JSON: %s", edited)
			case changed == bytes.Equal(edited, answer):
				t.Fatalf("changed is %v: %s", changed, edited)
			}
			sameAsDecoded(t, m, answer, edited)
			shownToAnyReader(t, edited)
			if again, changed, err := m.EditResult(edited, allowed()); err != nil || changed {
				t.Fatalf("edited again: %s, %v", again, err)
			}
		}
	})
}

// sameAsDecoded is the oracle: the same edits on decoded values.
func sameAsDecoded(t *testing.T, m *mcp.Message, answer, edited []byte) {
	want, got := decoded(t, answer), decoded(t, edited)
	if result, ok := want["result"].(map[string]any); ok {
		for list, naming := range listsOf {
			elements, isList := result[list].([]any)
			if !isList {
				continue
			}
			kept := []any{}
			for _, element := range elements {
				if name, _ := element.(map[string]any)[naming].(string); mayUse(name) {
					kept = append(kept, element)
				}
			}
			result[list] = kept
		}
		_, hasScope := result["cacheScope"]
		if hasScope || m.Modern && result["resultType"] != "input_required" {
			result["cacheScope"] = "private"
		}
	}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("of %s\nwant %v\ngot  %v\nas %s", answer, want, got, edited)
	}
}

func decoded(t *testing.T, message []byte) (v map[string]any) {
	d := json.NewDecoder(bytes.NewReader(message))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("accepted what is no object: %v", err)
	}
	return v
}

func mayUse(name string) bool {
	return strings.HasPrefix(name, "ok") && len(name) <= 4096 && !strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// shownToAnyReader decodes with a reader that ignores case and takes the last
// of two equal keys: it must not see a name that the caller may not use.
func shownToAnyReader(t *testing.T, edited []byte) {
	var seen struct {
		Result struct {
			Tools     []struct{ Name string }
			Prompts   []struct{ Name string }
			Resources []struct{ URI string }
			Templates []struct {
				URI string `json:"uriTemplate"`
			} `json:"resourceTemplates"`
			Scope any `json:"cacheScope"`
		}
	}
	if json.Unmarshal(edited, &seen) != nil {
		return // result is of another type
	}
	var names []string
	for _, e := range append(seen.Result.Tools, seen.Result.Prompts...) {
		names = append(names, e.Name)
	}
	for _, e := range seen.Result.Resources {
		names = append(names, e.URI)
	}
	for _, e := range seen.Result.Templates {
		names = append(names, e.URI)
	}
	for _, name := range names {
		if !mayUse(name) {
			t.Fatalf("%q is shown: %s", name, edited)
		}
	}
	if seen.Result.Scope != nil && seen.Result.Scope != "private" {
		t.Fatalf("scope is %v: %s", seen.Result.Scope, edited)
	}
}

// FuzzParseListen: what GET and DELETE accept can be forwarded, is bounded and
// stays within the legacy eras.
func FuzzParseListen(f *testing.F) {
	for _, seed := range []struct{ version, accept, session, event, connection string }{
		{"2025-11-25", "text/event-stream", "brk1.abc", "stream_1", ""},
		{"2026-07-28", "*/*", "s", "7", "close"},
		{"2025-06-18", "application/json, TEXT/EVENT-STREAM;q=0.5", "s\r\nAuthorization: x", "1\x00", "Last-Event-ID"},
		{"2025-03-26 ", "text/event-stream\n", " s", "\u00fc", "mcp-session-id"},
		{"", "text/*", strings.Repeat("s", 5000), strings.Repeat("e", 2000), ""},
	} {
		f.Add(seed.version, seed.accept, seed.session, seed.event, seed.connection)
	}
	f.Fuzz(func(t *testing.T, version, accept, session, event, connection string) {
		h := http.Header{"Mcp-Protocol-Version": {version}, "Accept": {accept}, "Mcp-Session-Id": {session}, "Last-Event-Id": {event},
			"Connection": {connection}, "Authorization": {"hostile"}, "Content-Type": {"text/html"}}
		for kind, parse := range map[mcp.Kind]func(http.Header) (*mcp.Message, error){mcp.Listen: mcp.ParseListen, mcp.End: mcp.ParseEnd} {
			m, err := parse(h)
			if err != nil {
				if refusal, isRefusal := err.(*mcp.Error); m != nil || !isRefusal || !json.Valid(refusal.Body()) {
					t.Fatalf("refused with %v", err)
				}
				continue
			}
			if m.Kind != kind || m.Modern || m.Version != version || m.Lasting != (kind == mcp.Listen) || m.ID != nil || m.Session != session || len(session) > 4096 {
				t.Fatalf("%+v", m)
			}
			if kind == mcp.Listen && (m.LastEventID != event || len(event) > 1024) || kind == mcp.End && m.LastEventID != "" {
				t.Fatalf("resumes at %q", m.LastEventID)
			}
			for name, values := range mcp.UpstreamHeader(h, m) {
				switch name {
				case "Accept", "Last-Event-Id", "Mcp-Protocol-Version", "Accept-Encoding":
				default:
					t.Fatalf("%s goes upstream", name)
				}
				if len(values) != 1 || strings.ContainsAny(values[0], "\r\n\x00") {
					t.Fatalf("%s: %q", name, values)
				}
			}
		}
	})
}
