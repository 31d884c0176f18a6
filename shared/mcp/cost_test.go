package mcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"bindery/shared/mcp"
)

// is reports whether err is a refusal of that kind, status and code.
func is(err, kind error, status, code int) bool {
	var refusal *mcp.Error
	return errors.As(err, &refusal) && errors.Is(err, kind) && refusal.Status == status && refusal.Code == code
}

func callWith(arguments string) []byte {
	return []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":` + arguments + `}}`)
}

// members gives an object of n members whose keys share a long beginning.
func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%s%07d":0`, strings.Repeat("k", 8), i)
	}
	return "{" + b.String()[1:] + "}"
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

// TestCostlyBodiesAreReadQuickly: a body at the size limit must not cost more
// than a small multiple of reading it, here and now. It costs less, quadratic
// behaviour would exceed the bound many times over; and what a busy machine adds, it
// does not add each time.
func TestCostlyBodiesAreReadQuickly(t *testing.T) {
	nested := strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50)
	for name, arguments := range map[string]string{
		"many members":       members(60_000),
		"many small objects": "[" + strings.TrimSuffix(strings.Repeat(members(17)+",", 8000), ",") + "]",
		"many escapes":       `"` + strings.Repeat(`\u00e9`, 600_000) + `"`,
		"escaped keys":       `{"` + strings.Repeat(`\u0061`, 600_000) + `":1}`,
		"deep objects":       "[" + strings.TrimSuffix(strings.Repeat(nested+",", 10_000), ",") + "]",
		"empty arrays":       "[" + strings.TrimSuffix(strings.Repeat("[],", 1_000_000), ",") + "]",
	} {
		body := callWith(arguments)
		if len(body) > mcp.MaxRequest {
			t.Fatalf("%s: %d bytes", name, len(body))
		}
		var all any
		read := took(func() {
			if err := json.Unmarshal(body, &all); err != nil {
				t.Fatal(err)
			}
		})
		parse := func() {
			if _, err := mcp.Parse(jsonHeader, body); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		parsed := took(parse)
		for again := 0; parsed > 5*read && again < 4; again++ {
			parsed = min(parsed, took(parse))
		}
		if parsed > 5*read {
			t.Errorf("%s: %v for %d bytes, which take %v to read", name, parsed, len(body), read)
		}
	}
}

func TestDuplicateAmongManyMembersIsFound(t *testing.T) {
	for _, n := range []int{2, 16, 17, 1000} {
		object := members(n)
		twice := strings.TrimSuffix(object, "}") + `,"` + strings.Repeat("k", 8) + `000000\u0030":0}`
		if _, err := mcp.Parse(jsonHeader, callWith(object)); err != nil {
			t.Errorf("%d members: %v", n, err)
		}
		if _, err := mcp.Parse(jsonHeader, callWith(twice)); !is(err, mcp.ErrInvalidRequest, 400, -32600) {
			t.Errorf("%d members and a duplicate: %v", n, err)
		}
	}
}

func TestTooManyMembersAreRefused(t *testing.T) {
	if _, err := mcp.Parse(jsonHeader, callWith(members(70_000))); !is(err, mcp.ErrInvalidRequest, 400, -32600) {
		t.Errorf("got %v", err)
	}
}

func TestInvalidUTF8IsRefused(t *testing.T) {
	for _, bad := range []string{"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82"} {
		if _, err := mcp.Parse(jsonHeader, callWith(`"`+bad+`"`)); !is(err, mcp.ErrParse, 400, -32700) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestHalfASurrogateInAnArgumentPasses: it is not judged, and clients send it
// when they cut a text in the middle of an emoji.
func TestHalfASurrogateInAnArgumentPasses(t *testing.T) {
	if _, err := mcp.Parse(jsonHeader, callWith(`{"text":"cut \ud83d"}`)); err != nil {
		t.Error(err)
	}
}

func TestErrorsRepeatNothingOfTheRequest(t *testing.T) {
	const canary = "canary-7f3a"
	bodies := []string{
		`{"jsonrpc":"` + canary + `","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":1,"method":"` + canary + `"}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"` + canary + `"}}`,
		`{"` + canary + `":1,"` + canary + `":2}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"` + canary + `"}}}`,
		`{"` + canary,
	}
	headers := []http.Header{
		jsonHeader,
		{"Content-Type": {canary}},
		{"Content-Type": {mcp.JSON}, "Mcp-Protocol-Version": {canary + "!"}}, // a plain one is repeated, in the body only
		{"Content-Type": {mcp.JSON}, "Mcp-Name": {canary, canary}},
	}
	for _, body := range bodies {
		for _, h := range headers {
			_, err := mcp.Parse(h, []byte(body))
			var refusal *mcp.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("%s accepted: %v", body, err)
			}
			if text := fmt.Sprintf("%v %+v %s %s", err, refusal, refusal.Text, refusal.Body()); strings.Contains(text, canary) {
				t.Errorf("the error repeats the request: %s", text)
			}
		}
	}
}

func BenchmarkParseCall(b *testing.B) {
	body := callWith(`{"query":"` + strings.Repeat("select ", 40) + `","limit":10,"options":{"a":true,"b":[1,2,3]}}`)
	body = append(body[:len(body)-2], []byte(`,"_meta":{"progressToken":3,"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
		`"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}}}}`)...)
	h := http.Header{"Content-Type": {mcp.JSON}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"},
		"Mcp-Name": {"x"}, "Authorization": {"Bearer x"}, "Accept": {"application/json, text/event-stream"}}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mcp.Parse(h, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseLarge(b *testing.B) {
	row := `{"id":123456,"name":"a usual name","note":"` + strings.Repeat("some text ", 20) + `","tags":["a","b"],"ok":true}`
	for name, arguments := range map[string]string{
		"text": `{"text":"` + strings.Repeat("some text of an argument ", 40_000) + `"}`,
		"rows": "[" + strings.TrimSuffix(strings.Repeat(row+",", 3500), ",") + "]",
	} {
		b.Run(name, func(b *testing.B) {
			body := callWith(arguments)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := mcp.Parse(jsonHeader, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkUpstreamHeader(b *testing.B) {
	h := hostile("MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "x")
	m, err := mcp.Parse(h, []byte(modernCall))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		mcp.UpstreamHeader(h, m)
	}
}

func BenchmarkEvents(b *testing.B) {
	for name, event := range map[string]string{
		"small": "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1}}\n\n",
		"large": "event: message\ndata: " + strings.Repeat("iVBORw0KGgo", 100_000) + "\n\n",
	} {
		b.Run(name, func(b *testing.B) {
			r := mcp.NewEventReader(repeat(event), 4<<20)
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				e, err := r.Next()
				if err != nil || len(e.Data()) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkIsResponseTo(b *testing.B) {
	data := []byte(`{"result":{"content":[{"type":"text","text":"` + strings.Repeat("some text ", 100_000) + `"}]},"jsonrpc":"2.0","id":1}`)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if !mcp.IsResponseTo(data, json.RawMessage("1")) {
			b.Fatal("not found")
		}
	}
}
