package broker

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// ErrInvalid marks input that does not parse: a name, reference, URL or card.
// The wrapping error says which field and which rule, and never repeats a
// value that could be a secret.
var ErrInvalid = errors.New("invalid")

// MaxName is the longest environment, server or binding name, in bytes.
const MaxName = 40

// CheckName accepts the names that appear in routes and placeholders:
// 1 to 40 characters of a-z, 0-9 and hyphen.
func CheckName(what, name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w %s: it must have 1 to %d characters", ErrInvalid, what, MaxName)
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%w %s: only a-z, 0-9 and hyphen are allowed", ErrInvalid, what)
		}
	}
	return nil
}

// Route is where a call is addressed: one server of one environment.
type Route struct {
	Environment string
	Server      string
}

// ParseRoute checks both names.
func ParseRoute(environment, server string) (Route, error) {
	if err := CheckName("environment", environment); err != nil {
		return Route{}, err
	}
	if err := CheckName("server", server); err != nil {
		return Route{}, err
	}
	return Route{Environment: environment, Server: server}, nil
}

// String gives "environment/server".
func (r Route) String() string { return r.Environment + "/" + r.Server }

// digestLength is how many characters a digest has.
const digestLength = 26

// Digest is an opaque, stable name for a thing whose own name must not be
// shown (an e-mail in a key, a URI in an audit record): the first 26
// characters of the lower-case base32 SHA-256 over the parts, each prefixed by
// its length so that no two lists of parts collide. 130 bits.
func Digest(parts ...string) string {
	h := sha256.New()
	var length [8]byte
	for _, p := range parts {
		for i := range length {
			length[i] = byte(len(p) >> (8 * i))
		}
		h.Write(length[:])
		h.Write([]byte(p))
	}
	sum := h.Sum(nil)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)[:digestLength])
}

// OriginDigest is the digest of scheme, host and port (RFC 6454) of an
// upstream URL: what a binding and a sealed value are bound to. Paths may
// change without a new approval; origins may not.
func OriginDigest(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.Fragment != "" {
		return "", fmt.Errorf("%w upstream URL: it must be scheme://host[:port]/path without user or fragment", ErrInvalid)
	}
	port := u.Port()
	switch {
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }): // in lower case it could be another's
		return "", fmt.Errorf("%w upstream URL: an internationalised name is written in its ASCII form", ErrInvalid)
	case u.Scheme != "https" && u.Scheme != "http":
		return "", fmt.Errorf("%w upstream URL: the scheme must be https", ErrInvalid)
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return Digest("origin", u.Scheme, strings.ToLower(u.Hostname()), port), nil
}
