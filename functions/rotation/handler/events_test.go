package handler

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/credential"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/rotation"

// outcome is what an event leads to: what Lambda is told, and what is logged.
type outcome struct {
	Answer *Report  `json:"answer,omitempty"`
	Error  string   `json:"error,omitempty"`
	Log    []string `json:"log"`
}

// TestEvents runs each sample event through the real handler and holds what it
// does against its golden file.
func TestEvents(t *testing.T) {
	files, err := filepath.Glob(eventFolder + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no sample events", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			event, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := outcomeOf(t, event)
			golden := filepath.Join("testdata", "events", name+".golden.json")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func outcomeOf(t *testing.T, event []byte) []byte {
	t.Helper()
	h, log := newHandler(&due{batches: []credential.Prefetched{{Refreshed: 2, Left: 1}}})
	var o outcome
	answer, err := h.Handle(t.Context(), event)
	if err != nil {
		o.Error = err.Error()
	} else {
		o.Answer = &answer
	}
	o.Log = strings.FieldsFunc(log.String(), func(r rune) bool { return r == '\n' })
	out, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}
