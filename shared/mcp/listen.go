package mcp

import (
	"net/http"
	"strings"

	"bindery/shared/broker"
)

// KeepAlive is a server-sent comment. Written between two events it shows every
// hop that a silent stream is alive, and means nothing to the client.
const KeepAlive = ":\n\n"

const (
	sessionHeader = "Mcp-Session-Id"
	resumeHeader  = "Last-Event-Id"

	maxSession  = 4096 // bytes of a session id from a caller, who has it from the proxy
	maxUpstream = 1024 // bytes of a session id from an upstream
	maxResume   = 1024 // bytes of Last-Event-ID
)

// ParseListen judges a GET, by which a legacy client opens a stream for what
// the server sends unasked, or resumes one. Every error is an *Error.
func ParseListen(h http.Header) (*Message, error) {
	m, err := parseBodiless(h, &Message{Kind: Listen, Method: http.MethodGet, Action: broker.Stream, Lasting: true})
	if err != nil {
		return nil, err
	}
	if !strings.Contains(acceptable(h), EventStream) {
		e := refuse(ErrMediaType, "Accept must admit text/event-stream.")
		e.Status = http.StatusNotAcceptable
		return nil, e
	}
	switch values := h[resumeHeader]; {
	case len(values) == 0:
	case len(values) > 1 || len(values[0]) > maxResume || !fieldValue(values[0]):
		return nil, refuse(ErrInvalidRequest, "Last-Event-ID is repeated or malformed.")
	default:
		m.LastEventID = values[0]
	}
	return m, nil
}

// ParseEnd judges a DELETE, by which a legacy client ends its session. Every
// error is an *Error.
func ParseEnd(h http.Header) (*Message, error) {
	m, err := parseBodiless(h, &Message{Kind: End, Method: http.MethodDelete, Action: broker.Notify})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// parseBodiless reads what GET and DELETE share. Revision 2026-07-28 has
// neither.
func parseBodiless(h http.Header, m *Message) (*Message, *Error) {
	mirrors, err := readMirrors(h)
	if err != nil {
		return nil, err
	}
	if err := mirrors.revision(m); err != nil {
		return nil, err
	}
	if m.Modern {
		e := refuse(ErrMethodUnknown, "This protocol version has only POST.")
		e.Status = http.StatusMethodNotAllowed
		return nil, e
	}
	return m, nil
}

// SessionID gives the session id that an upstream's answer issues, or "" where
// it issues none. It reports false for what revision 2025-11-25 does not allow:
// more than one value, or anything but visible ASCII; and for an id of more
// than 1024 bytes.
func SessionID(h http.Header) (id string, ok bool) {
	values := h[sessionHeader]
	if len(values) == 0 {
		return "", true
	}
	if len(values) > 1 || values[0] == "" || len(values[0]) > maxUpstream {
		return "", false
	}
	for _, c := range []byte(values[0]) {
		if c < 0x21 || c > 0x7e {
			return "", false
		}
	}
	return values[0], true
}
