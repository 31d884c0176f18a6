package handler

import (
	"strings"
	"testing"

	"bindery/shared/events"
)

// TestEachOperationIsTold: whatever each operation records, when it is done once,
// is an event of the catalogue, or none.
func TestEachOperationIsTold(t *testing.T) {
	c := newContract(t)
	c.exercise(t)
	told := map[string]bool{}
	for _, r := range c.tables.Log() {
		e, ok, err := events.Of(r)
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.Object, err)
		}
		if ok {
			told[e.Type] = true
		}
	}
	for _, k := range events.Kinds() {
		pages := strings.HasSuffix(k.Operation, "-consent") || strings.HasSuffix(k.Operation, "-connection") // of the connect function
		if k.Operation != "" && !pages && !told[k.Type] {
			t.Errorf("%s was done, and there is no %s", k.Operation, k.Type)
		}
	}
}
