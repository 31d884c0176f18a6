package secret

import (
	"bytes"
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

// WithMember gives the object with one member changed, or added; what the others
// hold stays as it is written, their order does not. Material that is not one
// object is ErrNotObject, and so is a member that JSON could not carry unchanged.
func (v Value) WithMember(name string, member Value) (Value, error) {
	if _, err := v.Members(); err != nil {
		return Value{}, err
	}
	text := member.Reveal()
	if text == "" || !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		return Value{}, ErrNotObject
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(v.Reveal()), &members); err != nil {
		return Value{}, ErrNotObject
	}
	var changed, whole bytes.Buffer
	if err := plainEncoder(&changed).Encode(text); err != nil {
		return Value{}, ErrNotObject
	}
	members[name] = changed.Bytes()
	if err := plainEncoder(&whole).Encode(members); err != nil {
		return Value{}, ErrNotObject
	}
	return New(strings.TrimSuffix(whole.String(), "\n")), nil
}

// plainEncoder leaves <, > and & as they are.
func plainEncoder(to io.Writer) *json.Encoder {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	return e
}
