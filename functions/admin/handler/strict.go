package handler

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// unmarshal refuses a key that stands twice, and one that is not spelled as
// this API spells them: two readers could read two requests.
func unmarshal(data []byte, v any) error {
	if err := once(json.NewDecoder(bytes.NewReader(data)), ownKeys, 0); err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// maxDepth is how deep a body may be nested: more than any of this API is.
const maxDepth = 32

var errKey = errors.New("a key stands twice or is misspelled, or the body is nested too deep")

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

// once reads one value and fails where an object repeats or misspells a key.
func once(d *json.Decoder, k keys, depth int) error {
	if depth > maxDepth {
		return errKey
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		for d.More() {
			if err := once(d, k.of(""), depth+1); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		if err := eachOnce(d, k, depth); err != nil {
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

func eachOnce(d *json.Decoder, k keys, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if seen[name] || k == ownKeys && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return errKey
		}
		seen[name] = true
		if err := once(d, k.of(name), depth+1); err != nil {
			return err
		}
	}
	return nil
}
