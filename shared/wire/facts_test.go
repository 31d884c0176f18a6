package wire

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/credential"
)

// kept is an audit log that remembers, or refuses.
type kept struct {
	records []broker.Record
	fault   error
}

func (k *kept) Append(ctx context.Context, r broker.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	k.records = append(k.records, r)
	return k.fault
}

var factKey = broker.GrantKey{Environment: "prod", Principal: "p-alice", Server: "acme", Origin: "o-acme"}

func newFacts(log *kept, out io.Writer) credential.Events {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return grantFacts{broker.NewJournal(log, func() string { return "nonce" }), func() time.Time { return at }, slog.New(slog.NewJSONHandler(out, nil))}
}

// TestWhatBefellAGrantIsEvidence, also of a call that is over.
func TestWhatBefellAGrantIsEvidence(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, tell := range map[broker.FactKind]func(credential.Events){
		broker.GrantDied: func(e credential.Events) {
			e.GrantDied(over, broker.Grant{GrantKey: factKey, Provider: "acme", Generation: 3, Fault: "invalid_grant"})
		},
		broker.GrantOutcomeUnknown: func(e credential.Events) { e.OutcomeUnknown(over, factKey, "acme") },
		broker.GrantNotRevoked:     func(e credential.Events) { e.RevocationFailed(over, factKey, "acme") },
	} {
		log := &kept{}
		tell(newFacts(log, io.Discard))
		if len(log.records) != 1 {
			t.Fatalf("%s: %+v", kind, log.records)
		}
		want := credential.GrantFact{Provider: "acme"}
		if kind == broker.GrantDied {
			want.Generation, want.Fault = 3, "invalid_grant"
		}
		var detail credential.GrantFact
		r := log.records[0]
		if err := json.Unmarshal([]byte(r.After), &detail); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, detail); diff != "" {
			t.Errorf("%s: %s", kind, diff)
		}
		_, err := broker.ReceiptTime(r.Receipt)
		if err != nil || r.Method != string(kind) || r.Action != broker.ActOfItself || r.Object != "grant/p-alice/acme" || r.Server != "acme" || r.Environment != "prod" {
			t.Errorf("%s: %+v, %v", kind, r, err)
		}
	}
}

// TestAFactThatCannotBeRecordedIsInTheLog: it has befallen the grant all the same.
func TestAFactThatCannotBeRecordedIsInTheLog(t *testing.T) {
	out := &strings.Builder{}
	newFacts(&kept{fault: broker.ErrUnavailable}, out).OutcomeUnknown(t.Context(), factKey, "acme")
	if log := out.String(); !strings.Contains(log, "outcome of a token request unknown") || !strings.Contains(log, `"fact":"grant.outcome_unknown"`) {
		t.Error(log)
	}
}
