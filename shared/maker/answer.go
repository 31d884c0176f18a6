package maker

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	// encoding/json takes a repeated name without a word.
	strict "github.com/go-jose/go-jose/v4/json"

	"bindery/shared/secret"
)

const maxText = 16 << 10

// answer is one JSON document whose names are distinct at every level.
type answer struct{ root any }

func parse(body []byte) (answer, error) {
	var a answer
	if !utf8.Valid(body) || strict.Unmarshal(body, &a.root) != nil {
		return answer{}, fmt.Errorf("the answer is no JSON with distinct names")
	}
	return a, nil
}

// text reads the text, or number, at a JSON pointer (RFC 6901).
func (a answer) text(pointer string) (secret.Value, error) {
	at := a.root
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch node := at.(type) {
		case map[string]any:
			at = node[token]
		case []any:
			i, err := strconv.ParseUint(token, 10, 16)
			if err != nil || int(i) >= len(node) || strconv.FormatUint(i, 10) != token {
				return secret.Value{}, fmt.Errorf("the answer has nothing at the pointer")
			}
			at = node[i]
		default:
			return secret.Value{}, fmt.Errorf("the answer has nothing at the pointer")
		}
	}
	if number, ok := at.(float64); ok && number == float64(int64(number)) && number >= 0 && number < 1<<53 {
		at = strconv.FormatInt(int64(number), 10) // some name their keys so
	}
	text, ok := at.(string)
	if !ok || text == "" || len(text) > maxText || strings.ContainsRune(text, utf8.RuneError) {
		return secret.Value{}, fmt.Errorf("the answer has no text at the pointer")
	}
	return secret.New(text), nil
}
