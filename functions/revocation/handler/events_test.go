package handler

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/samples"
	"bindery/shared/revoke"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/revocation"

// outcome is what an event leads to: what Lambda is told, which cases there are,
// what is logged.
type outcome struct {
	Answer *revoke.Answer `json:"answer,omitempty"`
	Error  string         `json:"error,omitempty"`
	Cases  []string       `json:"cases"`
	Log    []string       `json:"log"`
}

// TestEvents runs each sample event through the real handler, where a server has
// been revoked before, and holds what it does against its golden file.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, func(t *testing.T, file string) []byte {
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture()
		if _, err := f.revoker.Revoke(t.Context(), revoke.Order{ID: "01KJMMA2G00000000000000000", Kind: broker.ServerMarker, Subject: "github", By: "p-admin", Reason: "taken over"}); err != nil {
			t.Fatal(err)
		}
		var o outcome
		answer, err := f.Handle(t.Context(), event)
		if err != nil {
			o.Error = err.Error()
		} else {
			o.Answer = &answer
		}
		for _, c := range f.cases(t) {
			o.Cases = append(o.Cases, fmt.Sprintf("%s: %s %s, epoch %d, lifts %t, by %s: %s", c.ID, c.Kind, c.Subject, c.Epoch, c.Lifts, c.By, c.Reason))
		}
		o.Log = strings.FieldsFunc(f.log.String(), func(r rune) bool { return r == '\n' })
		out, err := json.MarshalIndent(o, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return append(out, '\n')
	})
}
