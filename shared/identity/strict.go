package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"bindery/shared/broker"

	strict "github.com/go-jose/go-jose/v4/json"
)

// faults collects what is wrong with a document, so that its writer sees all
// of it at once.
type faults []string

func (f *faults) add(at, format string, args ...any) {
	fault := at + ": " + fmt.Sprintf(format, args...)
	if !slices.Contains(*f, fault) {
		*f = append(*f, fault)
	}
}

func (f *faults) addErr(at string, err error) {
	if err != nil {
		f.add(at, "%s", err)
	}
}

func (f faults) err(what string) error {
	return fmt.Errorf("%w %s: %s", broker.ErrInvalid, what, strings.Join(f, "; "))
}

var errNotObject = errors.New("not one JSON object in UTF-8")

// strictObject decodes one JSON object and refuses duplicate keys at every
// level: two readers of the same bytes must not see two different tokens.
func strictObject(raw []byte) (map[string]any, error) {
	if !utf8.Valid(raw) {
		return nil, errNotObject
	}
	var v any
	if err := strict.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errNotObject
	}
	return object, nil
}

// decodeStrict fills v, and reports duplicate keys, keys v does not have
// (a different case is a different key) and values of the wrong type.
func decodeStrict(raw []byte, v any, f *faults) {
	tree, err := strictObject(raw)
	if err != nil {
		f.add("JSON", "%s", err)
		return
	}
	unknownKeys("", tree, reflect.TypeOf(v).Elem(), f)
	if err := json.Unmarshal(raw, v); err != nil {
		f.add("JSON", "%s", err)
	}
}

func unknownKeys(at string, value any, t reflect.Type, f *faults) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := value.(type) {
	case []any:
		for n, element := range value {
			if t.Kind() == reflect.Slice {
				unknownKeys(fmt.Sprintf("%s[%d]", at, n), element, t.Elem(), f)
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return
		}
		known := map[string]reflect.Type{}
		for n := range t.NumField() {
			if name, _, _ := strings.Cut(t.Field(n).Tag.Get("json"), ","); name != "" {
				known[name] = t.Field(n).Type
			}
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			path := strings.TrimPrefix(at+"."+key, ".")
			if field, ok := known[key]; ok {
				unknownKeys(path, value[key], field, f)
			} else {
				f.add(path, "unknown field")
			}
		}
	}
}
