package policy

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"

	"bindery/shared/broker"
)

// place is where in the text something stands, counted from 1 in lines and
// characters.
type place struct{ line, column int }

func (p place) fault(rule string) error {
	return fmt.Errorf("%w policies: line %d, column %d: %s", broker.ErrInvalid, p.line, p.column, rule)
}

// after is the place behind a text that begins at p.
func (p place) after(text []byte) place {
	last := bytes.LastIndexByte(text, '\n')
	if last < 0 {
		return place{p.line, p.column + utf8.RuneCount(text)}
	}
	return place{p.line + bytes.Count(text, []byte{'\n'}), 1 + utf8.RuneCount(text[last+1:])}
}

// piece is the text of one policy, with the blanks and comments before it.
type piece struct {
	text  []byte
	start place
}

// split cuts the text after each semicolon that stands in no string and no
// comment. It does so before anything is parsed, because the parser recurses as
// deep as a text nests, a stack that overflows ends the process, and "has" with a
// path grows with the square of its length. Where it and the parser read
// differently, parse finds not exactly one policy in a piece and refuses it.
func split(text []byte) ([]piece, error) {
	at := place{1, 1}
	if len(text) > MaxText {
		return nil, at.fault(fmt.Sprintf("the text is longer than %d KiB", MaxText>>10))
	}
	var pieces []piece
	for len(text) > 0 {
		var l lexer
		end, path := l.policy(text)
		switch {
		case l.last == 0:
			return pieces, piece{text, at}.blank()
		case end > MaxPolicy:
			return nil, at.fault(fmt.Sprintf("the policy that begins here is longer than %d KiB", MaxPolicy>>10))
		case path > MaxPath:
			return nil, at.fault(fmt.Sprintf("a path in the policy that begins here has more than %d dots", MaxPath))
		case len(pieces) == MaxPolicies:
			return nil, at.fault(fmt.Sprintf("there are more than %d policies", MaxPolicies))
		}
		pieces = append(pieces, piece{text[:end], at})
		at, text = at.after(text[:end]), text[end:]
	}
	return pieces, nil
}

// lexer follows a policy's text as far as splitting needs it.
type lexer struct {
	quoted  bool
	comment byte // what it began with after the slash; 0: none
	word    bool // within an identifier
	last    byte // of what is neither blank nor comment; 'a' for any identifier, 0: there was nothing
	path    int  // dots of the path so far, as in a.b.c
}

// next takes byte i and gives how many bytes it took.
func (l *lexer) next(text []byte, i int) int {
	c, after, word := text[i], byte(0), l.word
	if i+1 < len(text) {
		after = text[i+1]
	}
	l.word = false
	switch {
	case l.comment == '/' && c == '\n':
		l.comment = 0
	case l.comment == '*' && c == '*' && after == '/':
		l.comment = 0
		return 2
	case l.comment != 0:
	case l.quoted && c == '\\':
		return 2
	case c == '"':
		l.quoted, l.last, l.path = !l.quoted, c, 0
	case l.quoted:
	case c == '/' && (after == '/' || after == '*'):
		l.comment = after
		return 2
	case c == '.':
		l.path, l.last = l.path+1, c
	case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_', c >= utf8.RuneSelf:
		if !word && l.last != '.' {
			l.path = 0
		}
		l.word, l.last = true, 'a'
	case c == ' ', c == '\t', c == '\r', c == '\n':
	default:
		l.last, l.path = max(c, 1), 0
	}
	return 1
}

// policy gives the length of the text's first policy and the longest path in it.
func (l *lexer) policy(text []byte) (end, path int) {
	for ended := false; end < len(text) && !ended; {
		ended = text[end] == ';' && !l.quoted && l.comment == 0
		end += l.next(text, end)
		path = max(path, l.path)
	}
	return min(end, len(text)), path
}

// blank refuses a piece that is more than blanks and comments to the parser.
func (p piece) blank() error {
	if list, err := cedar.NewPolicyListFromBytes("", p.text); err != nil || len(list) > 0 {
		return p.start.fault("the text behind the last policy does not parse")
	}
	return nil
}

// parse reads the one policy of a piece and says where it begins.
func (p piece) parse() (*cedar.Policy, place, error) {
	list, err := cedar.NewPolicyListFromBytes("", p.text)
	if err != nil {
		return nil, place{}, p.at(position(err)).fault("the policy does not parse here")
	}
	if len(list) != 1 {
		return nil, place{}, p.start.fault("the policy that begins here does not parse")
	}
	begin := list[0].Position()
	return list[0], p.at(place{begin.Line, begin.Column}), nil
}

// at turns a place in the piece into one in the whole text.
func (p piece) at(in place) place {
	if in.line <= 1 {
		return place{p.start.line, p.start.column + max(in.column, 1) - 1}
	}
	return place{p.start.line + in.line - 1, in.column}
}

// position takes the place out of a parser's error, and nothing else: the rest
// of its message quotes the text. The parser has no other way to say it; a
// message without a place means the beginning of the policy.
func position(err error) (at place) {
	_, where, found := strings.Cut(err.Error(), "<input>:")
	if !found {
		return place{}
	}
	if n, _ := fmt.Sscanf(where, "%d:%d", &at.line, &at.column); n != 2 {
		return place{}
	}
	return at
}
