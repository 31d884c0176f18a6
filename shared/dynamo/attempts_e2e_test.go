//go:build e2e

package dynamo_test

import (
	"context"
	"maps"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/dynamo"
)

func begin(s *dynamo.DB, a broker.Attempt) error {
	_, err := s.BeginAttempt(context.Background(), a)
	return err
}

// testAttemptRows alters an attempt one attribute at a time. None may read as
// an absence: that would change twice what was to be changed once.
func testAttemptRows(t *testing.T, e endpoint) {
	s, _, tables := e.behind(t, at(noon))
	env, c := environment(), client(e.url, patient)
	must(t, begin(s, attempt(env, "r-1")))
	rows := dump(t, c, tables.Transient, env)
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	for name, spoil := range map[string]func(row){
		"a later schema":       func(r row) { r["schema"] = number("2") },
		"no schema":            func(r row) { delete(r, "schema") },
		"another environment":  func(r row) { r["environment"] = text("staging") },
		"another key":          func(r row) { r["key"] = text("other") },
		"no receipt":           func(r row) { delete(r, "receipt") },
		"no status":            func(r row) { delete(r, "status") },
		"a status unheard of":  func(r row) { r["status"] = number("7") },
		"no beginning":         func(r row) { delete(r, "begun") },
		"a beginning as words": func(r row) { r["begun"] = text("yesterday") },
	} {
		bad := maps.Clone(rows[0])
		spoil(bad)
		putRaw(t, c, tables.Transient, bad)
		if a, err := s.BeginAttempt(t.Context(), attempt(env, "r-2")); err == nil || a.Receipt != "" {
			t.Fatalf("%s: %+v counts", name, a)
		}
	}
	putRaw(t, c, tables.Transient, rows[0])
	must(t, s.EndAttempt(t.Context(), ended(attempt(env, "r-1"))))
}
