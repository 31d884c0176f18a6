package mcp_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bindery/shared/mcp"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata/parse")

// TestParseConversations runs each testdata/parse/*.txtar: a file holds pairs
// of NAME.request (headers, blank line, body) and NAME.want (the judgement).
func TestParseConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/parse/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out txtar.Archive
		out.Comment = archive.Comment
		want := map[string]string{}
		for _, f := range archive.Files {
			want[f.Name] = string(f.Data)
		}
		for _, f := range archive.Files {
			name, isRequest := strings.CutSuffix(f.Name, ".request")
			if !isRequest {
				continue
			}
			got := judge(t, f.Data)
			out.Files = append(out.Files, f, txtar.File{Name: name + ".want", Data: []byte(got)})
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				if diff := cmp.Diff(want[name+".want"], got); diff != "" && !*update {
					t.Errorf("judgement differs (-want +got):\n%s", diff)
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, txtar.Format(&out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// judge renders what Parse says about a request written as text.
func judge(t *testing.T, request []byte) string {
	t.Helper()
	reader := bufio.NewReader(bytes.NewReader(request))
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("header of the sample: %v", err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(reader); err != nil {
		t.Fatal(err)
	}
	m, err := mcp.Parse(http.Header(header), bytes.TrimSuffix(body.Bytes(), []byte("\n")))
	if err != nil {
		var refusal *mcp.Error
		if !errors.As(err, &refusal) {
			t.Fatalf("error is not an *Error: %v", err)
		}
		return fmt.Sprintf("refused: HTTP %d\n%s\n", refusal.Status, refusal.Body())
	}
	kind := map[mcp.Kind]string{mcp.Request: "request", mcp.Notification: "notification", mcp.Response: "response"}[m.Kind]
	return fmt.Sprintf("%s id=%s method=%q action=%s target=%q version=%s modern=%v\n",
		kind, m.ID, m.Method, m.Action, m.Target, m.Version, m.Modern)
}
