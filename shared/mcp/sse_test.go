package mcp_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"bindery/shared/mcp"

	"github.com/google/go-cmp/cmp"
)

// all reads a stream to its end and gives the events as text.
func all(t *testing.T, r io.Reader, limit int) (raw, data []string, err error) {
	t.Helper()
	reader := mcp.NewEventReader(r, limit)
	for {
		event, err := reader.Next()
		if len(event.Raw) > 0 {
			raw = append(raw, string(event.Raw))
			if event.DataLines() > 0 {
				data = append(data, string(event.Data()))
			}
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return raw, data, err
		}
	}
}

func TestEventsComeWholeAndUnchanged(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		data   []string
	}{
		"LF":                        {"data: a\n\ndata: b\n\n", []string{"a", "b"}},
		"CRLF":                      {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"a", "b"}},
		"CR":                        {"data: a\r\rdata: b\r\r", []string{"a", "b"}},
		"mixed":                     {"data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\n", []string{"a\nb\nc", "d"}},
		"byte order mark":           {"\ufeffdata: a\n\n", []string{"a"}},
		"byte order mark later":     {"data: a\n\n\ufeffdata: b\n\n", []string{"a"}},
		"comment keep-alive":        {": ping\n\n:\r\ndata: a\n\n", []string{"a"}},
		"comment inside":            {"data: a\n: c\ndata: b\n\n", []string{"a\nb"}},
		"priming event":             {"id: 1\nretry: 5\ndata:\n\n", []string{""}},
		"data without colon":        {"data\ndata\n\n", []string{"\n"}},
		"only one space is dropped": {"data:  a\n\ndata:b\n\n", []string{" a", "b"}},
		"other fields":              {"event: message\nid: 7\ndatax: no\n data: no\ndata: a\n\n", []string{"a"}},
		"no data":                   {"event: x\n\nid: 3\n\n", nil},
		"end without blank line":    {"data: a\n\ndata: b\n", []string{"a", "b"}},
		"end inside line":           {"data: a\n\ndata: b", []string{"a", "b"}},
		"empty":                     {"", nil},
		"blank lines":               {"\n\n\r\n\rdata: a\n\n\n", []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			for chunking, r := range map[string]io.Reader{
				"at once":      strings.NewReader(c.stream),
				"byte by byte": iotest.OneByteReader(strings.NewReader(c.stream)),
				"data and EOF": iotest.DataErrReader(strings.NewReader(c.stream)),
			} {
				raw, data, err := all(t, r, 1000)
				if err != io.EOF {
					t.Errorf("%s: error %v", chunking, err)
				}
				if got := strings.Join(raw, ""); got != c.stream {
					t.Errorf("%s: stream changed: %q", chunking, got)
				}
				if diff := cmp.Diff(c.data, data); diff != "" {
					t.Errorf("%s: data (-want +got):\n%s", chunking, diff)
				}
			}
		})
	}
}

// TestEventIsReturnedBeforeMoreArrives: whatever the line ends are, an event
// does not wait for the byte after its blank line.
func TestEventIsReturnedBeforeMoreArrives(t *testing.T) {
	for _, stream := range []string{"data: a\n\n", "data: a\r\n\r\n", "data: a\r\r", ": keep-alive\n"} {
		r, w := io.Pipe()
		got := make(chan string, 1)
		go func() {
			event, _ := mcp.NewEventReader(r, 1000).Next()
			got <- string(event.Raw)
		}()
		if _, err := io.WriteString(w, stream); err != nil {
			t.Fatal(err)
		}
		select {
		case raw := <-got:
			if !strings.HasPrefix(stream, raw) {
				t.Errorf("%q came as %q", stream, raw)
			}
		case <-time.After(time.Minute):
			t.Errorf("%q was held back", stream)
		}
		w.Close()
	}
}

func TestStreamEndingInsideAnEventIsFlagged(t *testing.T) {
	r := mcp.NewEventReader(strings.NewReader("data: a"), 100)
	event, err := r.Next()
	if err != io.ErrUnexpectedEOF || string(event.Raw) != "data: a" {
		t.Errorf("got %q, %v", event.Raw, err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("then %v, want EOF", err)
	}
}

// TestLateLineFeedIsNotATruncation: the LF of the last CRLF may come alone.
func TestLateLineFeedIsNotATruncation(t *testing.T) {
	r := mcp.NewEventReader(iotest.OneByteReader(strings.NewReader("data: a\r\n\r\n")), 100)
	for _, want := range []string{"data: a\r\n\r", "\n"} {
		if event, err := r.Next(); err != nil || string(event.Raw) != want {
			t.Errorf("got %q, %v; want %q", event.Raw, err, want)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("then %v, want EOF", err)
	}
}

func TestUpstreamBreakingOffIsNotAnEvent(t *testing.T) {
	broken := errors.New("connection reset")
	r := mcp.NewEventReader(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)), 100)
	if event, err := r.Next(); err != nil || string(event.Data()) != "a" {
		t.Fatalf("first event: %q, %v", event.Raw, err)
	}
	for range 2 {
		if event, err := r.Next(); err != broken || event.Raw != nil {
			t.Errorf("got %q, %v; want the reader's error", event.Raw, err)
		}
	}
}

