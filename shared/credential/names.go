package credential

import (
	"fmt"
	"net/http"
	"strings"

	"bindery/shared/broker"
)

// ours are the headers that the relay, the transport or Bindery itself set:
// framing and routing (RFC 9110, sections 7.2, 7.6.1 and 8), the protocol's own
// headers, and what decides how the answer is encoded and masked. A credential
// or an attribute in one of them would change the call instead of
// authenticating it.
var ours = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Content-Type": true, "Expect": true, "Host": true, "Keep-Alive": true, "Last-Event-Id": true, "Origin": true,
	"Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Range": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// ourPrefixes are whole families of such headers.
var ourPrefixes = []string{"Mcp-", "Bindery-"}

// headerName gives the canonical form of a header that may be set.
func headerName(name string) (string, error) {
	if !isToken(name) {
		return "", fmt.Errorf("%w header name: it must be a token of RFC 9110, section 5.6.2", broker.ErrInvalid)
	}
	canonical := http.CanonicalHeaderKey(name)
	if ours[canonical] {
		return "", fmt.Errorf("%w header name: %s is set by Bindery", broker.ErrInvalid, canonical)
	}
	for _, prefix := range ourPrefixes {
		if strings.HasPrefix(canonical, prefix) {
			return "", fmt.Errorf("%w header name: names beginning with %s are set by Bindery", broker.ErrInvalid, prefix)
		}
	}
	return canonical, nil
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// setHeader replaces every copy of a header, also one whose key somebody put
// into the map in another spelling.
func setHeader(h http.Header, canonical, value string) {
	dropHeader(h, canonical)
	h[canonical] = []string{value}
}

func dropHeader(h http.Header, canonical string) {
	for key := range h {
		if strings.EqualFold(key, canonical) {
			delete(h, key)
		}
	}
}
