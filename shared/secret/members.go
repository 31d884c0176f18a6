package secret

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// ErrNotObject means material that is not exactly one JSON object with
// distinct member names. It never says what the material is instead.
var ErrNotObject = errors.New("not one JSON object with distinct member names")

// Members reads the material as one JSON object (RFC 8259) and gives its
// top-level members. A member that is a non-empty string becomes a Value; a
// member of any other kind, or a string that cannot be decoded without loss,
// is there as the zero Value. Anything but one object is ErrNotObject, a
// repeated name included: two readers could disagree about which one counts.
func (v Value) Members() (map[string]Value, error) {
	text := v.Reveal()
	if !utf8.ValidString(text) {
		return nil, ErrNotObject
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, ErrNotObject
	}
	members := map[string]Value{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if _, repeated := members[name]; err != nil || !ok || repeated {
			return nil, ErrNotObject
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, ErrNotObject
		}
		members[name] = memberValue(raw)
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, ErrNotObject
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, ErrNotObject
	}
	return members, nil
}

// memberValue decodes one member. A replacement character stands for a lone
// surrogate that encoding/json could not decode, or for material that was
// damaged before it was stored: neither is the credential that was meant.
func memberValue(raw json.RawMessage) Value {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil || strings.ContainsRune(s, utf8.RuneError) {
		return Value{}
	}
	return New(s)
}
