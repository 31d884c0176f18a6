//go:build e2e

package compiled

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/brokertest/emf"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

// TestTheLedgerFunctionIndexesTheStreamAndTheTable, started with the settings of
// the template and nothing else.
func TestTheLedgerFunctionIndexesTheStreamAndTheTable(t *testing.T) {
	w := &world{dir: t.TempDir()}
	w.binary = filepath.Join(w.dir, "bootstrap")
	runtimeapi.Build(t, w.binary, []string{"ledger"})
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	_, w.Deployment = deploy(t, moto.URL)
	settings := w.settingsOf(func(s config.Setting) bool { return s.For("ledger") })
	function, err := runtimeapi.Start(t.Context(), w.binary, w.as(t, "ledger", settings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { function.Stop() })
	event, err := os.ReadFile("../../events/ledger/records.json")
	if err != nil {
		t.Fatal(err)
	}
	answers(t, function, string(event), `{"batchItemFailures":[]}`)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := broker.AuditFilter{Environment: "prod", From: at.Add(-time.Hour), To: at.Add(time.Hour)}
	if page, err := w.DB.Entries(t.Context(), f, "", 10); err != nil || len(page.Entries) != 3 {
		t.Errorf("%+v, %v", page, err)
	}
	stored := broker.Record{Schema: broker.RecordSchema, Receipt: broker.FirstReceipt(at) + "7000000000000000", Phase: broker.Refused, Nonce: "n", At: at,
		Environment: "prod", Principal: "p-bob", Kind: broker.User, Reason: broker.NoBinding, Status: 403}
	if err := w.DB.Append(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	answers(t, function, `{"rebuild":{"segment":0,"segments":1}}`, `{"records":1,"unreadable":0,"done":true}`)
	f.Principal = "p-bob"
	if page, err := w.DB.Entries(t.Context(), f, "", 10); err != nil || len(page.Entries) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	w.looksForIntents(t, function)
	function.Stop()
	lines, err := emf.ReadAll(function.Stdout())
	if err != nil || emf.Sum(lines, "IntentRuns") != 2 || len(lines) == 0 || lines[0].Dimensions["Environment"] != environment {
		t.Errorf("%v; it said %s", err, function.Stdout())
	}
}

// looksForIntents has it find an intent without outcome, with the rights of its
// role, once.
func (w *world) looksForIntents(t *testing.T, function *runtimeapi.Function) {
	t.Helper()
	now := time.Now().UTC()
	lost := broker.Record{Schema: broker.RecordSchema, Receipt: broker.FirstReceipt(now.Add(-time.Hour)) + "7000000000000000", Phase: broker.Intent, Nonce: "n",
		At: now.Add(-time.Hour), Environment: environment, Server: "raw", Principal: "p-bob", Kind: broker.User, Method: "tools/call", Action: broker.CallTool}
	err := errors.Join(w.DB.Append(t.Context(), lost), w.DB.IndexRecords(t.Context(), []broker.Record{lost}),
		w.DB.MoveLooked(t.Context(), environment, time.Time{}, now.Add(-2*time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"without":1,"done":true}`, `"without":0,"done":true}`} {
		response, err := function.Invoke(t.Context(), []byte(`{"task":"intents"}`))
		if err != nil || !strings.HasSuffix(string(response.Raw), want) {
			t.Fatalf("%v: answered %s", err, response.Raw)
		}
	}
	f := broker.AuditFilter{Environment: environment, From: now.Add(-2 * time.Hour), To: now, WithoutOutcome: true}
	if page, err := w.DB.Entries(t.Context(), f, "", 10); err != nil || len(page.Entries) != 1 || page.Entries[0].Receipt != lost.Receipt {
		t.Errorf("%+v, %v", page, err)
	}
}

func answers(t *testing.T, function *runtimeapi.Function, event, want string) {
	t.Helper()
	response, err := function.Invoke(t.Context(), []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(response.Raw); got != want {
		t.Errorf("answered %s", got)
	}
}
