package lambdahttp

import (
	"encoding/json"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// head is the status and header of an answer up to the moment they are sent.
type head struct {
	header    http.Header // what the handler sees and changes
	status    int
	sent      http.Header // what was committed; nil before
	omitsBody bool        // the request was HEAD
}

func newHead(r *http.Request) head {
	return head{header: http.Header{}, omitsBody: r.Method == http.MethodHead}
}

// commit fixes status and header; first is the beginning of the body where it
// is known. It reports whether this call was the one. Informational statuses
// have no place in an integration answer and commit nothing.
func (h *head) commit(status int, first []byte) bool {
	if h.sent != nil || status >= 100 && status < 200 {
		return false
	}
	if status < 200 || status > 999 {
		status = http.StatusInternalServerError // a handler's mistake must not be a broken prelude
	}
	if _, set := h.header["Content-Type"]; !set && len(first) > 0 && h.header.Get("Content-Encoding") == "" {
		h.header.Set("Content-Type", http.DetectContentType(first)) // as net/http does
	}
	h.status, h.sent = status, answerHeader(h.header)
	return true
}

// allowsBody is RFC 9110, 6.4.1.
func (h *head) allowsBody() bool {
	return h.status != http.StatusNoContent && h.status != http.StatusNotModified
}

// answerHeader copies what may cross API Gateway: no hop-by-hop fields (RFC
// 9110, 7.6.1), those that Connection names included; no Content-Length, since
// the length is API Gateway's to say and a handler's would lie if it stopped
// early; no trailers; nothing that could end a header line.
func answerHeader(in http.Header) http.Header {
	var named []string
	for _, value := range in["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			named = append(named, textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)))
		}
	}
	out := make(http.Header, len(in))
	for name, values := range in {
		if key := textproto.CanonicalMIMEHeaderKey(name); staysBehind(key) || slices.Contains(named, key) {
			continue
		}
		clean := make([]string, len(values))
		for i, value := range values {
			clean[i] = oneLine(value)
		}
		out[name] = clean
	}
	return out
}

func staysBehind(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length":
		return true
	}
	return !isToken(key) // http.TrailerPrefix is no token either
}

func oneLine(s string) string {
	if !hasControl(s) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

// ServeHTTP answers in place of the handler.
func (bad *refusal) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	body, _ := json.Marshal(map[string]string{"error": bad.reason}) // a map of strings always marshals
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(bad.status)
	_, _ = w.Write(body) // nobody is left to tell
}

// failed is the answer when a handler panicked before it committed.
func failed() *refusal { return &refusal{http.StatusInternalServerError, "internal error"} }
