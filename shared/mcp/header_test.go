package mcp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"bindery/shared/mcp"

	"github.com/google/go-cmp/cmp"
)

const (
	modernList = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	modernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	legacyCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`
)

// hostile is what a caller may send along to reach the upstream with.
func hostile(more ...string) http.Header {
	h := http.Header{}
	for _, name := range []string{"Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "Origin", "Host", "Referer",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "X-Amz-Security-Token", "X-Amzn-Trace-Id",
		"Accept-Encoding", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade",
		"Keep-Alive", "Expect", "Range", "User-Agent", "Mcp_Name", "Mcp-Unknown", "X-Http-Method-Override"} {
		h.Set(name, "hostile")
	}
	h.Set("Content-Type", "application/json")
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

func upstream(t *testing.T, in http.Header, body string) http.Header {
	t.Helper()
	m, err := mcp.Parse(in, []byte(body))
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return mcp.UpstreamHeader(in, m)
}

func TestOnlyListedHeadersGoUpstream(t *testing.T) {
	always := http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"identity"},
	}
	for name, c := range map[string]struct {
		in   http.Header
		body string
		want http.Header
	}{
		"nothing but hostile": {hostile(), legacyCall, http.Header{}},
		"legacy": {
			hostile("MCP-Protocol-Version", "2025-11-25", "Mcp-Session-Id", "s", "Last-Event-ID", "7",
				"Mcp-Method", "tools/list", "Mcp-Name", "other", "Mcp-Param-Region", "eu"), legacyCall,
			http.Header{"Mcp-Protocol-Version": {"2025-11-25"}},
		},
		"modern": {
			hostile("MCP-Protocol-Version", "2026-07-28", "Mcp-Session-Id", "s", "Last-Event-ID", "7",
				"Mcp-Method", "tools/call", "Mcp-Name", "x", "Mcp-Param-Region", "eu"), modernCall,
			http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"x"}, "Mcp-Param-Region": {"eu"}},
		},
		"name header that the body does not prove": {
			hostile("MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list", "Mcp-Name", "x"), modernList,
			http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/list"}},
		},
		"accept and trace": {
			hostile("Accept", "application/json", "Accept", "text/event-stream", "Traceparent", "00-a-b-01", "Tracestate", "k=v"), legacyCall,
			http.Header{"Accept": {"application/json, text/event-stream"}, "Traceparent": {"00-a-b-01"}, "Tracestate": {"k=v"}},
		},
		"named in Connection": {
			hostile("Traceparent", "00-a-b-01", "Tracestate", "k=v", "Connection", "close, traceparent", "Connection", "TraceState"), legacyCall,
			http.Header{},
		},
		"two trace parents": {
			hostile("Traceparent", "00-a-b-01", "Traceparent", "00-c-d-01"), legacyCall, http.Header{},
		},
		"folded and split values": {
			hostile("Accept", "application/json;charset=utf-16\r\n X: y, TEXT/EVENT-STREAM;q=0.1", "Tracestate", "k=v\r\nAuthorization: z", "Traceparent", "ü"), legacyCall,
			http.Header{},
		},
		"formats that could not be masked": {
			hostile("Accept", "text/html, application/cbor;q=0.9, application/json;charset=utf-16"), legacyCall,
			http.Header{"Accept": {"application/json"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := always.Clone()
			for k, v := range c.want {
				want[k] = v
			}
			if diff := cmp.Diff(want, upstream(t, c.in, c.body)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAmbiguousMcpHeadersAreRefused(t *testing.T) {
	valid := func() http.Header {
		return hostile("MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "x")
	}
	if _, err := mcp.Parse(valid(), []byte(modernCall)); err != nil {
		t.Fatalf("the sample itself: %v", err)
	}
	for name, spoil := range map[string]func(h http.Header){
		"other spelling of the key":  func(h http.Header) { h["mcp-name"] = []string{"delete_file"} },
		"folded value":               func(h http.Header) { h.Set("Mcp-Param-A", "a\r\n b") },
		"second header in a value":   func(h http.Header) { h.Set("Mcp-Name", "x\r\nAuthorization: y") },
		"not ASCII":                  func(h http.Header) { h.Set("Mcp-Param-A", "ü") },
		"space around the value":     func(h http.Header) { h.Set("Mcp-Name", " x") },
		"no value":                   func(h http.Header) { h["Mcp-Name"] = nil },
		"very long value":            func(h http.Header) { h.Set("Mcp-Param-A", strings.Repeat("a", 9000)) },
		"dropped by the next proxy":  func(h http.Header) { h.Set("Connection", "Mcp-Protocol-Version") },
		"method differs":             func(h http.Header) { h.Set("Mcp-Method", "tools/list") },
		"name in base64 differs":     func(h http.Header) { h.Set("Mcp-Name", "=?base64?eQ==?=") },
		"base64 with padding smuggl": func(h http.Header) { h.Set("Mcp-Name", "=?base64?eB==?=") },
		"many parameters": func(h http.Header) {
			for i := range 65 {
				h.Set(fmt.Sprintf("Mcp-Param-%d", i), "v")
			}
		},
		"large parameters": func(h http.Header) {
			for i := range 9 {
				h.Set(fmt.Sprintf("Mcp-Param-%d", i), strings.Repeat("v", 1000))
			}
		},
	} {
		h := valid()
		spoil(h)
		if _, err := mcp.Parse(h, []byte(modernCall)); !is(err, mcp.ErrHeaderMismatch, 400, -32020) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyListedHeadersReachTheCaller(t *testing.T) {
	in := http.Header{}
	for _, name := range []string{"Www-Authenticate", "X-Amzn-Remapped-Www-Authenticate", "Set-Cookie", "Location", "Server",
		"Access-Control-Allow-Origin", "Strict-Transport-Security", "Content-Encoding", "Content-Length", "Transfer-Encoding",
		"Connection", "Alt-Svc", "Link", "Refresh", "Clear-Site-Data", "Cache-Control", "Etag", "Vary", "Authorization"} {
		in.Set(name, "hostile, public, max-age=9")
	}
	in.Set("Mcp-Session-Id", "s")
	in.Set("Retry-After", "3")
	in.Set("Allow", "POST")
	in.Set("Content-Type", "application/json; charset=utf-8")
	want := http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Retry-After": {"3"}, "Allow": {"POST"}, "Cache-Control": {"no-store"},
	}
	if diff := cmp.Diff(want, mcp.CallerHeader(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	in.Set("Content-Type", "text/event-stream")
	in["Retry-After"] = []string{"1", "2"}
	in.Set("Allow", "POST\r\nSet-Cookie: a=b")
	want = http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-cache, no-transform"}, "X-Accel-Buffering": {"no"}}
	if diff := cmp.Diff(want, mcp.CallerHeader(in)); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
}

func TestMediaTypeIsOneOfTwo(t *testing.T) {
	for value, want := range map[string]string{
		"application/json": mcp.JSON, "Application/JSON; charset=\"utf-8\"": mcp.JSON, "text/event-stream;charset=UTF-8": mcp.EventStream,
		"application/json; charset=utf-16": "", "application/json, text/plain": "", "application/jsonp": "", "text/html": "", "": "",
		"application/json;": mcp.JSON, "application/json; charset=utf-8; charset=utf-16": "", "application/" + strings.Repeat("j", 300): "",
	} {
		if got := mcp.MediaType(http.Header{"Content-Type": {value}}); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
	if got := mcp.MediaType(http.Header{"Content-Type": {mcp.JSON, mcp.JSON}}); got != "" {
		t.Errorf("two values are %q", got)
	}
}
