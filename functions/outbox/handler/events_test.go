package handler

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"bindery/shared/brokertest/samples"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/outbox"

// outcome is what an event leads to: what Lambda is told, what is sent, what is
// logged.
type outcome struct {
	Answer any      `json:"answer,omitempty"`
	Error  string   `json:"error,omitempty"`
	Sent   []sent   `json:"sent"`
	Log    []string `json:"log"`
}

type sent struct {
	Type   string          `json:"type"`
	Detail json.RawMessage `json:"detail"`
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
	bus := &shelf{}
	h, log := newHandler(bus)
	o := outcome{Sent: []sent{}}
	answer, err := h.Handle(t.Context(), event)
	if err != nil {
		o.Error = err.Error()
	} else {
		o.Answer = answer
	}
	for _, e := range bus.taken {
		o.Sent = append(o.Sent, sent{e.Type, e.Detail})
	}
	o.Log = strings.FieldsFunc(log.String(), func(r rune) bool { return r == '\n' })
	out, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}
