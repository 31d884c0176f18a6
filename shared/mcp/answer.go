package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// IsResponseTo reports whether data is the response or error to the request
// with this id. Ids compare as JSON values: escapes and number forms do not
// matter. What is not a JSON object is not a response.
func IsResponseTo(data []byte, id json.RawMessage) bool {
	var answered, outcome, method bool
	s := lax(data)
	err := s.document(func(s *scanner, key []byte, depth int) error {
		start := s.i
		if err := s.value(depth); err != nil {
			return err
		}
		switch string(key) {
		case "id":
			answered = sameID(s.b[start:s.i], id)
		case "result", "error":
			outcome = true
		case "method":
			method = true
		}
		return nil
	})
	return err == nil && answered && outcome && !method
}

func sameID(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 || a[0] == 'n' || b[0] == 'n' {
		return false
	}
	if bytes.Equal(a, b) {
		return true
	}
	if a[0] == '"' || b[0] == '"' {
		left, wholeLeft := text(a)
		right, wholeRight := text(b)
		return wholeLeft && wholeRight && bytes.Equal(left, right)
	}
	if len(a) > maxNumber || len(b) > maxNumber {
		return false
	}
	left, errLeft := strconv.ParseFloat(string(a), 64)
	right, errRight := strconv.ParseFloat(string(b), 64)
	return errLeft == nil && errRight == nil && left == right
}

// Keys whose values the protocol compares or hands back, wherever they stand
// in a message outside of free content.
var protectedKeys = []string{"nextCursor", "cursor", "requestState", "progressToken", "taskId", "taskIds",
	"elicitationId", "requestId", "resultType", "protocolVersion", metaVersionKey,
	metaPrefix + "subscriptionId", metaPrefix + "related-task"}

// Keys of the message itself.
var envelopeKeys = []string{"jsonrpc", "id", "method"}

// Keys below which everything is content that may be masked.
var freeKeys = []string{"content", "structuredContent", "contents", "messages", "arguments",
	"inputSchema", "outputSchema", "requestedSchema"}

// Protected gives the raw values (with their quotes) of a message from
// upstream that must reach the caller as they are, because the protocol
// compares them or hands them back: id, jsonrpc and method of the message,
// cursors, request states, progress tokens, task and elicitation ids. A secret
// inside one of them cannot be masked; the answer must be replaced.
//
// A message that does not scan as one JSON object, or repeats a key, gives an
// error: then nothing is known about it, and it must be replaced as well.
func Protected(msg []byte) ([][]byte, error) {
	p := &protector{}
	s := &scanner{b: msg, depth: maxLaxDepth, unique: true}
	if err := s.document(p.top); err != nil {
		return nil, fmt.Errorf("mcp: answer unreadable: %w", err)
	}
	return p.spans, nil
}

type protector struct{ spans [][]byte }

func (p *protector) top(s *scanner, key []byte, depth int) error {
	if folds(key, envelopeKeys) {
		return p.keep(s, depth)
	}
	return p.member(s, key, depth)
}

func (p *protector) member(s *scanner, key []byte, depth int) error {
	switch {
	case folds(key, protectedKeys):
		return p.keep(s, depth)
	case slices.Contains(freeKeys, string(key)):
		return s.value(depth)
	}
	return p.walk(s, depth)
}

func (p *protector) walk(s *scanner, depth int) error {
	switch s.peek() {
	case '{':
		return s.object(depth+1, p.member)
	case '[':
		return s.array(depth+1, p.walk)
	}
	return s.value(depth)
}

func (p *protector) keep(s *scanner, depth int) error {
	raw, err := s.raw(depth)
	p.spans = append(p.spans, raw)
	return err
}
