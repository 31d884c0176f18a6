//go:build e2e

package compiled

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bindery/infra/local/parts"
	"bindery/shared/broker"
	"bindery/shared/brokertest/runtimeapi"
	"bindery/shared/config"
)

// TestTheLedgerFunctionIndexesTheStreamAndTheTable, started with the settings of
// the template and nothing else.
func TestTheLedgerFunctionIndexesTheStreamAndTheTable(t *testing.T) {
	w := &world{dir: t.TempDir()}
	w.binary = filepath.Join(w.dir, "bootstrap")
	build(t, "bindery/functions/ledger", w.binary)
	moto, err := parts.Moto(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(moto.Stop)
	_, w.Deployment = deploy(t, moto.URL)
	var settings []string
	for _, s := range w.settings() {
		name, _, _ := strings.Cut(s, "=")
		if !strings.HasPrefix(name, "BINDERY_") || name == config.AuditTable || name == config.AuditIndexTable || name == config.Local {
			settings = append(settings, s)
		}
	}
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
