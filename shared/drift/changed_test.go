package drift

import (
	"testing"
	"time"

	"bindery/shared/broker"
)

// TestAnEventOfTheStore counts a change of each reference that it concerns, tells
// it once, and looks at once.
func TestAnEventOfTheStore(t *testing.T) {
	w := newWorld(t)
	w.card("github", "dev", "prod/dev")
	w.card("github", "old", "prod/dev?stage=AWSPREVIOUS")
	w.card("github", "ops", "prod/ops")
	receipts := map[string]string{}
	heard := Change{What: "DeleteSecret", Event: "0a1b", At: w.now(), Kind: "aws-sm", Concerns: func(r broker.Reference) bool { return r.Path() == "prod/dev" },
		Receipt: func(r broker.Reference) string {
			if receipts[r.String()] == "" {
				receipts[r.String()] = w.id()
			}
			return receipts[r.String()]
		}}
	w.vault.set("prod/dev", broker.ErrSecretMissing)
	w.vault.deleting["prod/dev"] = w.now().Add(7 * 24 * time.Hour)
	for range 2 { // it is delivered twice
		n, err := w.scanner().Heard(t.Context(), heard)
		w.must(err)
		if n != 2 {
			t.Errorf("%d references", n)
		}
	}
	current, before := "reference/aws-sm:prod/dev", "reference/aws-sm:prod/dev?stage=AWSPREVIOUS"
	w.wants([]string{"deleting " + current, "deleting " + before},
		[]string{"opened deleting " + current, "opened deleting " + before, "reference.changed DeleteSecret " + current, "reference.changed DeleteSecret " + before})
	for id, want := range map[string]int64{"aws-sm:prod/dev": 2, "aws-sm:prod/dev?stage=AWSPREVIOUS": 2, "aws-sm:prod/ops": 0} {
		found, err := w.db.Markers(t.Context(), prod, []broker.MarkerKey{{Kind: broker.ChangeMarker, ID: id}})
		w.must(err)
		epoch := int64(0)
		for _, m := range found {
			epoch = m.Epoch
		}
		if epoch != want {
			t.Errorf("%s: epoch %d, want %d", id, epoch, want)
		}
	}
	clear(receipts)
	heard.What, heard.Event = "RestoreSecret", "0a1c"
	w.vault.set("prod/dev", nil)
	delete(w.vault.deleting, "prod/dev")
	_, err := w.scanner().Heard(t.Context(), heard)
	w.must(err)
	w.wants(nothing, []string{"closed deleting " + current, "closed deleting " + before, "reference.changed RestoreSecret " + current, "reference.changed RestoreSecret " + before})
	heard.Kind = "vault"
	if n, err := w.scanner().Heard(t.Context(), heard); n != 0 || err != nil {
		t.Errorf("%d references of another kind of store, %v", n, err)
	}
}
