package mcp

import (
	"iter"
	"mime"
	"net/http"
	"net/textproto"
	"strings"
)

// The media types that carry MCP messages.
const (
	JSON        = "application/json"
	EventStream = "text/event-stream"
)

const maxField = 8192 // bytes of one forwarded header value

// MediaType gives JSON or EventStream where the one Content-Type says so, in
// UTF-8, and "" for everything else.
func MediaType(h http.Header) string {
	values := h["Content-Type"]
	if len(values) != 1 || len(values[0]) > 256 {
		return ""
	}
	if values[0] == JSON || values[0] == EventStream {
		return values[0]
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil || media != JSON && media != EventStream {
		return ""
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return ""
	}
	return media
}

// UpstreamHeader gives the headers that go upstream with m: a list of what may
// pass, everything else stays behind (Authorization, Cookie, Origin,
// Forwarded, hop-by-hop headers and all that are not known). The answer is
// asked for unencoded, because what is encoded cannot be masked. Mirrored
// headers pass in the modern era only, Last-Event-ID only for a stream within a
// session, and a header named in Connection does not pass (RFC 9110 section
// 7.6.1). The session id is not among them: the caller's is not the upstream's.
// Of Accept only the two media types of MCP pass, without parameters: a
// caller must not choose a character set or a format that cannot be masked.
func UpstreamHeader(in http.Header, m *Message) http.Header {
	out := http.Header{"Accept-Encoding": {"identity"}}
	if m.Kind != Listen && m.Kind != End {
		out["Content-Type"] = []string{JSON}
	}
	if accept := acceptable(in); accept != "" && m.Kind != End {
		out["Accept"] = []string{accept}
	}
	dropped := map[string]bool{}
	for name := range connectionNames(in) {
		dropped[name] = true
	}
	pass := func(name string, joined bool) {
		values := in[name]
		if len(values) == 0 || dropped[name] || len(values) > 1 && !joined {
			return
		}
		if value := strings.Join(values, ", "); fieldValue(value) {
			out[name] = []string{value}
		}
	}
	pass("Traceparent", false)
	pass("Tracestate", true)
	if m.declared {
		pass(versionHeader, false)
	}
	if !m.Modern {
		if m.Session != "" && m.LastEventID != "" {
			pass(resumeHeader, false)
		}
		return out
	}
	pass(methodHeader, false)
	if m.mirrored {
		pass(nameHeader, false)
	}
	for name := range in {
		if strings.HasPrefix(name, paramPrefix) {
			pass(name, false)
		}
	}
	return out
}

// acceptable is the part of Accept that concerns MCP; without the header it is
// both types.
func acceptable(in http.Header) string {
	if len(in["Accept"]) == 0 {
		return JSON + ", " + EventStream
	}
	json, stream := false, false
	for _, value := range in["Accept"] {
		for entry := range strings.SplitSeq(strings.ToLower(value), ",") {
			media, _, _ := strings.Cut(entry, ";")
			switch strings.TrimSpace(media) {
			case JSON, "application/*":
				json = true
			case EventStream, "text/*":
				stream = true
			case "*/*":
				json, stream = true, true
			}
		}
	}
	switch {
	case json && stream:
		return JSON + ", " + EventStream
	case json:
		return JSON
	case stream:
		return EventStream
	}
	return ""
}

// CallerHeader gives the headers of an upstream's answer that reach the
// caller. Challenges, cookies, CORS and caching rules of the upstream do not:
// they would speak for another origin, and every answer belongs to one caller.
// The session id does not either: see SessionID.
func CallerHeader(in http.Header) http.Header {
	out := http.Header{"Cache-Control": {"no-store"}}
	for _, name := range []string{"Content-Type", "Retry-After", "Allow"} {
		if values := in[name]; len(values) == 1 && fieldValue(values[0]) {
			out[name] = []string{values[0]}
		}
	}
	if MediaType(in) == EventStream {
		out.Set("Cache-Control", "no-cache, no-transform")
		out.Set("X-Accel-Buffering", "no")
	}
	return out
}

// connectionNames are the canonical names of the headers that Connection
// declares to be for this hop only.
func connectionNames(h http.Header) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, value := range h["Connection"] {
			for name := range strings.SplitSeq(value, ",") {
				if !yield(textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))) {
					return
				}
			}
		}
	}
}

// fieldValue accepts what RFC 9110 section 5.5 lets a sender produce, in
// ASCII: no control characters, so no folding and no second header, and no
// space at the ends.
func fieldValue(v string) bool {
	if len(v) > maxField || v != strings.Trim(v, " \t") {
		return false
	}
	for i := range len(v) {
		if c := v[i]; c != '\t' && (c < 0x20 || c > 0x7e) {
			return false
		}
	}
	return true
}
