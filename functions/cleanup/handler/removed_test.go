package handler

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestAMarkerThatSomebodyRemovesIsTold: nothing else would say that what it stopped
// goes on. That a case is no longer open is nothing to tell.
func TestAMarkerThatSomebodyRemovesIsTold(t *testing.T) {
	for keys, told := range map[string]bool{
		`{"pk":{"S":"marker/prod/principal/p-alice"},"sk":{"S":"marker"}}`: true,
		`{"pk":{"S":"markers/prod/github"},"sk":{"S":"server"}}`:           true,
		`{"pk":{"S":"markers/prod#3"},"sk":{"S":"group/staff"}}`:           true,
		`{"pk":{"S":"revocations/prod"},"sk":{"S":"case/01K"}}`:            true,
		`{"pk":{"S":"marker/prod/agent/open"},"sk":{"S":"open/marker"}}`:   true,
		`{}`: true,
		`{"pk":{"S":"revocations/prod"},"sk":{"S":"open/01K"}}`: false,
	} {
		w := newWorld(t)
		_, err := w.handler().Handle(t.Context(), json.RawMessage(`{"Records":[{"eventName":"REMOVE","dynamodb":{"SequenceNumber":"1","Keys":`+keys+`}}]}`))
		w.must(err)
		if strings.Contains(w.log.String(), `"AuditChanged":1`) != told || strings.Contains(w.log.String(), "p-alice") {
			t.Errorf("%s: %s", keys, w.log)
		}
	}
}
