package session

import (
	"encoding/binary"
	"strings"
	"time"

	"bindery/shared/broker"
)

// The id, format 1: "b1." and, in base64url without padding,
//
//	4 bytes  the day of the key, in days since 1970-01-01, big-endian
//	12 bytes nonce
//	rest     AES-256-GCM ciphertext and tag of 16 bytes
//
// In the box, each text after its length in one byte (the upstream's id: two):
//
//	8 bytes  expiry in seconds since 1970, big-endian
//	texts    the upstream's id, binding, revision
//	1 byte   number of capabilities
//	texts    the capabilities
//
// The box is bound to the format, the day, and each part of the owner after its
// length in eight bytes, so that no two owners read alike.
const (
	prefix   = "b1."
	dayBytes = 4
	overhead = 12 + 16

	maxUpstream     = 1024
	maxVersion      = 32
	maxCapability   = 40
	maxCapabilities = 32

	minPlain = 8 + 2 + 1 + 1 + 1
	maxPlain = minPlain + maxUpstream + broker.MaxName + maxVersion + maxCapabilities*(1+maxCapability)

	minLength = len(prefix) + ((dayBytes+overhead+minPlain)*8+5)/6
)

// MaxLength is the longest id, in bytes.
const MaxLength = len(prefix) + ((dayBytes+overhead+maxPlain)*8+5)/6

// spelled reports that id can be one of Wrap's. Line breaks are looked for
// because the decoder skips them, which would give an id a second spelling.
func spelled(id string) bool {
	return len(id) >= minLength && len(id) <= MaxLength && strings.HasPrefix(id, prefix) &&
		strings.IndexByte(id, '\n') < 0 && strings.IndexByte(id, '\r') < 0
}

func appendDay(b []byte, day int64) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(day)) // the keyring has no day that does not fit
}

func readDay(raw []byte) int64 { return int64(binary.BigEndian.Uint32(raw)) }

func (s *Sessions) boundSize(o Owner) int {
	return len(prefix) + dayBytes + 5*8 + len(s.environment) + len(o.Server) + len(o.Origin) + len(o.Principal) + len(o.Agent)
}

// appendBound writes boundSize bytes: what the box is bound to.
func (s *Sessions) appendBound(b []byte, o Owner, day int64) []byte {
	return s.appendBoundTo(b, prefix, o, day)
}

func (s *Sessions) appendBoundTo(b []byte, format string, o Owner, day int64) []byte {
	b = appendDay(append(b, format...), day)
	for _, part := range [...]string{s.environment, o.Server, o.Origin, o.Principal, o.Agent} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

func plainSize(v Session) int {
	n := minPlain + len(v.Upstream) + len(v.Binding) + len(v.Version)
	for _, c := range v.Capabilities {
		n += 1 + len(c)
	}
	return n
}

// appendPlain writes plainSize bytes. Every length was checked to fit.
func appendPlain(b []byte, v Session) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(v.Expires.Unix()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(v.Upstream)))
	b = append(b, v.Upstream...)
	for _, text := range [...]string{v.Binding, v.Version} {
		b = append(append(b, byte(len(text))), text...)
	}
	b = append(b, byte(len(v.Capabilities)))
	for _, c := range v.Capabilities {
		b = append(append(b, byte(len(c))), c...)
	}
	return b
}

// readPlain reads what appendPlain wrote, and nothing that differs from it by a
// byte. The texts share the memory of plain.
func readPlain(plain string) (Session, bool) {
	r := reader{rest: plain}
	v := Session{Expires: time.Unix(int64(r.number(8)), 0).UTC()}
	v.Upstream = r.take(r.number(2))
	v.Binding = r.take(r.number(1))
	v.Version = r.take(r.number(1))
	if n := r.number(1); n > 0 && n <= maxCapabilities {
		v.Capabilities = make([]string, n)
		for i := range v.Capabilities {
			v.Capabilities[i] = r.take(r.number(1))
		}
	} else if n != 0 {
		return Session{}, false
	}
	return v, !r.short && r.rest == ""
}

// reader takes a text apart. Once it was too short, it gives nothing more.
type reader struct {
	rest  string
	short bool
}

func (r *reader) take(n uint64) string {
	if r.short || n > uint64(len(r.rest)) {
		r.short = true
		return ""
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

func (r *reader) number(bytes uint64) (n uint64) {
	text := r.take(bytes)
	for i := range len(text) {
		n = n<<8 | uint64(text[i])
	}
	return n
}
