package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cedar-policy/cedar-go"
)

// MaxArguments is the longest text of arguments that is read, in bytes.
const MaxArguments = 1 << 20

var errArguments = errors.New("arguments that cannot be told in Cedar")

// spellings are the names of members that policies mention, by their folded
// form: a name may be mentioned in several spellings.
type spellings map[string][]string

func (s spellings) add(name string) {
	for _, known := range s[fold(name)] {
		if known == name {
			return
		}
	}
	s[fold(name)] = append(s[fold(name)], name)
}

// fold is equal for names that differ by case only (Unicode simple folding, as
// encoding/json and others compare them).
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, name)
}

// reader turns JSON into Cedar's values, strictly: what two readers of the same
// bytes may understand differently is an error. One difference is common enough
// to be read both ways: some upstreams take "Path" for "path".
type reader struct {
	tokens *json.Decoder
	room   int
	known  spellings
	folds  bool // take a known name in another case for the known one
	other  bool // there was one
}

// readArguments reads one JSON object; nothing stands for an empty one. other
// says that some name is one that policies mention, but for its case: then the
// arguments are to be read with folds as well.
func readArguments(raw []byte, known spellings, folds bool) (args cedar.Record, other bool, err error) {
	if len(raw) == 0 {
		return cedar.Record{}, false, nil
	}
	if len(raw) > MaxArguments {
		return cedar.Record{}, false, errArguments
	}
	r := reader{tokens: json.NewDecoder(bytes.NewReader(raw)), room: MaxValues, known: known, folds: folds}
	r.tokens.UseNumber()
	if open, err := r.tokens.Token(); err != nil || open != json.Delim('{') {
		return cedar.Record{}, false, errArguments
	}
	args, err = r.object(0)
	if err != nil {
		return cedar.Record{}, false, err
	}
	if _, err := r.tokens.Token(); !errors.Is(err, io.EOF) {
		return cedar.Record{}, false, errArguments
	}
	return args, r.other, nil
}

func (r *reader) object(depth int) (cedar.Record, error) {
	out := cedar.RecordMap{}
	for r.tokens.More() {
		t, err := r.tokens.Token()
		name, ok := t.(string)
		if err != nil || !ok || !whole(name) {
			return cedar.Record{}, errArguments
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return cedar.Record{}, err
		}
		for _, as := range r.names(name) {
			if _, twice := out[cedar.String(as)]; twice {
				return cedar.Record{}, errArguments
			}
			out[cedar.String(as)] = v
		}
	}
	if _, err := r.tokens.Token(); err != nil {
		return cedar.Record{}, errArguments
	}
	return cedar.NewRecord(out), nil
}

// names gives the names under which policies find a member.
func (r *reader) names(name string) []string {
	known := r.known[fold(name)]
	if len(known) == 0 || len(known) == 1 && known[0] == name {
		return []string{name}
	}
	if r.other = true; r.folds {
		return known
	}
	return []string{name}
}

func (r *reader) list(depth int) (cedar.Value, error) {
	var out []cedar.Value
	for r.tokens.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if _, err := r.tokens.Token(); err != nil {
		return nil, errArguments
	}
	return cedar.NewSet(out...), nil
}

func (r *reader) value(depth int) (cedar.Value, error) {
	if r.room--; r.room < 0 || depth > MaxDepth {
		return nil, errArguments
	}
	t, err := r.tokens.Token()
	if err != nil {
		return nil, errArguments
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return r.object(depth)
		}
		return r.list(depth)
	case string:
		if !whole(t) {
			return nil, errArguments
		}
		return cedar.String(t), nil
	case json.Number:
		if len(t) > maxNumber {
			return nil, errArguments
		}
		return number(t.String()), nil
	case bool:
		return cedar.Boolean(t), nil
	}
	return cedar.NewEntityUID(unrepresentable, "null"), nil
}

// whole refuses what stands for bytes that are no text, or for half of a
// surrogate pair: readers disagree about what that means.
func whole(text string) bool { return !strings.ContainsRune(text, utf8.RuneError) }
