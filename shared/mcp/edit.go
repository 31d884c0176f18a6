package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"bindery/shared/broker"
)

// Sees says which elements of an upstream's lists the caller may use. All four
// must be set.
type Sees struct {
	Tool     func(name string) bool
	Prompt   func(name string) bool
	Resource func(uri string) bool
	Template func(uriTemplate string) bool
}

var (
	resultKeys = []string{"tools", "prompts", "resources", "resourceTemplates", "cacheScope", "resultType"}

	errNotList  = errors.New("a list with an element that has no readable name")
	errReserved = errors.New("mcp: answer refused: it asks in a name that is Bindery's own")
)

// EditResult gives the caller's version of one JSON message that the upstream
// sent in answer to m: a whole body, or the data of one event. What may be
// edited are answers to lists, server/discover and resources/read, and
// everything on a stream that lasts, where such an answer can be replayed. All
// others, empty data, errors and results without the members below come back
// as they are, uncopied.
//
// Two edits are made, both at the top level of result only, and every other
// byte stays. From tools, prompts, resources and resourceTemplates the elements
// are cut that the caller may not use: those that see refuses, and those whose
// name Parse would refuse in a call. A nil see cuts nothing. And cacheScope
// becomes "private", because what was answered with this caller's credential is
// for nobody else; in revision 2026-07-28, which demands the member and whose
// clients read its absence as "public", it is added where it is missing.
//
// An error means that two readers could see two different lists: a judged key
// stands twice or in another case, an element has no readable name, or the
// message is not one JSON object; or that the upstream asks for input in a name
// that Bindery keeps for its own questions. Then the answer must be replaced.
func (m *Message) EditResult(answer []byte, see *Sees) (edited []byte, changed bool, err error) {
	if m.Asks() && reserved(answer) {
		return nil, false, errReserved
	}
	cacheable := m.Action == broker.List || m.Method == "server/discover" || m.Method == "resources/read"
	if !cacheable && !m.Lasting || len(bytes.TrimSpace(answer)) == 0 {
		return answer, false, nil
	}
	if !utf8.Valid(answer) {
		return nil, false, fmt.Errorf("mcp: answer unreadable: %w", errSyntax)
	}
	e := &editor{see: see, scoped: m.Modern && cacheable}
	if err := lax(answer).document(e.top); err != nil {
		return nil, false, fmt.Errorf("mcp: answer unreadable: %w", err)
	}
	if len(e.splices) == 0 {
		return answer, false, nil
	}
	return e.apply(answer), true, nil
}

// splice replaces b[from:to].
type splice struct {
	from, to int
	with     string
}

// editor collects splices in the order of the message.
type editor struct {
	see     *Sees
	scoped  bool // add cacheScope where it is missing
	splices []splice

	seenTop, seenResult uint // known keys met so far, by index
	last                int  // end of the last member of result
	interim             bool // resultType is input_required: no result to cache
}

// cut removes b[from:to]; neighbours become one.
func (e *editor) cut(from, to int) {
	if n := len(e.splices); n > 0 && e.splices[n-1].to == from && e.splices[n-1].with == "" {
		e.splices[n-1].to = to
		return
	}
	e.splices = append(e.splices, splice{from: from, to: to})
}

func (e *editor) apply(b []byte) []byte {
	size := len(b)
	for _, p := range e.splices {
		size += len(p.with) - (p.to - p.from)
	}
	out, at := make([]byte, 0, size), 0
	for _, p := range e.splices {
		out = append(append(out, b[at:p.from]...), p.with...)
		at = p.to
	}
	return append(out, b[at:]...)
}

func (e *editor) top(s *scanner, key []byte, depth int) error {
	if err := once(key, topKeys, &e.seenTop); err != nil {
		return err
	}
	if string(key) != "result" || s.peek() != '{' {
		return s.value(depth)
	}
	open := s.i + 1
	if err := s.object(depth+1, e.result); err != nil {
		return err
	}
	hasScope := e.seenResult&(1<<slices.Index(resultKeys, "cacheScope")) != 0
	switch {
	case !e.scoped || hasScope || e.interim:
	case e.last == 0:
		e.splices = append(e.splices, splice{open, open, `"cacheScope":"private"`})
	default:
		e.splices = append(e.splices, splice{e.last, e.last, `,"cacheScope":"private"`})
	}
	return nil
}

func (e *editor) result(s *scanner, key []byte, depth int) error {
	err := once(key, resultKeys, &e.seenResult)
	name := string(key)
	switch {
	case err != nil:
		return err
	case name == "cacheScope":
		err = e.scope(s, depth)
	case name == "resultType":
		var raw []byte
		raw, err = s.raw(depth)
		kind, _ := text(raw)
		e.interim = string(kind) == "input_required"
	case e.see == nil:
		err = s.value(depth)
	case name == "tools":
		err = e.list(s, depth, "name", e.see.Tool)
	case name == "prompts":
		err = e.list(s, depth, "name", e.see.Prompt)
	case name == "resources":
		err = e.list(s, depth, "uri", e.see.Resource)
	case name == "resourceTemplates":
		err = e.list(s, depth, "uriTemplate", e.see.Template)
	default:
		err = s.value(depth)
	}
	e.last = s.i
	return err
}

func (e *editor) scope(s *scanner, depth int) error {
	start := s.i
	raw, err := s.raw(depth)
	if scope, _ := text(raw); string(scope) != "private" {
		e.splices = append(e.splices, splice{start, s.i, `"private"`})
	}
	return err
}

// list cuts elements out. Behind a kept element a cut takes the comma before
// it along, in front of the first kept one the comma after it.
func (e *editor) list(s *scanner, depth int, key string, may func(string) bool) error {
	switch s.peek() {
	case '[':
	case 'n':
		return s.value(depth)
	default:
		return errNotList
	}
	kept, leading, end := false, -1, 0
	known := []string{key}
	err := s.array(depth+1, func(s *scanner, depth int) error {
		start := s.i
		name, err := element(s, depth, known)
		if err != nil {
			return err
		}
		switch stays := usable(name) && may(string(name)); {
		case stays && !kept && leading >= 0:
			e.cut(leading, start)
			kept = true
		case stays:
			kept = true
		case kept:
			e.cut(end, s.i)
		case leading < 0:
			leading = start
		}
		end = s.i
		return nil
	})
	if !kept && leading >= 0 {
		e.cut(leading, end)
	}
	return err
}

// element scans one element of a list and gives the name it is judged by.
func element(s *scanner, depth int, known []string) (name []byte, err error) {
	if s.peek() != '{' {
		return nil, errNotList
	}
	var raw []byte
	var seen uint
	err = s.object(depth+1, func(s *scanner, key []byte, depth int) (err error) {
		if err := once(key, known, &seen); err != nil {
			return err
		}
		if string(key) != known[0] {
			return s.value(depth)
		}
		raw, err = s.raw(depth)
		return err
	})
	name, whole := text(raw)
	if err == nil && !whole {
		err = errNotList
	}
	return name, err
}

// once refuses a key that some reader takes for a known one without its being
// it, and a known key that stands twice.
func once(key []byte, known []string, seen *uint) error {
	if i := slices.Index(known, string(key)); i >= 0 {
		if *seen&(1<<i) != 0 {
			return errDuplicate
		}
		*seen |= 1 << i
		return nil
	}
	if bytes.ContainsFunc(key, unreadable) || folds(key, known) {
		return errKey
	}
	return nil
}

// unreadable are the characters at which readers stop, or which they drop.
func unreadable(r rune) bool {
	return r < ' ' || r > '~' && (r == utf8.RuneError || unicode.IsControl(r))
}
