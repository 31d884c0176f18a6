package handler

import (
	"crypto/rand"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/samples"
	"bindery/shared/credential"
	"bindery/shared/drift"
	"bindery/shared/memory"
	"bindery/shared/rotate"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/rotation"

// outcome is what an event leads to: what Lambda is told, and what is logged.
type outcome struct {
	Answer any      `json:"answer,omitempty"`
	Error  string   `json:"error,omitempty"`
	Log    []string `json:"log"`
}

// TestEvents runs each sample event through the real handler and holds what it
// does against its golden file.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, func(t *testing.T, file string) []byte {
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return outcomeOf(t, event)
	})
}

func outcomeOf(t *testing.T, event []byte) []byte {
	t.Helper()
	h, log := newHandler(&due{batches: []credential.Prefetched{{Refreshed: 2, Left: 1}}})
	h.drift, h.account = &search{report: drift.Report{Looked: 40, Changed: 1, Open: 2, Done: true}}, own
	tables := memory.New(h.now)
	h.incidents, h.journal = tables, broker.NewJournal(tables, rand.Text)
	h.rotations = &turning{report: rotate.Report{Begun: 1, Worked: 3, Ended: 2, Done: true}}
	h.sealed = reencryption{&texts{rows: []string{"old 0", "new 1", "old 2", "old 3", "altered 4"}, page: 2}, &keys{}}
	h.managed = managed{engine: &announcing{}, secrets: &announcing{}}
	var o outcome
	answer, err := h.Handle(t.Context(), event)
	if err != nil {
		o.Error = err.Error()
	} else {
		o.Answer = answer
	}
	o.Log = strings.FieldsFunc(log.String(), func(r rune) bool { return r == '\n' })
	out, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}
