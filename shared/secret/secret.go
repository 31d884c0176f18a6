// Package secret holds credential material in a form that cannot be printed.
//
// A Value is a closure over the material. A string type with redacting
// methods still prints when it sits in an unexported field, because fmt does
// not call methods there; a function prints as an address, marshals to
// nothing, and cannot be compared with ==. So the worst an honest mistake can
// put into a log is "[secret]" or a code address.
//
// The package never copies material anywhere by itself. Reveal is the one way
// out, and the architecture test keeps the list of packages that may call it.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what every printing and marshaling path shows in place of a Value.
const Redacted = "[secret]"

// Value is one piece of credential material. The zero Value holds nothing.
// Values are safe for concurrent use.
type Value struct {
	reveal func() string
}

// New wraps material. An empty string gives the zero Value.
func New(material string) Value {
	if material == "" {
		return Value{}
	}
	return Value{reveal: func() string { return material }}
}

// Reveal returns the material itself. Call it only where the bytes leave the
// process or are searched for, never to build an error, a log line or a key.
func (v Value) Reveal() string {
	if v.reveal == nil {
		return ""
	}
	return v.reveal()
}

// IsZero reports whether the Value holds nothing.
func (v Value) IsZero() bool { return v.reveal == nil }

// Len is the length of the material in bytes.
func (v Value) Len() int { return len(v.Reveal()) }

// Equal compares two Values in time that depends only on their lengths.
func (v Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(other.Reveal())) == 1
}

// Format implements fmt.Formatter for every verb and flag.
func (v Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Redacted) }

// String implements fmt.Stringer.
func (v Value) String() string { return Redacted }

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements encoding.TextMarshaler, which encoding/json and
// encoding/xml use too. There is no unmarshaler: material enters through New.
func (v Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
