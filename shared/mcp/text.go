package mcp

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// str scans a string and gives the bytes between its quotes, escapes checked
// but not decoded.
func (s *scanner) str() ([]byte, error) {
	b, i := s.b, s.i+1
	start := i
	for {
		i = plain(b, i)
		switch {
		case i == len(b):
			return nil, errSyntax
		case b[i] == '"':
			s.i = i + 1
			return b[start:i:i], nil
		case b[i] != '\\' || i+1 == len(b):
			return nil, errSyntax
		case b[i+1] == 'u':
			if i+6 > len(b) || hex4(b[i+2:i+6]) < 0 {
				return nil, errSyntax
			}
			i += 6
		case bytes.IndexByte([]byte(`"\/bfnrt`), b[i+1]) >= 0:
			i += 2
		default:
			return nil, errSyntax
		}
	}
}

// plain steps over bytes that stand for themselves in a string, and gives the
// place of the next quote, backslash or control character, or len(b). It looks
// at eight bytes at once: subtracting borrows into the top bit of a byte that
// is smaller, and the lowest such bit is never wrong.
func plain(b []byte, i int) int {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, escape := w^each*'"', w^each*'\\'
		found := (w-each*0x20)&^w | (quote-each)&^quote | (escape-each)&^escape
		if found &= top; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] >= 0x20 && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// hex4 reads four hexadecimal digits, or gives -1.
func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		r <<= 4
		switch {
		case c-'0' <= 9:
			r |= rune(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r |= rune(c|0x20-'a') + 10
		default:
			return -1
		}
	}
	return r
}

// decode resolves the escapes of a scanned string. It reports false where half
// a surrogate pair stands alone: readers disagree about what that means.
func decode(text []byte) ([]byte, bool) {
	next := bytes.IndexByte(text, '\\')
	if next < 0 {
		return text, true
	}
	whole := true
	out := make([]byte, 0, len(text))
	for next >= 0 {
		out = append(out, text[:next]...)
		c := text[next+1]
		text = text[next+2:]
		switch c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(text)
			text = text[4:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(text) >= 6 && text[0] == '\\' && text[1] == 'u' {
					low = hex4(text[2:6])
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					whole = false
				} else {
					text = text[6:]
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		next = bytes.IndexByte(text, '\\')
	}
	return append(out, text...), whole
}

// text decodes a scanned value that must be a string without broken surrogates.
func text(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	return decode(raw[1 : len(raw)-1])
}

// usable reports whether a name is one that a call may carry: not empty, not
// endless, without control characters.
func usable(name []byte) bool {
	return len(name) > 0 && len(name) <= maxTarget && !slices.ContainsFunc(name, control)
}

func control(c byte) bool { return c < 0x20 || c == 0x7f }

// variant reports whether key could be read as one of the known keys without
// being it: by a reader that ignores case, or one that stops at a control
// character.
func variant(key []byte, known []string) bool {
	for _, k := range known {
		if string(key) == k {
			return false
		}
	}
	return bytes.ContainsFunc(key, unicode.IsControl) || folds(key, known)
}

// folds reports whether key equals one of the known ASCII keys for a reader
// that ignores case. Beside ASCII it folds the four characters that some
// reader maps to an ASCII letter: the Kelvin sign and the long s (Unicode
// simple folding, encoding/json), dotted and dotless i (case mapping, Java and C#).
func folds(key []byte, known []string) bool {
	var room [48]byte
	folded := room[:0]
	for i := 0; i < len(key); {
		if len(folded) == len(room) {
			return false
		}
		c, size := key[i], 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRune(key[i:])
			switch r {
			case '\u212a':
				c = 'k'
			case '\u017f':
				c = 's'
			case '\u0130', '\u0131':
				c = 'i'
			default:
				return false
			}
		}
		folded = append(folded, lower(c))
		i += size
	}
	for _, k := range known {
		if len(k) == len(folded) && equalLower(folded, k) {
			return true
		}
	}
	return false
}

func equalLower(folded []byte, known string) bool {
	for i, c := range folded {
		if c != lower(known[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}
