package handler

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/authorizer"

// TestEvents runs each sample event through the real handler, as Lambda would,
// and holds the answer against its golden file.
func TestEvents(t *testing.T) {
	files, err := filepath.Glob(eventFolder + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no sample events", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			answer := answerTo(t, newFixture(t), file)
			golden := filepath.Join("testdata", "events", name+".golden.json")
			if *update {
				if err := os.WriteFile(golden, answer, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(answer)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// answerTo is a policy, or the message by which API Gateway tells errors apart.
func answerTo(t *testing.T, f *fixture, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tokens := strings.NewReplacer("Bearer TOKEN", "Bearer "+f.token("mcp"), "Bearer NARROW", "Bearer "+f.token("other"))
	var e request
	if err := json.Unmarshal([]byte(tokens.Replace(string(text))), &e); err != nil {
		t.Fatal(err)
	}
	var said any
	answer, err := f.Authorize(t.Context(), e)
	if said = answer; err != nil {
		said = map[string]string{"errorMessage": err.Error()}
	}
	out, err := json.MarshalIndent(said, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	principal := broker.PrincipalID(f.issuer.Issuer(), "alice")
	return append([]byte(strings.ReplaceAll(string(out), principal, "PRINCIPAL")), '\n')
}
