package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/mask"
	"bindery/shared/mcp"
	"bindery/shared/secret"
)

// chunks gives a text in pieces of the sizes that a fuzzer chose.
type chunks struct {
	text  []byte
	sizes []byte
	next  int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	size := 1
	if len(c.sizes) > 0 {
		size = int(c.sizes[c.next%len(c.sizes)])%17 + 1
		c.next++
	}
	n := copy(p[:min(len(p), size)], c.text)
	c.text = c.text[n:]
	return n, nil
}

// relayed runs one answer of an upstream through the relay.
func relayed(t *testing.T, masker *mask.Masker, kind string, body io.Reader) string {
	t.Helper()
	w := httptest.NewRecorder()
	x := &exchange{
		Handler: &Handler{log: slog.New(slog.DiscardHandler)}, w: w, masker: masker, maxAnswer: 1 << 20,
		release: &broker.Release{Decision: &broker.Decision{}}, follow: func() func() bool { return func() bool { return true } },
		message: &mcp.Message{Kind: mcp.Request, ID: json.RawMessage("7"), Version: "2025-11-25"},
	}
	x.answer(context.Background(), &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body)})
	return w.Body.String()
}

// FuzzAnyChunking: whatever the value, the text around it and the borders of
// the chunks, nothing gets through, and the answer is the one that a single
// chunk gives. Without the value nothing changes at all.
func FuzzAnyChunking(f *testing.F) {
	f.Add("tok-0123456789abcdef", "before", []byte{1, 2, 3})
	f.Add(`p"ss\w/rd+&%<>é`, `{"a":[1,2]}`, []byte{0})
	f.Add("line one\nline two\r\nline three", "\u2028", []byte{16, 0, 5})
	f.Fuzz(func(t *testing.T, value, around string, sizes []byte) {
		masker, err := mask.New(mask.Secret{Value: secret.New(value), Placeholder: "[masked:b]"})
		if err != nil || len(value) > 200 || len(around) > 2000 {
			return
		}
		for _, leaf := range []string{around, around + value + around} {
			message, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7, "result": map[string]string{"text": leaf}})
			if err != nil {
				t.Fatal(err)
			}
			// The same message as one body, one event, and one event of many lines.
			lines := bytes.ReplaceAll(message, []byte(","), []byte(",\ndata: "))
			for kind, text := range map[string]string{
				mcp.JSON: string(message), mcp.EventStream: "event: message\ndata: " + string(message) + "\n\n",
				mcp.EventStream + "; charset=utf-8": ": hello\n\nid: 1\ndata: " + string(lines) + "\n\n",
			} {
				whole := relayed(t, masker, kind, strings.NewReader(text))
				if got := relayed(t, masker, kind, &chunks{text: []byte(text), sizes: sizes}); got != whole {
					t.Fatalf("%s: chunks change the answer:\n%q\n%q", kind, whole, got)
				}
				if leaf == around && !strings.Contains(around, value) && !strings.Contains(whole, "[masked:b]") && !strings.Contains(whole, `"error"`) && whole != text {
					t.Fatalf("%s: something else changed:\n%q\n%q", kind, text, whole)
				}
				if _, n := masker.String(whole); n > 0 {
					t.Fatalf("%s: the value got through: %q", kind, whole)
				}
			}
		}
	})
}
