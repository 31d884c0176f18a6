package mask

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// A spelling without any escape is found by the index in the text as it is. A
// spelling with escapes has at least one that stands for a byte of a pattern.
// Both are suspects, and only the surroundings of suspects are decoded.

// syntax lists the bytes of escape sequences, but for the " and / that may
// end one: these stand for themselves with and without a backslash.
const syntax = `\%bfnrtu0123456789abcdefABCDEF`

// sequenceTail is more than what follows the last backslash of an escape
// sequence, at most as in \u005cu005cu002541: % as the third escape, and 41.
const sequenceTail = 32

// alphabet says what a byte can mean to the values in hand.
type alphabet struct {
	used     [256]bool // occurs in a core
	live     [256]bool // can be part of a spelling or of an escape sequence
	escaped  [256]bool // after a backslash stands for a used byte
	doubtful [256]bool // after a backslash needs a closer look
	form     bool      // a value has a space, so + can stand for it
	wide     bool      // a value has bytes beyond ASCII
	reach    int       // longer than any core and sequenceTail together
}

func newAlphabet(patterns []pattern) *alphabet {
	a := &alphabet{}
	for _, p := range patterns {
		a.reach = max(a.reach, len(p.core)+sequenceTail)
		for i := range len(p.core) {
			a.used[p.core[i]] = true
			a.wide = a.wide || p.core[i] >= 0x80
		}
	}
	a.form = a.used[' ']
	for i := range 256 {
		c := byte(i)
		a.live[c] = a.used[c] || sextet(c) != 0xff || c == '='
		short := shortEscape(c)
		a.escaped[c] = short != 0 && a.used[short]
		a.doubtful[c] = a.escaped[c] || c == '\\' || c == 'u'
	}
	for i := range len(syntax) {
		a.live[syntax[i]] = true
	}
	return a
}

// suspects walks through a text. Each kind keeps the next place it knows.
type suspects struct {
	t                        *tables
	src                      []byte
	exact                    stretch
	budget                   int // for the index, in steps
	backslash, percent, plus int
}

type stretch struct{ lo, hi int }

func (t *tables) suspectsIn(src []byte) suspects {
	s := suspects{t: t, src: src, exact: stretch{-1, -1}, backslash: -1, percent: -1, plus: -1}
	s.budget = effort * (len(src) + t.index.shortest)
	if !t.alphabet.form {
		s.plus = len(src)
	}
	return s
}

// next is the first suspect that begins at or after from.
func (s *suspects) next(from int) (stretch, bool) {
	if s.exact.lo < from {
		s.exact = s.nextExact(from)
	}
	if s.backslash < from {
		s.backslash = s.nextBackslash(from)
	}
	if s.percent < from {
		s.percent = s.nextPercent(from)
	}
	if s.plus < from {
		s.plus = nextByte(s.src, from, '+')
	}
	if at := min(s.backslash, s.percent, s.plus); at < s.exact.lo {
		return stretch{at, at + 1}, true
	}
	return s.exact, s.exact.lo < len(s.src)
}

// nextExact is the first core without escapes. Where the text makes the index
// work too hard, all the rest is suspect.
func (s *suspects) nextExact(from int) stretch {
	first := stretch{len(s.src), len(s.src)}
	done := s.t.index.find(s.src[from:], &s.budget, func(p *pattern, start int) bool {
		first = stretch{from + start, from + start + len(p.core)}
		return false
	})
	if !done {
		return stretch{from, len(s.src)}
	}
	return first
}

func (s *suspects) nextBackslash(from int) int {
	src, a := s.src, s.t.alphabet
	for {
		at := nextBackslash(src, from)
		if at+1 < len(src) && !a.doubtful[src[at+1]] {
			from = at + 2
			continue
		}
		for from = at; from < len(src) && src[from] == '\\'; from++ {
		}
		if at == len(src) || a.meaningful(src[from:]) {
			return at
		}
	}
}

// nextBackslash looks at a few words before it calls IndexByte, which is the
// faster one only where backslashes are far apart.
func nextBackslash(src []byte, from int) int {
	const ones, high, pattern = 0x0101010101010101, 0x8080808080808080, 0x5c5c5c5c5c5c5c5c
	for range 4 {
		if from+8 > len(src) {
			break
		}
		x := binary.LittleEndian.Uint64(src[from:]) ^ pattern
		if zero := (x - ones) &^ x & high; zero != 0 {
			return from + bits.TrailingZeros64(zero)/8
		}
		from += 8
	}
	return nextByte(src, from, '\\')
}

// meaningful reports whether backslashes before rest can be part of a match.
func (a *alphabet) meaningful(rest []byte) bool {
	if len(rest) == 0 || rest[0] != 'u' {
		return a.used['\\'] || len(rest) > 0 && a.escaped[rest[0]]
	}
	char, ok := hexValue(rest, 1, 4)
	switch {
	case !ok: // a digit that is escaped itself is a suspect of its own
		return a.used['\\']
	case char < 0x80: // live: it may give a part of another sequence
		return a.used['\\'] || a.live[char]
	}
	return a.used['\\'] || a.wide
}

func (s *suspects) nextPercent(from int) int {
	for {
		at := nextByte(s.src, from, '%')
		if at == len(s.src) {
			return at
		}
		if c, ok := hexValue(s.src, at+1, 2); ok && s.t.alphabet.used[c] {
			return at
		}
		from = at + 1
	}
}

func nextByte(src []byte, from int, c byte) int {
	if k := bytes.IndexByte(src[from:], c); k >= 0 {
		return from + k
	}
	return len(src)
}

// surround widens a suspect to the text that decides it, not before floor. It
// ends at bytes that no match and no escape sequence contains, or after a long
// way without any escape. The search goes on at next: every match that begins
// before it lies inside.
func (a *alphabet) surround(src []byte, s stretch, floor int) (lo, hi, next int) {
	escape := false
	for lo = s.lo; lo > floor && a.live[src[lo-1]] && (escape || s.lo-lo < a.reach); lo-- {
		escape = escape || src[lo-1] == '\\'
	}
	last := s.hi
	for hi = s.hi; hi < len(src) && a.live[src[hi]]; hi++ {
		if src[hi] == '\\' || src[hi] == '%' {
			last = hi
		} else if hi-last > 2*a.reach {
			return lo, hi, hi - a.reach
		}
	}
	hi = min(hi+1, len(src)) // with the " or / that may end a sequence
	return lo, hi, hi
}
