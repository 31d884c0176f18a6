package mcp_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/mcp"
)

func FuzzEventReader(f *testing.F) {
	for _, seed := range []string{"data: a\r\n\r\ndata: b\r\r\n: c\n\n", "\ufeffid: 1\ndata\n\r\n", ":x\r:y\n\r\ndata: z", "\r\r\n\n",
		":\n\nid: 1\ndata: a\n\n:\n\n", "data\x00: a\n\nDATA: b\n\ndata : c\n\nid: a\x00b\ndata:  d\n\n", "data: a\u2028data: b\n\n\ufeffdata: c\n\n"} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint8) {
		raw, data, err := all(t, bytes.NewReader(stream), len(stream)+1)
		if err != io.EOF {
			t.Fatalf("error %v", err)
		}
		small := &chunks{rest: stream, size: int(chunk%7) + 1}
		rawChunked, dataChunked, err := all(t, small, len(stream)+1)
		if err != io.EOF {
			t.Fatalf("chunked: error %v", err)
		}
		if strings.Join(raw, "") != string(stream) || strings.Join(rawChunked, "") != string(stream) {
			t.Fatalf("stream changed: %q, %q", raw, rawChunked)
		}
		if diff := cmp.Diff(data, dataChunked); diff != "" {
			t.Fatalf("chunking changes the events:\n%s", diff)
		}
		for _, event := range raw {
			keepData(t, event)
		}
	})
}

// keepData checks that an event re-emitted with its own data says the same.
func keepData(t *testing.T, raw string) {
	event := mcp.Event{Raw: []byte(raw)}
	data := event.Data()
	if strings.HasPrefix(raw, "\ufeff") || event.DataLines() == 0 {
		return
	}
	again := mcp.Event{Raw: event.WithData(data)}
	if !bytes.Equal(again.Data(), data) || again.HasID() != event.HasID() {
		t.Fatalf("%q re-emitted as %q", raw, again.Raw)
	}
}

type chunks struct {
	rest []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
