package wire

import (
	"context"
	"encoding/json"
	"errors"
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

var grantOfFact = broker.Grant{GrantKey: factKey, Provider: "acme", Generation: 3, Fault: "invalid_grant", Lease: "h-1",
	Attempted: time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)}

// TestWhatBefellAGrantIsEvidence, also of a call that is over.
func TestWhatBefellAGrantIsEvidence(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, tell := range map[broker.FactKind]func(credential.Events, *kept) error{
		broker.GrantDied: func(e credential.Events, log *kept) error {
			r, err := e.Death(grantOfFact, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			return errors.Join(err, log.Append(t.Context(), r))
		},
		broker.GrantOutcomeUnknown: func(e credential.Events, _ *kept) error { return e.OutcomeUnknown(over, grantOfFact) },
		broker.GrantNotRevoked:     func(e credential.Events, _ *kept) error { return e.RevocationFailed(over, grantOfFact) },
	} {
		log := &kept{}
		if err := tell(newFacts(log, io.Discard), log); err != nil || len(log.records) != 1 {
			t.Fatalf("%s: %+v, %v", kind, log.records, err)
		}
		want := credential.GrantFact{Provider: "acme", Generation: 3}
		if kind == broker.GrantDied {
			want.Fault = "invalid_grant"
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

// TestAnAttemptIsToldOfUnderOneReceipt, whoever tells of it, and another attempt
// under another.
func TestAnAttemptIsToldOfUnderOneReceipt(t *testing.T) {
	log := &kept{}
	again, other := grantOfFact, grantOfFact
	again.Version, other.Lease = 9, "h-2"
	for _, g := range []broker.Grant{grantOfFact, again, other} {
		if err := newFacts(log, io.Discard).OutcomeUnknown(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	receipts := map[string]bool{}
	for _, r := range log.records {
		receipts[r.Receipt] = true
	}
	if len(receipts) != 2 || log.records[0].Receipt != log.records[1].Receipt {
		t.Errorf("%d receipts for two attempts", len(receipts))
	}
	if err := newFacts(&kept{fault: broker.ErrConflict}, io.Discard).OutcomeUnknown(t.Context(), grantOfFact); err != nil {
		t.Errorf("what somebody else has told fails: %v", err)
	}
}

// TestAFactThatCannotBeRecordedIsSaidToBe: in the log, and to whoever tells it.
func TestAFactThatCannotBeRecordedIsSaidToBe(t *testing.T) {
	out := &strings.Builder{}
	facts := newFacts(&kept{fault: broker.ErrUnavailable}, out)
	for kind, err := range map[string]error{"grant.outcome_unknown": facts.OutcomeUnknown(t.Context(), grantOfFact), "grant.not_revoked": facts.RevocationFailed(t.Context(), grantOfFact)} {
		if !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(out.String(), `"fact":"`+kind+`"`) {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
	}
}
