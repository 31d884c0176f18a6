package credential

import (
	"fmt"
	"net/http"
	"strings"

	"bindery/shared/broker"
)

// The headers that tell every upstream about the call. A client's own headers
// under Bindery- never pass.
const (
	ReceiptHeader = "Bindery-Receipt" // the receipt, as the caller gets it
	ModeHeader    = "Bindery-Mode"    // the credential mode
)

// MaxIdentity is the longest identity header, in bytes. Upstreams commonly
// refuse requests with more than 8 KiB of headers altogether.
const MaxIdentity = 4096

// Propagate tells the upstream who calls: each configured attribute in its
// header, and receipt and credential mode in theirs. Everything comes from the
// verified principal and the decision; what h holds under one of these names
// is removed first, so an attribute that the principal lacks leaves no header,
// neither an empty one nor the client's.
//
// A value is written as it is where it consists of visible ASCII other than
// the percent sign; every other byte of its UTF-8 form is percent-encoded
// (RFC 3986, section 2.1), so decoding always gives the exact value. Groups are
// joined by commas; a comma within a group's name is percent-encoded as well.
//
// It fails with broker.ErrInvalid, and leaves h unusable, where a header may
// not be set or its value is longer than MaxIdentity: cutting a list of groups
// would change what it says.
func Propagate(h http.Header, s *broker.Server, p *broker.Principal, receipt string, mode broker.Mode) error {
	for key := range h {
		if len(key) >= 8 && strings.EqualFold(key[:8], "Bindery-") {
			delete(h, key)
		}
	}
	for _, wanted := range s.Propagate {
		name, err := identityHeader(wanted)
		if err != nil {
			return err
		}
		dropHeader(h, name)
		value := attribute(p, wanted.Attribute)
		if len(value) > MaxIdentity {
			return fmt.Errorf("%w identity header %s: it would be longer than %d bytes", broker.ErrInvalid, name, MaxIdentity)
		}
		if value != "" {
			h[name] = []string{value}
		}
	}
	h[ReceiptHeader] = []string{encode(receipt, "")}
	h[ModeHeader] = []string{encode(string(mode), "")}
	return nil
}

// identityHeader refuses, beyond what no header may be, those that carry
// authority: an upstream would take a name for a credential.
func identityHeader(p broker.Propagation) (string, error) {
	switch p.Attribute {
	case "email", "subject", "groups", "principal", "agent":
	default:
		return "", fmt.Errorf("%w propagation: there is no such attribute", broker.ErrInvalid)
	}
	name, err := headerName(p.Header)
	if err == nil && (name == "Authorization" || name == "Cookie") {
		return "", fmt.Errorf("%w propagation: %s carries credentials, not identity", broker.ErrInvalid, name)
	}
	return name, err
}

func attribute(p *broker.Principal, name string) string {
	switch name {
	case "email":
		return encode(p.Email, "")
	case "subject":
		return encode(p.Subject, "")
	case "principal":
		return encode(p.ID, "")
	case "agent":
		return encode(p.Agent, "")
	}
	groups := make([]string, len(p.Groups))
	for i, g := range p.Groups {
		groups[i] = encode(g, ",")
	}
	return strings.Join(groups, ",")
}

// encode percent-encodes what is not visible ASCII, the percent sign, and also.
func encode(s, also string) string {
	hidden := func(c byte) bool { return c <= ' ' || c > '~' || c == '%' || strings.IndexByte(also, c) >= 0 }
	first := 0
	for first < len(s) && !hidden(s[first]) {
		first++
	}
	if first == len(s) {
		return s
	}
	out := []byte(s[:first])
	for i := first; i < len(s); i++ {
		if hidden(s[i]) {
			out = fmt.Appendf(out, "%%%02X", s[i])
		} else {
			out = append(out, s[i])
		}
	}
	return string(out)
}
