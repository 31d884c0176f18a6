package mask

import (
	"errors"
	"fmt"

	"bindery/shared/secret"
)

// MinLen is the length in bytes below which a value cannot be masked: shorter
// strings occur by chance and masking them would destroy answers.
const MinLen = 8

// minDistinct is the number of different bytes a value must have at least.
const minDistinct = 4

// Errors of Check and New. None of them ever carries a value.
var (
	ErrTooShort    = errors.New("value is too short to mask")
	ErrTooUniform  = errors.New("value is too uniform to mask")
	ErrPlaceholder = errors.New("no usable placeholder")
	ErrTooMany     = errors.New("too many values to mask")
)

// Secret is one value to find and the text that takes its place. Placeholder
// is a slug in square brackets, such as "[masked:github-work]": only
// a-z 0-9 : - [ ], so that it is safe inside JSON strings, SSE and headers.
type Secret struct {
	Value       secret.Value
	Placeholder string
}

// Masker replaces the spellings of a fixed set of values. It is immutable and
// safe for concurrent use. Its tables hold material, so they sit in a closure:
// printing a Masker shows an address.
type Masker struct {
	tables func() *tables
}

// Check reports whether v can be masked: ErrTooShort below MinLen bytes,
// ErrTooUniform with fewer than four different bytes.
func Check(v secret.Value) error {
	material := v.Reveal()
	if len(material) < MinLen {
		return fmt.Errorf("%w: at least %d bytes are needed", ErrTooShort, MinLen)
	}
	var seen [256]bool
	distinct := 0
	for i := 0; i < len(material) && distinct < minDistinct; i++ {
		if !seen[material[i]] {
			seen[material[i]] = true
			distinct++
		}
	}
	if distinct < minDistinct {
		return fmt.Errorf("%w: at least %d different bytes are needed", ErrTooUniform, minDistinct)
	}
	return nil
}

// New builds a Masker for the given values. It fails with the error of Check
// for a value that cannot be masked, and with ErrPlaceholder for a placeholder
// outside its alphabet. No values give a Masker that changes nothing.
func New(secrets ...Secret) (*Masker, error) {
	if len(secrets) == 0 {
		return &Masker{}, nil
	}
	values := make([]string, len(secrets))
	placeholders := make([]string, len(secrets))
	for i, s := range secrets {
		if err := Check(s.Value); err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
		if !isPlaceholder(s.Placeholder) {
			return nil, fmt.Errorf("value %d: %w: want a-z 0-9 : - in square brackets", i, ErrPlaceholder)
		}
		values[i], placeholders[i] = s.Value.Reveal(), s.Placeholder
	}
	t, err := newTables(values)
	if err != nil {
		return nil, err
	}
	if t.placeholders, err = t.safePlaceholders(values, placeholders); err != nil {
		return nil, err
	}
	return &Masker{tables: func() *tables { return t }}, nil
}

// Bytes returns src with every listed spelling of every value replaced, and
// how many stretches were replaced. With n == 0 it returns src itself. It
// never writes to src, which must be shorter than 2 GiB. Time grows with the
// length alone. Memory beyond the result is needed around escapes that may be
// part of a value, at most ten bytes for each byte of hostile text.
func (m *Masker) Bytes(src []byte) (out []byte, n int) {
	if m.tables == nil {
		return src, 0
	}
	return m.tables().mask(src, &work{})
}

// String is Bytes for a string.
func (m *Masker) String(s string) (string, int) {
	out, n := m.Bytes([]byte(s))
	if n == 0 {
		return s, 0
	}
	return string(out), n
}
