package handler

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/brokertest/samples"
	"bindery/shared/revoke"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

const eventFolder = "../../../events/cleanup"

// outcome is what an event leads to: what Lambda is told, what is asked of others,
// and how the open cases stand.
type outcome struct {
	Answer   any      `json:"answer,omitempty"`
	Error    string   `json:"error,omitempty"`
	Upstream []string `json:"upstream,omitempty"` // sessions that were ended
	Revoked  []string `json:"revoked,omitempty"`  // tokens
	Cases    []string `json:"cases,omitempty"`
	Log      []string `json:"log"`
}

// TestEvents runs each sample event through the real handler, in a deployment
// where a person has a session and a grant, and holds what it does against its
// golden file.
func TestEvents(t *testing.T) {
	samples.Run(t, eventFolder, *update, func(t *testing.T, file string) []byte {
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return outcomeOf(t, string(event))
	})
}

// The cases that the samples name, one of which was never stored.
const (
	sampleCase   = "01KJMMA2G07000000000000000"
	sampleOrphan = "01KJMMA2G07000000000000001"
)

func outcomeOf(t *testing.T, event string) []byte {
	t.Helper()
	w := newWorld(t)
	w.session(1, "github")
	w.grant(1, "files")
	_, err := w.revoker.Revoke(t.Context(), revoke.Order{ID: sampleCase, Kind: broker.PrincipalMarker, Subject: person(1), By: leader, Reason: "left the company"})
	w.must(err)
	if strings.Contains(event, sampleOrphan) {
		w.must(w.tables.PutMarker(t.Context(), broker.Marker{Environment: "prod", Kind: broker.ServerMarker, ID: "github", Epoch: 1, Revoked: true,
			At: w.time(), By: "event/made-up/1", Reason: "taken over", Revocation: sampleOrphan}))
	}
	var o outcome
	answer, err := w.handler().Handle(t.Context(), json.RawMessage(event))
	if err != nil {
		o.Error = err.Error()
	} else {
		o.Answer = answer
	}
	o.Upstream = w.upstream.asked
	o.Revoked = slices.Sorted(maps.Keys(w.provider.revoked))
	for _, id := range []string{sampleCase, sampleOrphan} {
		c, err := w.tables.Revocation(t.Context(), "prod", id)
		if err == nil {
			text, err := json.Marshal(map[string]any{"id": c.ID, "subject": string(c.Kind) + " " + c.Subject, "via": c.Via, "work": c.Work, "tries": c.Tries,
				"sessions": c.Sessions, "grants": c.Grants, "told": len(w.tables.Records(broker.ReceiptOf(c.At, "fact", "prod", c.ID)))})
			w.must(err)
			o.Cases = append(o.Cases, string(text))
		}
	}
	for _, line := range strings.FieldsFunc(w.log.String(), func(r rune) bool { return r == '\n' }) {
		var members map[string]any
		w.must(json.Unmarshal([]byte(line), &members))
		delete(members, "time")
		text, err := json.Marshal(members)
		w.must(err)
		o.Log = append(o.Log, string(text))
	}
	out, err := json.MarshalIndent(o, "", "  ")
	w.must(err)
	return append(out, '\n')
}
