package mcp_test

import (
	"net/http"
	"strings"
	"testing"

	"bindery/shared/mcp"

	"github.com/google/go-cmp/cmp"
)

// TestSessionHeadersAreTheProxysToSet: the caller's session id is sealed for
// the caller and the upstream's is the upstream's, so neither is copied; an
// event id means something only to the session it came from.
func TestSessionHeadersAreTheProxysToSet(t *testing.T) {
	bare := http.Header{"Accept-Encoding": {"identity"}, "Mcp-Protocol-Version": {"2025-11-25"}}
	for name, c := range map[string]struct {
		parse func(http.Header) (*mcp.Message, error)
		more  []string
		want  http.Header
	}{
		"GET": {mcp.ParseListen, []string{"Mcp-Session-Id", "s", "Accept", "text/event-stream"},
			http.Header{"Accept": {"text/event-stream"}}},
		"GET that resumes": {mcp.ParseListen, []string{"Mcp-Session-Id", "s", "Accept", "text/event-stream", "Last-Event-ID", "7"},
			http.Header{"Accept": {"text/event-stream"}, "Last-Event-Id": {"7"}}},
		"GET that resumes without a session": {mcp.ParseListen, []string{"Accept", "text/event-stream", "Last-Event-ID", "7"},
			http.Header{"Accept": {"text/event-stream"}}},
		"GET with an event id for this hop only": {mcp.ParseListen, []string{"Mcp-Session-Id", "s", "Last-Event-ID", "7", "Connection", "last-event-id"},
			http.Header{"Accept": {"application/json, text/event-stream"}}},
		"DELETE": {mcp.ParseEnd, []string{"Mcp-Session-Id", "s", "Accept", "text/event-stream", "Last-Event-ID", "7"}, http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			in := hostile(append(c.more, "MCP-Protocol-Version", "2025-11-25")...)
			m, err := c.parse(in)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range bare {
				c.want[k] = v
			}
			if diff := cmp.Diff(c.want, mcp.UpstreamHeader(in, m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpstreamSessionIDIsOneVisibleValue(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		id     string
		ok     bool
	}{
		"none":              {nil, "", true},
		"usual":             {[]string{"1868a90c-!~"}, "1868a90c-!~", true},
		"longest":           {[]string{strings.Repeat("s", 1024)}, strings.Repeat("s", 1024), true},
		"too long":          {[]string{strings.Repeat("s", 1025)}, "", false},
		"empty":             {[]string{""}, "", false},
		"two":               {[]string{"a", "a"}, "", false},
		"space":             {[]string{"a b"}, "", false},
		"second header":     {[]string{"a\r\nSet-Cookie: b"}, "", false},
		"control character": {[]string{"a\x7f"}, "", false},
		"not ASCII":         {[]string{"ü"}, "", false},
	} {
		h := http.Header{}
		if c.values != nil {
			h["Mcp-Session-Id"] = c.values
		}
		if id, ok := mcp.SessionID(h); id != c.id || ok != c.ok {
			t.Errorf("%s: %q, %v", name, id, ok)
		}
	}
}

// TestKeepAliveIsNoEvent: it may stand between any two events, ours or the
// upstream's, and neither changes nor delays them.
func TestKeepAliveIsNoEvent(t *testing.T) {
	raw, data, err := all(t, strings.NewReader(mcp.KeepAlive+"id: 1\ndata: a\n\n"+mcp.KeepAlive+": ping\n\ndata: b\n\n"), 100)
	if diff := cmp.Diff([]string{":\n", "\n", "id: 1\ndata: a\n\n", ":\n", "\n", ": ping\n", "\n", "data: b\n\n"}, raw); diff != "" {
		t.Errorf("(-want +got), %v:\n%s", err, diff)
	}
	if got := strings.Join(data, ""); got != "ab" {
		t.Errorf("data is %q", got)
	}
}
