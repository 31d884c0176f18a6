package mcp

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/textproto"
	"strings"
)

// Protocol revisions, newest first. 2024-11-05 used another transport.
const (
	firstModern   = "2026-07-28"
	legacyDefault = "2025-03-26" // what a request without the header speaks
	supportedList = `{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"]`
)

func supported(version string) bool {
	switch version {
	case firstModern, "2025-11-25", "2025-06-18", legacyDefault:
		return true
	}
	return false
}

// refuseVersion names the revisions that are served. It repeats the requested
// one, which clients expect to find, if it is short and plain.
func refuseVersion(requested string) *Error {
	e := refuse(ErrVersion, "This protocol version is not served.")
	data := supportedList
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '.' || r == '-'
	}
	if len(requested) <= 32 && strings.TrimFunc(requested, plain) == "" {
		data += `,"requested":"` + requested + `"`
	}
	e.Data = json.RawMessage(data + "}")
	return e
}

const (
	versionHeader = "Mcp-Protocol-Version"
	methodHeader  = "Mcp-Method"
	nameHeader    = "Mcp-Name"
	paramPrefix   = "Mcp-Param-"

	maxParamHeaders = 64   // Mcp-Param-* headers of one request
	maxParamBytes   = 8192 // their names and values together
)

// mirrors are the headers that repeat parts of the body.
type mirrors struct {
	version, methodName, target string
	session                     string
	hasVersion, hasMethod       bool
	hasTarget                   bool
}

// readMirrors refuses every Mcp-* header of which two readers could see two
// values: repeated, in another spelling of the name, with bytes that do not
// belong in a field value, or named in Connection so that a proxy drops it.
func readMirrors(h http.Header) (mirrors, *Error) {
	var m mirrors
	params, size := 0, 0
	for name, values := range h {
		if len(name) < 4 || !strings.EqualFold(name[:4], "Mcp-") {
			continue
		}
		if len(values) != 1 || !fieldValue(values[0]) || name != textproto.CanonicalMIMEHeaderKey(name) {
			return m, refuse(ErrHeaderMismatch, "An Mcp-* header is repeated or malformed.")
		}
		switch {
		case name == versionHeader:
			m.version, m.hasVersion = values[0], true
		case name == methodHeader:
			m.methodName, m.hasMethod = values[0], true
		case name == nameHeader:
			m.target, m.hasTarget = values[0], true
		case name == sessionHeader:
			m.session = values[0]
		case strings.HasPrefix(name, paramPrefix):
			params++
			size += len(name) + len(values[0])
		}
	}
	if params > maxParamHeaders || size > maxParamBytes {
		return m, refuse(ErrHeaderMismatch, "Too many Mcp-Param-* headers.")
	}
	for dropped := range connectionNames(h) {
		if strings.HasPrefix(dropped, "Mcp-") {
			return m, refuse(ErrHeaderMismatch, "Connection must not name an Mcp-* header.")
		}
	}
	return m, nil
}

// revision settles the protocol revision by the headers alone, and takes the
// session id where the revision has sessions. A longer one than was ever issued
// is refused, and so is a repeated one.
func (r mirrors) revision(m *Message) *Error {
	m.Version = legacyDefault
	if r.hasVersion {
		m.Version, m.declared = r.version, true
	}
	if !supported(m.Version) {
		return refuseVersion(m.Version)
	}
	m.Modern = m.Version >= firstModern
	switch {
	case m.Modern:
	case len(r.session) > maxSession:
		return refuse(ErrHeaderMismatch, "Mcp-Session-Id is too long.")
	default:
		m.Session = r.session
	}
	return nil
}

// era settles the protocol revision. Where the body names one as well, header
// and body must agree, in every era.
func (e *envelope) era(m *Message, mirrors mirrors) *Error {
	if err := mirrors.revision(m); err != nil {
		return err
	}
	if e.metaVersion != nil {
		inBody, whole := text(e.metaVersion)
		switch {
		case !whole:
			return refuse(ErrInvalidParams, "The protocol version in _meta must be a string.")
		case !mirrors.hasVersion || string(inBody) != m.Version:
			return refuse(ErrHeaderMismatch, "MCP-Protocol-Version and _meta differ.")
		}
	}
	switch {
	case m.Modern && m.Kind == Request && e.metaVersion == nil:
		return refuse(ErrInvalidParams, "_meta must carry the protocol version.")
	case m.Modern && m.Kind == Request && (len(e.capabilities) == 0 || e.capabilities[0] != '{'):
		return refuse(ErrInvalidParams, "_meta must carry the client's capabilities.")
	}
	return e.handshake(m)
}

// handshake takes the revision that an initialize request proposes, so that
// the record shows what was asked for. A newer proposal is the upstream's to
// answer; 2024-11-05 would end on a transport that is not served.
func (e *envelope) handshake(m *Message) *Error {
	if name, _ := text(e.method); m.Modern || string(name) != "initialize" {
		return nil
	}
	proposed, _ := text(e.protocol)
	switch version := string(proposed); {
	case version == "2024-11-05":
		return refuseVersion(version)
	case supported(version) && version < firstModern:
		m.Version = version
	}
	return nil
}

// method compares Mcp-Method with the body. Only modern requests must carry
// it; legacy copies are not forwarded, so they cannot mislead anyone.
func (r mirrors) method(m *Message, name []byte) *Error {
	switch {
	case !m.Modern, m.Kind == Notification && !r.hasMethod:
		return nil
	case !r.hasMethod || r.methodName != string(name):
		return refuse(ErrHeaderMismatch, "Mcp-Method is missing or differs from the body.")
	}
	return nil
}

// name compares the decoded Mcp-Name with the body.
func (r mirrors) name(m *Message, name string) *Error {
	if !r.hasTarget || !sameName(r.target, name) {
		return refuse(ErrHeaderMismatch, "Mcp-Name is missing or differs from the body.")
	}
	m.mirrored = true
	return nil
}

// sameName decodes the base64 form of a header value where it is used.
func sameName(header, name string) bool {
	inner, found := strings.CutPrefix(header, "=?base64?")
	if found {
		inner, found = strings.CutSuffix(inner, "?=")
	}
	if !found {
		return header == name
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(inner)
	return err == nil && string(decoded) == name
}
