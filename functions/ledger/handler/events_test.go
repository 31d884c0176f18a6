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

const eventFolder = "../../../events/ledger"

// outcome is what an event leads to: what Lambda is told, what is indexed, what
// is logged.
type outcome struct {
	Answer json.RawMessage `json:"answer,omitempty"`
	Error  string          `json:"error,omitempty"`
	Index  []broker.Entry  `json:"index"`
	Log    []string        `json:"log"`
}

// TestEvents runs each sample event through the real handler, as Lambda would,
// and holds what it does against its golden file.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, outcomeOf)
}

func outcomeOf(t *testing.T, file string) []byte {
	t.Helper()
	event, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture()
	f.table.rows, f.table.spoil = calls(2), []string{"01KJMMA2G10000000000000009"}
	var o outcome
	answer, err := f.ask(t, string(event))
	if err != nil {
		o.Error = err.Error()
	} else {
		o.Answer = json.RawMessage(answer)
	}
	o.Index = f.entries(t)
	o.Log = strings.Split(strings.TrimSpace(f.log.String()), "\n")
	out, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}
