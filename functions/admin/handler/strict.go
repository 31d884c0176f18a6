package handler

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// unmarshal refuses a key that stands twice, and one that is not spelled as
// this API spells them: two readers could read two requests. It refuses what is
// too much before anything is made of it: each wrong place of a body costs work
// that grows with the names of all that it is in.
func unmarshal(data []byte, v any) error {
	if err := (&reader{Decoder: json.NewDecoder(bytes.NewReader(data))}).once(ownKeys, 0); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// What a body may be at most. The list and the name do not count in a document
// of another kind, where they are somebody else's.
const (
	maxDepth  = 32     // more than any body of this API is nested
	maxValues = 20_000 // of objects, lists and what is in them, together
	maxList   = 300    // more than any list of this API holds
	maxKey    = 1 << 10
)

var (
	errKey     = errors.New("a key stands twice or is misspelled, or the body is nested too deep")
	errTooMuch = errors.New("the body holds too many values, too long a list or too long a name")
)

// keys says how the keys of an object are spelled.
type keys int

const (
	ownKeys     keys = iota // as this API spells them
	nameKeys                // as somebody named the objects in it, whose keys are own ones again
	foreignKeys             // in any way, at any depth: a document of another kind, the arguments of a call
)

// of says how the keys in a member are spelled.
func (k keys) of(member string) keys {
	switch {
	case k == foreignKeys || k == ownKeys && (member == "document" || member == argumentsName):
		return foreignKeys
	case k == ownKeys && byName(member):
		return nameKeys
	}
	return ownKeys
}

// reader reads a body strictly, and counts what is in it.
type reader struct {
	*json.Decoder
	values int
}

// once reads one value and fails where an object repeats or misspells a key.
func (d *reader) once(k keys, depth int) error {
	if depth > maxDepth {
		return errKey
	}
	if d.values++; d.values > maxValues {
		return errTooMuch
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		for n := 0; d.More(); n++ {
			if n == maxList && k != foreignKeys {
				return errTooMuch
			}
			if err := d.once(k.of(""), depth+1); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		if err := d.eachOnce(k, depth); err != nil {
			return err
		}
	default:
		return nil
	}
	_, err = d.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (d *reader) eachOnce(k keys, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if len(name) > maxKey && k != foreignKeys {
			return errTooMuch
		}
		if seen[name] || k == ownKeys && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return errKey
		}
		seen[name] = true
		if err := d.once(k.of(name), depth+1); err != nil {
			return err
		}
	}
	return nil
}
