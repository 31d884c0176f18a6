package mcp

import (
	"bytes"
	"errors"
	"slices"
)

// Limits of what is read strictly. They are far above what a real call needs.
const (
	maxDepth    = 64      // nested objects and arrays in a message to be judged
	maxMembers  = 1 << 16 // members of all objects that are open at one point
	maxNumber   = 256     // bytes of one number
	maxLaxDepth = 1000    // nesting in an upstream's answer
)

var (
	errSyntax    = errors.New("not JSON")
	errTooDeep   = errors.New("nested too deep or too many members")
	errDuplicate = errors.New("duplicate key")
	errKey       = errors.New("ambiguous key")
)

// scanner walks one JSON document (RFC 8259) once, without building anything.
// It expects valid UTF-8 and remembers only the keys of the objects that are
// open, so that a duplicate is found at any depth.
type scanner struct {
	b      []byte
	i      int
	depth  int      // deepest nesting allowed
	unique bool     // refuse duplicate keys
	keys   [][]byte // decoded keys of the open objects, innermost last
}

// visitor is called for each member of an object, with the scanner at the
// first byte of the value; it must consume the value.
type visitor func(s *scanner, key []byte, depth int) error

func strict(b []byte) *scanner {
	return &scanner{b: b, depth: maxDepth, unique: true, keys: make([][]byte, 0, 32)}
}

func lax(b []byte) *scanner { return &scanner{b: b, depth: maxLaxDepth} }

// document scans one object and nothing after it.
func (s *scanner) document(visit visitor) error {
	s.space()
	if s.peek() != '{' {
		return errSyntax
	}
	if err := s.object(1, visit); err != nil {
		return err
	}
	s.space()
	if s.i != len(s.b) {
		return errSyntax
	}
	return nil
}

// value scans one value of any kind. depth is that of the enclosing container.
func (s *scanner) value(depth int) error {
	switch s.peek() {
	case '{':
		return s.object(depth+1, nil)
	case '[':
		return s.array(depth+1, nil)
	case '"':
		_, err := s.str()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

// raw scans one value and gives its bytes.
func (s *scanner) raw(depth int) ([]byte, error) {
	start := s.i
	err := s.value(depth)
	return s.b[start:s.i:s.i], err
}

// nested scans an object with its own visitor, or any other value plainly.
func (s *scanner) nested(depth int, visit visitor) ([]byte, error) {
	if s.peek() != '{' {
		return s.raw(depth)
	}
	start := s.i
	err := s.object(depth+1, visit)
	return s.b[start:s.i:s.i], err
}

func (s *scanner) object(depth int, visit visitor) error {
	if depth > s.depth {
		return errTooDeep
	}
	base := len(s.keys)
	s.i++
	s.space()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if visit != nil {
			err = visit(s, key, depth)
		} else {
			err = s.value(depth)
		}
		if err != nil {
			return err
		}
		more, err := s.more('}')
		if err != nil {
			return err
		}
		if !more {
			own := s.keys[base:]
			s.keys = s.keys[:base]
			return distinct(own)
		}
	}
}

func (s *scanner) array(depth int, each func(s *scanner, depth int) error) error {
	if depth > s.depth {
		return errTooDeep
	}
	s.i++
	s.space()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		var err error
		if each != nil {
			err = each(s, depth)
		} else {
			err = s.value(depth)
		}
		if err != nil {
			return err
		}
		more, err := s.more(']')
		if err != nil || !more {
			return err
		}
	}
}

// more consumes a comma (there is more) or the closing byte.
func (s *scanner) more(closing byte) (bool, error) {
	s.space()
	c := s.peek()
	s.i++
	switch c {
	case ',':
		s.space()
		return true, nil
	case closing:
		return false, nil
	}
	return false, errSyntax
}

// key scans a member's key up to its value and gives it decoded.
func (s *scanner) key() ([]byte, error) {
	if s.peek() != '"' {
		return nil, errSyntax
	}
	key, err := s.str()
	if err != nil {
		return nil, err
	}
	key, whole := decode(key)
	if s.unique {
		if !whole {
			return nil, errKey
		}
		if len(s.keys) >= maxMembers {
			return nil, errTooDeep
		}
		s.keys = append(s.keys, key)
	}
	s.space()
	if s.peek() != ':' {
		return nil, errSyntax
	}
	s.i++
	s.space()
	return key, nil
}

// peek gives the byte at hand, or 0 at the end; 0 is never valid in JSON.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) word(w string) error {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		return errSyntax
	}
	s.i += len(w)
	return nil
}

// number follows the grammar of RFC 8259 section 6.
func (s *scanner) number() error {
	start := s.i
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return errSyntax
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return errSyntax
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return errSyntax
		}
	}
	if s.i-start > maxNumber {
		return errTooDeep
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > start
}

// distinct refuses two equal keys of one object. Long lists are sorted by
// length and bytes, which costs n log n and no hashing an attacker could aim at.
func distinct(keys [][]byte) error {
	if len(keys) <= 16 {
		for i, a := range keys {
			for _, b := range keys[:i] {
				if len(a) == len(b) && bytes.Equal(a, b) {
					return errDuplicate
				}
			}
		}
		return nil
	}
	slices.SortFunc(keys, func(a, b []byte) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return bytes.Compare(a, b)
	})
	for i := 1; i < len(keys); i++ {
		if bytes.Equal(keys[i-1], keys[i]) {
			return errDuplicate
		}
	}
	return nil
}
