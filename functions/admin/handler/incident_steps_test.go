package handler

import (
	"strings"
	"testing"
)

// TestAMisspelledLeakIsNotTakenForAStoppedOne: of a secret that nothing uses the
// first thing to look at is its name; of one that a card uses it is not said.
func TestAMisspelledLeakIsNotTakenForAStoppedOne(t *testing.T) {
	f := newFixture(t)
	f.seed(t)
	const hint = "Look at the spelling"
	for reference, misspelled := range map[string]bool{"aws-sm:prod/notes#token": false, "aws-sm:prod/note#token": true} {
		for query, status := range map[string]int{"?dry_run=true": 200, "": 201} {
			a := f.call(t, "root", "POST", "/incidents"+query, `{"reference":"`+reference+`","reason":"pushed to a public repository"}`).want(t, status, "")
			if strings.Contains(a.Body.String(), hint) != misspelled {
				t.Errorf("%s%s: %s", reference, query, a.Body)
			}
		}
	}
}
