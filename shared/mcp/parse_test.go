package mcp_test

import (
	"bufio"
	"bytes"
	"encoding/json"
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

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// TestParseConversations runs each testdata/parse/*.txtar: a file holds pairs
// of a request and NAME.want (the judgement). A POST is NAME.request (headers,
// blank line, body); of NAME.get and NAME.delete there are headers only.
func TestParseConversations(t *testing.T) {
	golden(t, "testdata/parse/*.txtar", func(f txtar.File) (name, got string) {
		for suffix, parse := range map[string]func(http.Header, []byte) (*mcp.Message, error){
			".request": mcp.Parse,
			".get":     func(h http.Header, _ []byte) (*mcp.Message, error) { return mcp.ParseListen(h) },
			".delete":  func(h http.Header, _ []byte) (*mcp.Message, error) { return mcp.ParseEnd(h) },
		} {
			if name, found := strings.CutSuffix(f.Name, suffix); found {
				return name, judge(t, f.Data, parse)
			}
		}
		return "", ""
	})
}

// golden compares what run gives for each file of the archives with the file
// NAME.want beside it. Files for which run gives no name are passed over.
func golden(t *testing.T, pattern string, run func(f txtar.File) (name, got string)) {
	files, err := filepath.Glob(pattern)
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
			name, got := run(f)
			if name == "" {
				continue
			}
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

// judge renders what is said about a request written as text.
func judge(t *testing.T, request []byte, parse func(http.Header, []byte) (*mcp.Message, error)) string {
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
	m, err := parse(http.Header(header), bytes.TrimSuffix(body.Bytes(), []byte("\n")))
	if err != nil {
		var refusal *mcp.Error
		if !errors.As(err, &refusal) {
			t.Fatalf("error is not an *Error: %v", err)
		}
		return fmt.Sprintf("refused: HTTP %d\n%s\n", refusal.Status, refusal.Body())
	}
	kind := map[mcp.Kind]string{mcp.Request: "request", mcp.Notification: "notification", mcp.Response: "response",
		mcp.Listen: "listen", mcp.End: "end"}[m.Kind]
	said := fmt.Sprintf("%s id=%s method=%q action=%s target=%q version=%s modern=%v",
		kind, m.ID, m.Method, m.Action, m.Target, m.Version, m.Modern)
	if m.Lasting {
		said += " lasting"
	}
	if m.Session+m.LastEventID != "" {
		said += fmt.Sprintf(" session=%q last-event-id=%q", m.Session, m.LastEventID)
	}
	if m.Capabilities != nil {
		said += fmt.Sprintf(" capabilities=%v", m.Capabilities)
	}
	return said + "\n"
}

// TestStringsEndWhereEveryReaderEndsThem puts the bytes that end a string, or
// stand next to those that do, at all places of strings of all lengths, and
// holds what scans against encoding/json.
func TestStringsEndWhereEveryReaderEndsThem(t *testing.T) {
	near := []byte{0, 1, 0x1f, ' ', '!', '"', '#', '[', '\\', ']', 0x7f, 0x80, 0x9f, 0xa0, 0xa2, 0xdc, 0xff}
	check := func(text []byte) {
		answer := append(append([]byte(`{"id":7,"result":{"x":"`), text...), `"}}`...)
		if got, want := mcp.IsResponseTo(answer, []byte("7")), json.Valid(answer); got != want {
			t.Errorf("%q: read %t, want %t", answer, got, want)
		}
	}
	for length := range 20 {
		for first := range length {
			for c := range 256 {
				text := bytes.Repeat([]byte("n"), length)
				text[first] = byte(c)
				check(text)
			}
			for second := first + 1; second < length; second++ {
				for _, c := range near {
					for _, d := range near {
						text := bytes.Repeat([]byte("n"), length)
						text[first], text[second] = c, d
						check(text)
					}
				}
			}
		}
	}
}
