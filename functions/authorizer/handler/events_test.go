package handler

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/samples"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/authorizer"

// TestEvents runs each sample event through the real handler, as Lambda would,
// and holds the answer against its golden file.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, func(t *testing.T, file string) []byte { return answerTo(t, newFixture(t), file) })
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
