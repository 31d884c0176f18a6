package mask

import "bytes"

// outside holds every byte that JSON has outside of strings.
const outside = "0123456789+-.eEtrufalsn{}[],: \t\n\r"

// insideStrings reports whether the bytes of each span show that in a JSON
// document it can only lie inside one string: then nothing has to be parsed.
func insideStrings(src []byte, spans []span) bool {
	for _, s := range spans {
		text := src[s.lo:s.hi]
		if bytes.IndexByte(text, '"') >= 0 || len(bytes.TrimLeft(text, outside)) == 0 {
			return false
		}
	}
	return true
}

// widen keeps JSON valid: a span that is not inside one string literal grows
// to the smallest JSON value around it, which a string will replace. src must
// be valid JSON, spans sorted and apart; so is the result.
func widen(src []byte, spans []span) (result []span, changed bool) {
	w := widener{src: src, waiting: spans}
	for at := 0; at < len(src); {
		switch src[at] {
		case '{', '[':
			w.starts = append(w.starts, at)
			at++
		case '}', ']':
			at++
			top := len(w.starts) - 1
			w.value(w.starts[top], at)
			w.starts = w.starts[:top]
		case ' ', '\t', '\n', '\r', ',', ':':
			at++
		default:
			end := tokenEnd(src, at)
			w.value(at, end)
			at = end
		}
	}
	if len(w.open)+len(w.waiting) > 0 { // reaches beyond the document
		w.open = append(w.open, w.waiting...)
		w.waiting = nil
		w.done = append(w.done, span{lo: 0, hi: len(src), value: w.open[0].value, quoted: true})
	}
	for _, s := range w.done {
		changed = changed || s.quoted
	}
	return union(w.done), changed
}

// widener walks a document. A value that ends decides about the spans in it.
type widener struct {
	src     []byte
	starts  []int  // of the containers around the place
	waiting []span // begin after the place
	open    []span // begin before it, no value around them has ended yet
	done    []span
}

// value handles the JSON value, or key, in src[lo:hi].
func (w *widener) value(lo, hi int) {
	for len(w.waiting) > 0 && w.waiting[0].lo < hi {
		w.open = append(w.open, w.waiting[0])
		w.waiting = w.waiting[1:]
	}
	for i := len(w.open) - 1; i >= 0 && w.open[i].lo >= lo; i-- {
		s := w.open[i]
		if s.hi > hi {
			continue // a larger value has to decide
		}
		if w.src[lo] != '"' || s.lo == lo || s.hi == hi {
			s.lo, s.hi, s.quoted = lo, hi, true
		}
		w.done = append(w.done, s)
		w.open = append(w.open[:i], w.open[i+1:]...)
	}
}

// tokenEnd is the end of the string, number or word that begins at start.
func tokenEnd(src []byte, start int) int {
	if src[start] == '"' {
		at := start + 1
		for src[at] != '"' {
			if src[at] == '\\' {
				at++
			}
			at++
		}
		return at + 1
	}
	at := start + 1
	for at < len(src) {
		switch src[at] {
		case '}', ']', ',', ' ', '\t', '\n', '\r':
			return at
		}
		at++
	}
	return at
}
