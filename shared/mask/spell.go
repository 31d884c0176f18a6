package mask

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNesting is how often a text may be JSON-escaped around a value.
const maxNesting = 3

// decoded is a text after decoding: from[i] is where the character that gave
// bytes[i] begins in the original, and from[len(bytes)] is the original's end.
type decoded struct {
	bytes []byte
	from  []int32
}

// reset makes d the identity of text, in a copy.
func (d *decoded) reset(text []byte) {
	d.bytes = append(d.bytes[:0], text...)
	d.from = d.from[:0]
	for i := range len(text) + 1 {
		d.from = append(d.from, int32(i))
	}
}

// unescape decodes JSON escapes in place, once. What is not an escape stays.
// It reports whether there was anything to decode.
func (d *decoded) unescape() bool {
	if bytes.IndexByte(d.bytes, '\\') < 0 {
		return false
	}
	w := 0
	for r := 0; r < len(d.bytes); {
		size, char := 0, rune(0)
		if d.bytes[r] == '\\' {
			size, char = jsonEscape(d.bytes[r:])
		}
		from := d.from[r]
		if size == 0 {
			d.bytes[w], d.from[w] = d.bytes[r], from
			r, w = r+1, w+1
			continue
		}
		r += size
		for n := utf8.EncodeRune(d.bytes[w:w+utf8.RuneLen(char)], char); n > 0; n-- {
			d.from[w] = from
			w++
		}
	}
	d.from[w] = d.from[len(d.bytes)]
	d.bytes, d.from = d.bytes[:w], d.from[:w+1]
	return true
}

// percentDecode sets d to the percent-decoding of src; with form, + is a space. It
// reports whether there was anything to decode.
func (d *decoded) percentDecode(src *decoded, form bool) bool {
	if bytes.IndexByte(src.bytes, '%') < 0 && !(form && bytes.IndexByte(src.bytes, '+') >= 0) {
		return false
	}
	d.bytes, d.from = d.bytes[:0], d.from[:0]
	for r := 0; r < len(src.bytes); {
		c, size := src.bytes[r], 1
		if c == '%' {
			if v, ok := hexValue(src.bytes, r+1, 2); ok {
				c, size = byte(v), 3
			}
		} else if c == '+' && form {
			c = ' '
		}
		d.bytes, d.from = append(d.bytes, c), append(d.from, src.from[r])
		r += size
	}
	d.from = append(d.from, src.from[len(src.bytes)])
	return true
}

// origin gives the stretch of the original that bytes[lo:hi] came from.
func (d *decoded) origin(lo, hi int) (int, int) {
	last := d.from[hi-1]
	for d.from[hi] == last {
		hi++ // the rest of the same character
	}
	return int(d.from[lo]), int(d.from[hi])
}

// jsonEscape decodes the escape sequence at the start of b (RFC 8259, section
// 7). Size 0 says that there is none. A lone surrogate is U+FFFD.
func jsonEscape(b []byte) (size int, char rune) {
	if len(b) < 2 {
		return 0, 0
	}
	if b[1] != 'u' {
		if char = shortEscape(b[1]); char == 0 {
			return 0, 0
		}
		return 2, char
	}
	v, ok := hexValue(b, 2, 4)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(v) {
		return 6, v
	}
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := hexValue(b, 8, 4); ok {
			if pair := utf16.DecodeRune(v, low); pair != utf8.RuneError {
				return 12, pair
			}
		}
	}
	return 6, utf8.RuneError
}

// shortEscape is the character that a backslash and c stand for, 0 for none.
func shortEscape(c byte) rune {
	switch c {
	case '"', '\\', '/':
		return rune(c)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// hexValue reads n hex digits of b at start.
func hexValue(b []byte, start, n int) (v rune, ok bool) {
	if len(b) < start+n {
		return 0, false
	}
	for _, c := range b[start : start+n] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			v = v<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
