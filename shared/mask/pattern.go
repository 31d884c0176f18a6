package mask

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// A pattern is one exact spelling of a value. Around the bytes that depend on
// the value alone, base64 has characters that carry bits of the value and bits
// of its neighbours: the edges.
type pattern struct {
	core        string
	left, right edge
	pads        int // how many = follow where the value ends the base64 text
	value       int
}

// edge is a base64 character of which only the bits under mask are known.
type edge struct{ mask, bits byte }

// patternsOf lists the exact spellings of one value: itself, the same misread
// as Latin-1, hex in both cases, base64 and base64url at the three alignments.
func patternsOf(patterns []pattern, material string, value int) []pattern {
	lower := hex.EncodeToString([]byte(material))
	patterns = append(patterns,
		pattern{core: material, value: value},
		pattern{core: lower, value: value},
		pattern{core: strings.ToUpper(lower), value: value})
	if strings.ContainsFunc(material, func(r rune) bool { return r >= utf8.RuneSelf }) {
		patterns = append(patterns, pattern{core: asLatin1(material), value: value})
	}
	padded := make([]byte, len(material)+4)
	for shift := range 3 {
		copy(padded[shift:], material)
		p := base64Pattern(padded, shift, len(material))
		p.value = value
		patterns = append(patterns, p)
		if strings.ContainsAny(p.core, "+/") {
			p.core = urlAlphabet.Replace(p.core)
			patterns = append(patterns, p)
		}
	}
	return patterns
}

// asLatin1 is what becomes of a value that was read byte by byte as Latin-1, as
// HTTP stacks read headers, and written as UTF-8.
func asLatin1(material string) string {
	runes := make([]rune, len(material))
	for i := range len(material) {
		runes[i] = rune(material[i])
	}
	return string(runes)
}

var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

// base64Pattern encodes padded, which holds n bytes of material after shift
// other bytes, and keeps the characters that carry bits of the material.
func base64Pattern(padded []byte, shift, n int) pattern {
	text := base64.RawStdEncoding.EncodeToString(padded)
	bits := 8 * (shift + n)
	first, last := shift, bits/6 // a byte's bits begin in the character of the same index
	var p pattern
	if shift > 0 {
		p.left.mask = byte(1)<<(6-2*shift) - 1
		p.left.bits = sextet(text[first]) & p.left.mask
		first++
	}
	if rest := bits % 6; rest > 0 {
		p.right.mask = 0x3f &^ (byte(1)<<(6-rest) - 1)
		p.right.bits = sextet(text[last]) & p.right.mask
		p.pads = (6 - rest) / 2
	}
	p.core = text[first:last]
	return p
}

// sextet is the value of a character of either base64 alphabet, 0xff if c is
// not one.
func sextet(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+' || c == '-':
		return 62
	case c == '/' || c == '_':
		return 63
	}
	return 0xff
}

func (e edge) matches(c byte) bool {
	s := sextet(c)
	return s != 0xff && s&e.mask == e.bits
}

// complete extends a match of the core at start by its edges and padding. It
// reports false where an edge contradicts the value.
func (p *pattern) complete(text []byte, start int) (lo, hi int, ok bool) {
	lo, hi = start, start+len(p.core)
	if p.left.mask != 0 {
		lo--
		if lo < 0 || !p.left.matches(text[lo]) {
			return 0, 0, false
		}
	}
	if p.right.mask != 0 {
		if hi == len(text) || !p.right.matches(text[hi]) {
			return 0, 0, false
		}
		hi++
		if pads := "=="[:p.pads]; strings.HasPrefix(string(text[hi:min(len(text), hi+2)]), pads) {
			hi += p.pads
		}
	}
	return lo, hi, true
}

// index finds patterns. A match of length n covers, among the positions that
// are multiples of a stride below n, at least one whose four bytes are one of
// its first grams. So only those positions are looked up.
type index struct {
	patterns []pattern
	stride   int
	shortest int                   // length of the shortest core
	heads    [1 << headBits]uint16 // 1-based into grams, 0 is none
	grams    []gram
}

const (
	gramLen   = 4
	headBits  = 13
	maxStride = 48 // beyond this a longer stride only makes New slower
)

type gram struct {
	bytes   uint32
	pattern uint16
	offset  uint8
	next    uint16
}

func hash(g uint32) uint32 { return g * 0x9E3779B1 >> (32 - headBits) }

func newIndex(patterns []pattern) (*index, error) {
	shortest := math.MaxInt
	for _, p := range patterns {
		shortest = min(shortest, len(p.core))
	}
	stride := min(shortest-gramLen+1, maxStride, math.MaxUint16/len(patterns))
	if stride == 0 {
		return nil, fmt.Errorf("%w: %d spellings", ErrTooMany, len(patterns))
	}
	x := &index{patterns: patterns, stride: stride, shortest: shortest, grams: make([]gram, 1, 1+stride*len(patterns))}
	for i, p := range patterns {
		for offset := range stride {
			g := binary.LittleEndian.Uint32([]byte(p.core[offset : offset+gramLen]))
			head := &x.heads[hash(g)]
			x.grams = append(x.grams, gram{bytes: g, pattern: uint16(i), offset: uint8(offset), next: *head})
			*head = uint16(len(x.grams) - 1)
		}
	}
	return x, nil
}

// find reports the cores that stand in text to found, until found returns
// false. It gives up and returns false when budget, in steps, is used up: then
// findLinear must look.
func (x *index) find(text []byte, budget *int, found func(p *pattern, start int) bool) bool {
	for at := 0; at+gramLen <= len(text); at += x.stride {
		g := binary.LittleEndian.Uint32(text[at:])
		for k := x.heads[hash(g)]; k != 0; k = x.grams[k].next {
			e := &x.grams[k]
			*budget--
			p, start := &x.patterns[e.pattern], at-int(e.offset)
			if e.bytes != g || start < 0 || len(text)-start < len(p.core) {
				continue
			}
			same := commonPrefix(text[start:], p.core)
			if *budget -= same; *budget < 0 {
				return false
			}
			if same == len(p.core) && !found(p, start) {
				return true
			}
		}
	}
	return true
}

func commonPrefix(text []byte, core string) int {
	for i := range len(core) {
		if text[i] != core[i] {
			return i
		}
	}
	return len(core)
}

// findLinear is find in time that depends on the lengths alone, one pattern
// after the other (Knuth, Morris, Pratt).
func (x *index) findLinear(text []byte, found func(p *pattern, start int) bool) {
	for i := range x.patterns {
		p := &x.patterns[i]
		if len(p.core) > len(text) {
			continue
		}
		border := borders(p.core)
		matched := 0
		for at, c := range text {
			for matched > 0 && (matched == len(p.core) || p.core[matched] != c) {
				matched = border[matched]
			}
			if p.core[matched] == c {
				matched++
			}
			if matched == len(p.core) && !found(p, at+1-len(p.core)) {
				return
			}
		}
	}
}

// borders[n] is the length of the longest proper prefix of core[:n] that is
// also its suffix.
func borders(core string) []int {
	border := make([]int, len(core)+1)
	for i, k := 1, 0; i < len(core); i++ {
		for k > 0 && core[i] != core[k] {
			k = border[k]
		}
		if core[i] == core[k] {
			k++
		}
		border[i+1] = k
	}
	return border
}