func TestEndlessEventIsCutOff(t *testing.T) {
	endless := map[string]string{"one line": "x", "many lines": "data: x\n", "comment": ":" + strings.Repeat("x", 99)}
	for name, piece := range endless {
		r := mcp.NewEventReader(io.MultiReader(strings.NewReader("data: ok\n\n"), repeat(piece)), 10_000)
		if event, err := r.Next(); err != nil || string(event.Data()) != "ok" {
			t.Fatalf("%s: first event %q, %v", name, event.Raw, err)
		}
		for range 2 {
			if event, err := r.Next(); !errors.Is(err, mcp.ErrEventTooLarge) || event.Raw != nil {
				t.Errorf("%s: %d bytes, %v; want ErrEventTooLarge", name, len(event.Raw), err)
			}
		}
	}
}

func TestLimitIsExact(t *testing.T) {
	event := "data: " + strings.Repeat("x", 92) + "\n\n"
	for limit, want := range map[int]error{100: nil, 99: mcp.ErrEventTooLarge} {
		if _, err := mcp.NewEventReader(strings.NewReader(event), limit).Next(); err != want {
			t.Errorf("limit %d for %d bytes: %v, want %v", limit, len(event), err, want)
		}
	}
}

// TestLargeImageInOneLine: far beyond the 64 KiB of a line scanner.
func TestLargeImageInOneLine(t *testing.T) {
	image := strings.Repeat("iVBORw0KGgo", 300_000)
	_, data, err := all(t, iotest.HalfReader(strings.NewReader("data: "+image+"\n\n")), 4<<20)
	if err != io.EOF || len(data) != 1 || data[0] != image {
		t.Errorf("%d events, %v", len(data), err)
	}
}

func TestReaderThatGivesNothingDoesNotHang(t *testing.T) {
	if _, err := mcp.NewEventReader(stuck{}, 100).Next(); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// repeat gives the piece without end.
func repeat(piece string) io.Reader { return &repeater{piece: []byte(piece)} }

type repeater struct {
	piece []byte
	at    int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := copy(p, r.piece[r.at:])
	r.at = (r.at + n) % len(r.piece)
	return n, nil
}

func TestMemoryDoesNotGrowWithTheStream(t *testing.T) {
	event := "event: message\ndata: " + strings.Repeat("x", 1000) + "\n\n"
	r := mcp.NewEventReader(repeat(event), 1<<20)
	for range 100 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(10_000, func() {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}

// TestMaskedDataLeavesTheRestAsItCame covers Event.WithData.
func TestMaskedDataLeavesTheRestAsItCame(t *testing.T) {
	for _, c := range []struct{ event, data, want string }{
		{"event: m\nid: 1\ndata: secret\nretry: 3\n\n", "masked", "event: m\nid: 1\ndata: masked\nretry: 3\n\n"},
		{"data:secret\r\n\r\n", "masked", "data:masked\r\n\r\n"},
		{"data: a\n: note\ndata: b\n\n", "a\nx", "data: a\ndata: x\n: note\n\n"},
		{"data: a\ndata: b\n\n", "ab", "data: ab\n\n"},
		{"data: a\n\n", "a\r\rid: 9\n", "data: a\ndata: \ndata: id: 9\ndata: \n\n"},
		{"data:a\n\n", " a", "data:  a\n\n"},
		{"data\n\n", "a", "data: a\n\n"},
		{"data: a\n\n", "", "data: \n\n"},
		{"data: a", "b", "data: b\n"},
		{"id: 1\n\n", "ignored", "id: 1\n\n"},
		{"\ufeffdata: a\r\r", "b", "\ufeffdata: b\r\r"},
	} {
		event, err := mcp.NewEventReader(strings.NewReader(c.event), 1000).Next()
		if err != nil && err != io.ErrUnexpectedEOF {
			t.Fatal(err)
		}
		if got := event.WithData([]byte(c.data)); string(got) != c.want {
			t.Errorf("%q with %q:\n got %q\nwant %q", c.event, c.data, got, c.want)
		}
	}
}

func TestHasID(t *testing.T) {
	for event, want := range map[string]bool{
		"id: 7\ndata: a\n\n": true, "data: id: 7\n\n": false, "id\n\n": false, "id: a\x00b\n\n": false, "idx: 1\n\n": false,
	} {
		got, err := mcp.NewEventReader(strings.NewReader(event), 100).Next()
		if err != nil || got.HasID() != want {
			t.Errorf("%q: %v, %v", event, got.HasID(), err)
		}
	}
}
