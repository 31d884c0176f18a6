package mask_test

import (
	"strings"
	"testing"

	"bindery/shared/mask"
	"bindery/shared/secret"
)

// An upstream that reads its headers as Latin-1 (Node's http module does)
// echoes a value beyond ASCII as other characters.
func TestAValueMisreadAsLatin1IsReplaced(t *testing.T) {
	const value = "p\u00e4sswort-Gr\u00f6\u00dfe-42"
	m, err := mask.New(mask.Secret{Value: secret.New(value), Placeholder: "[masked:a]"})
	if err != nil {
		t.Fatal(err)
	}
	misread := strings.NewReplacer("\u00e4", "\u00c3\u00a4", "\u00f6", "\u00c3\u00b6", "\u00df", "\u00c3\u009f").Replace(value)
	for _, text := range []string{value, misread} {
		if out, n := m.String(`{"echo":"` + text + `"}`); n != 1 || out != `{"echo":"[masked:a]"}` {
			t.Errorf("%q became %q", text, out)
		}
	}
}
