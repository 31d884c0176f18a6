package mask

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// effort bounds the comparisons of the index: steps per byte of text before a
// search falls back to the one that is always linear.
const effort = 8

// tables is everything New computes.
type tables struct {
	index        *index
	alphabet     *alphabet
	placeholders []string
}

// work is the scratch space of one call.
type work struct {
	steps           int // bytes decoded, probed and compared around suspects
	spans           []span
	text, unpercent decoded
}

// span is a stretch of the source that belongs to a value.
type span struct {
	lo, hi int
	value  int
	quoted bool // stands for a whole JSON value, so the placeholder gets quotes
}

func newTables(values []string) (*tables, error) {
	patterns := make([]pattern, 0, 9*len(values))
	for i, v := range values {
		patterns = patternsOf(patterns, v, i)
	}
	x, err := newIndex(patterns)
	if err != nil {
		return nil, err
	}
	return &tables{index: x, alphabet: newAlphabet(patterns)}, nil
}

// mask replaces what locate finds. Where a whole JSON value became a string,
// its quotes are new text next to old, so the result is looked at again; after
// a few rounds nothing of the document is kept.
func (t *tables) mask(src []byte, w *work) (out []byte, n int) {
	out = src
	for range 4 {
		w.spans = w.spans[:0]
		t.locate(out, w)
		if len(w.spans) == 0 {
			return out, n
		}
		spans, widened := union(w.spans), false
		if !insideStrings(out, spans) && json.Valid(out) {
			spans, widened = widen(out, spans)
		}
		out = t.replace(out, spans)
		n += len(spans)
		if !widened {
			return out, n
		}
	}
	return []byte(`"` + t.placeholders[0] + `"`), n
}

func (t *tables) replace(src []byte, spans []span) []byte {
	out := make([]byte, 0, len(src)+32*len(spans))
	at := 0
	for _, s := range spans {
		out = append(out, src[at:s.lo]...)
		if s.quoted {
			out = append(out, '"')
		}
		out = append(out, t.placeholders[s.value]...)
		if s.quoted {
			out = append(out, '"')
		}
		at = s.hi
	}
	return append(out, src[at:]...)
}

// locate collects the spans of all matches in w.spans.
func (t *tables) locate(src []byte, w *work) {
	suspects := t.suspectsIn(src)
	limit := suspects.budget
	for from := 0; ; {
		s, ok := suspects.next(from)
		if !ok {
			w.steps += limit - suspects.budget
			return
		}
		lo, hi, next := t.alphabet.surround(src, s, from)
		w.steps += hi - lo
		t.inspect(src[lo:hi], lo, w)
		from = next
	}
}

// inspect searches one stretch in every decoding. Its spans never cut an
// escape sequence, at any nesting, in two.
func (t *tables) inspect(text []byte, offset int, w *work) {
	if len(text) < t.index.shortest {
		return
	}
	first := len(w.spans)
	w.text.reset(text)
	w.steps += len(text)
	for level := 0; ; level++ {
		t.collect(&w.text, w)
		if w.unpercent.percentDecode(&w.text, false) {
			t.collect(&w.unpercent, w)
		}
		if t.alphabet.form && w.unpercent.percentDecode(&w.text, true) {
			t.collect(&w.unpercent, w)
		}
		if level == maxNesting || !w.text.unescape() {
			break
		}
	}
	if len(w.spans) == first {
		return
	}
	// Every sequence of every other decoding lies inside one of this.
	borders := w.text.from
	if w.unpercent.percentDecode(&w.text, false) {
		borders = w.unpercent.from
	}
	for i := first; i < len(w.spans); i++ {
		s := &w.spans[i]
		if k, exact := slices.BinarySearch(borders, int32(s.lo)); !exact {
			s.lo = int(borders[k-1])
		}
		k, _ := slices.BinarySearch(borders, int32(s.hi))
		s.lo, s.hi = s.lo+offset, int(borders[k])+offset
	}
}

// collect adds the matches in d as spans of the original.
func (t *tables) collect(d *decoded, w *work) {
	found := func(p *pattern, start int) bool {
		if lo, hi, ok := p.complete(d.bytes, start); ok {
			lo, hi = d.origin(lo, hi)
			w.spans = append(w.spans, span{lo: lo, hi: hi, value: p.value})
		}
		return true
	}
	limit := effort * (len(d.bytes) + t.index.shortest)
	budget := limit
	if !t.index.find(d.bytes, &budget, found) {
		t.index.findLinear(d.bytes, found)
		w.steps += len(d.bytes) * len(t.index.patterns)
	}
	w.steps += len(d.bytes) + limit - budget
}

// union merges spans that overlap or touch. The leftmost names the value, and
// the longest of those, and the first listed of those.
func union(spans []span) []span {
	slices.SortStableFunc(spans, func(a, b span) int {
		if a.lo != b.lo {
			return a.lo - b.lo
		}
		if a.hi != b.hi {
			return b.hi - a.hi
		}
		return a.value - b.value
	})
	merged := spans[:1]
	for _, s := range spans[1:] {
		if last := &merged[len(merged)-1]; s.lo <= last.hi {
			last.hi = max(last.hi, s.hi)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

func isPlaceholder(p string) bool {
	if len(p) < 3 || p[0] != '[' || p[len(p)-1] != ']' {
		return false
	}
	return strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789:-[]") == ""
}

// safePlaceholders replaces a placeholder that could give a value together
// with the text around it: one that holds, is held by or overlaps a value.
func (t *tables) safePlaceholders(values, placeholders []string) ([]string, error) {
	for i, p := range placeholders {
		for _, edge := range []string{"", "*", "~", "!", "|", "^", ".", "(", ")"} {
			if edge != "" {
				p = edge + "masked" + edge
			}
			if t.isSafe(p, values) {
				break
			}
			p = ""
		}
		if p == "" {
			return nil, fmt.Errorf("value %d: %w: each overlaps a value", i, ErrPlaceholder)
		}
		placeholders[i] = p
	}
	return placeholders, nil
}

func (t *tables) isSafe(p string, values []string) bool {
	for _, v := range values {
		if strings.Contains(v, p) {
			return false
		}
		for n := 1; n < min(len(p), len(v)); n++ {
			if v[:n] == p[len(p)-n:] || v[len(v)-n:] == p[:n] {
				return false
			}
		}
	}
	w := &work{}
	t.locate([]byte(p), w)
	return len(w.spans) == 0
}
