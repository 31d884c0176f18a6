package handler

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

// BenchmarkRelay is one whole call in the handler, as BenchmarkCall, by the
// kind of answer, in both eras. MB/s counts the bytes of the upstream's answer;
// of a stream B/event is what is allocated for each event.
func BenchmarkRelay(b *testing.B) {
	object := strings.Replace(smallAnswer, "repository", strings.Repeat("repository text ", 1<<16), 1)
	for name, answer := range map[string]answer{
		"json_small":   {kind: "application/json", text: smallAnswer},
		"json_1MB":     {kind: "application/json", text: object},
		"sse_200B":     {kind: "text/event-stream", text: progress(200), events: 10_000},
		"sse_64KiB":    {kind: "text/event-stream", text: progress(64 << 10), events: 100},
		"sse_1_masked": {kind: "text/event-stream", text: progress(200, canary), events: 1},
	} {
		for _, era := range []string{legacy, modern} {
			b.Run(name+"/"+era, func(b *testing.B) {
				f := newFixture(b, answer, true)
				b.SetBytes(answer.size())
				f.repeat(b, f.relayed(b, era, "tools/call"), answer.events)
			})
		}
	}
}

// BenchmarkList is tools/list with 1 MB of tools of which all, or every other
// one, may be used.
func BenchmarkList(b *testing.B) {
	list := tools(1 << 20)
	for name, allowed := range map[string]string{"all": "*", "half": "even_*"} {
		for _, era := range []string{legacy, modern} {
			b.Run(name+"/"+era, func(b *testing.B) {
				f := newFixture(b, list, true)
				f.allow(b, allowed)
				b.SetBytes(list.size())
				f.repeat(b, f.relayed(b, era, "tools/list"), 0)
			})
		}
	}
}

// BenchmarkSession is what sessions of the legacy eras cost: initialize wraps
// an id, each call within the session unwraps it.
func BenchmarkSession(b *testing.B) {
	upstream := transport(func(r *http.Request) (*http.Response, error) {
		response, err := answer{kind: "application/json", text: initialized}.RoundTrip(r)
		response.Header.Set(sessionHeader, "upstream-session-1")
		return response, err
	})
	f := newFixture(b, upstream, true)
	initialize, call := f.relayed(b, legacy, "initialize"), f.relayed(b, legacy, "tools/call")
	id := f.send(b, initialize).header.Get(sessionHeader)
	for name, r := range map[string]func() *http.Request{
		"initialize": initialize,
		"call": func() *http.Request {
			r := call()
			r.Header.Set(sessionHeader, id)
			return r
		},
		"call_outside": call,
	} {
		b.Run(name, func(b *testing.B) { f.repeat(b, r, 0) })
	}
}

// repeat makes calls, and says of streams what was allocated for each event.
func (f *fixture) repeat(b *testing.B, request func() *http.Request, events int) {
	b.Helper()
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		f.send(b, request)
	}
	runtime.ReadMemStats(&after)
	if events > 1 {
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N*events), "B/event")
	}
}

// send makes one call and throws its answer away.
func (f *fixture) send(tb testing.TB, request func() *http.Request) *sink {
	tb.Helper()
	w := &sink{header: http.Header{}}
	f.ServeHTTP(w, request())
	if w.status != http.StatusOK {
		tb.Fatal(w.status)
	}
	return w
}

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// relayed gives requests of one method in one era, and lets large answers pass.
func (f *fixture) relayed(tb testing.TB, era, method string) func() *http.Request {
	f.maxAnswer = 4 << 20
	token := f.token(tb)
	body := map[string]string{
		"tools/call": callBody,
		"tools/list": `{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}`,
		"initialize": initializeBody,
	}[method]
	if era == modern {
		meta := `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
		body = strings.Replace(strings.TrimSuffix(body, "}}")+meta, "{,", "{", 1)
	}
	return func() *http.Request {
		r := f.request(token, body)
		if era == modern {
			r.Header.Set("Mcp-Protocol-Version", modern)
			r.Header.Set("Mcp-Method", method)
			if method == "tools/call" {
				r.Header.Set("Mcp-Name", "create_issue")
			}
		}
		return r
	}
}

// allow changes which tools the fixture's binding gives.
func (f *fixture) allow(tb testing.TB, tools string) {
	tb.Helper()
	s, err := f.tables.Snapshot(tb.Context(), broker.Lookup{Route: broker.Route{Environment: "prod", Server: "github"}})
	if err != nil {
		tb.Fatal(err)
	}
	binding := s.Shared[0]
	binding.Allow.Tools = []string{tools}
	if err := f.tables.PutBinding(tb.Context(), binding); err != nil {
		tb.Fatal(err)
	}
}

// answer is an upstream that gives one body, or a stream: an event many times
// over, then the answer to the call. The stream is never held as a whole.
type answer struct {
	kind, text string
	events     int
}

func (a answer) size() int64 { return int64(len(a.text)) * int64(max(a.events, 1)) }

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	body, length := io.Reader(strings.NewReader(a.text)), a.size()
	if a.events > 0 {
		length = -1
		body = io.MultiReader(io.LimitReader(&again{text: a.text}, a.size()), strings.NewReader("data: "+smallAnswer+"\n\n"))
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {a.kind}}, ContentLength: length,
		Body: io.NopCloser(body), Request: r}, nil
}

// again reads a text for ever.
type again struct {
	text string
	at   int
}

func (a *again) Read(p []byte) (n int, err error) {
	for n < len(p) {
		copied := copy(p[n:], a.text[a.at:])
		n, a.at = n+copied, (a.at+copied)%len(a.text)
	}
	return n, nil
}

// progress is an event of size bytes that holds the words.
func progress(size int, words ...string) string {
	head := `event: message` + "\n" + `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"` + strings.Join(words, " ")
	tail := `"}}` + "\n\n"
	return head + strings.Repeat("log line ", size/9+1)[:size-len(head)-len(tail)] + tail
}

// tools answers tools/list with tools of some 300 bytes each.
func tools(size int) answer {
	var list strings.Builder
	list.WriteString(`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","ttlMs":0,"tools":[`)
	for i := 0; list.Len() < size; i++ {
		if i > 0 {
			list.WriteByte(',')
		}
		_, _ = fmt.Fprintf(&list, `{"name":"%s_%d","description":"Searches the issues of a repository and gives the newest first.",`+
			`"inputSchema":{"type":"object","properties":{"query":{"type":"string","description":"what to look for"},`+
			`"limit":{"type":"integer","minimum":1}},"required":["query"]}}`, []string{"even", "odd"}[i%2], i)
	}
	list.WriteString(`]}}`)
	return answer{kind: "application/json", text: list.String()}
}

// sink is a caller that takes everything and keeps nothing.
type sink struct {
	header http.Header
	status int
	size   int64
	taken  func(size int64) // nil, or called after each write with the bytes so far
}

func (s *sink) Header() http.Header                { return s.header }
func (s *sink) WriteHeader(status int)             { s.status = status }
func (s *sink) Flush()                             {}
func (s *sink) SetWriteDeadline(_ time.Time) error { return nil }
func (s *sink) Write(p []byte) (n int, err error) {
	s.size += int64(len(p))
	if s.taken != nil {
		s.taken(s.size)
	}
	return len(p), nil
}
