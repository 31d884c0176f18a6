package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"bindery/shared/broker"
)

func decided(t *testing.T, w *world) (*broker.Broker, *broker.Decision) {
	t.Helper()
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"))}
	b := w.broker()
	d, err := b.Decide(context.Background(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	return b, d
}

func TestIntentBeforeReleaseOutcomeAfter(t *testing.T) {
	w := newWorld()
	b, d := decided(t, w)
	r, err := b.Obtain(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.phases(); got != "intent: " {
		t.Errorf("before settling: %q", got)
	}
	if err := b.Settle(context.Background(), r, broker.Result{Status: 200, Upstream: 200, Masked: 2}); err != nil {
		t.Fatal(err)
	}
	outcome := w.records[1]
	if outcome.Phase != broker.Outcome || outcome.Masked != 2 || len(outcome.Accesses) != 1 || outcome.Accesses[0].Version != "v7" {
		t.Errorf("outcome %+v", outcome)
	}
	if got := strings.Join(outcome.References, ","); got != "token=aws-sm:prod/github#token" {
		t.Errorf("references %q", got)
	}
}

func TestNoRecordNoCredential(t *testing.T) {
	w := newWorld()
	w.auditErr = func(broker.Record) error { return broker.ErrUnavailable }
	b, d := decided(t, w)
	r, err := b.Obtain(context.Background(), d)
	if r != nil || !errors.Is(err, broker.ErrUnrecorded) {
		t.Errorf("released %v, %v", r, err)
	}
}

func TestAnIntentOfUnknownFateIsClosedByAnOutcome(t *testing.T) {
	w := newWorld()
	w.auditErr = func(r broker.Record) error {
		if r.Phase == broker.Intent {
			w.records = append(w.records, r)
			return broker.ErrUnavailable // applied, and the answer was lost each time
		}
		return nil
	}
	b, d := decided(t, w)
	if r, err := b.Obtain(context.Background(), d); r != nil || !errors.Is(err, broker.ErrUnrecorded) {
		t.Errorf("%v, %v", r, err)
	}
	if last := w.records[len(w.records)-1]; last.Phase != broker.Outcome || last.Reason != broker.IntentUnrecordable || len(last.Accesses) != 1 {
		t.Errorf("last record %+v", last)
	}
}

func TestTheIntentIsStoredAlthoughTheCallerIsGone(t *testing.T) {
	w := newWorld()
	b, d := decided(t, w)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Obtain(ctx, d); err != nil || len(w.records) != 1 {
		t.Errorf("%v, %d records", err, len(w.records))
	}
}

func TestCredentialFaultIsRecordedAndReturned(t *testing.T) {
	for fault, reason := range map[error]broker.Reason{
		broker.ErrSecretMissing: broker.SecretMissing, broker.ErrStoreDenied: broker.StoreDenied, broker.ErrUnavailable: broker.StoreUnavailable,
		broker.ErrKeyUnavailable: broker.KeyUnavailable, broker.ErrSecretMalformed: broker.SecretMalformed,
		broker.ErrUndecodable: broker.RowUndecodable, errors.New("other"): broker.Internal,
	} {
		w := newWorld()
		w.obtain = func() (broker.Credential, error) { return broker.Credential{}, fault }
		b, d := decided(t, w)
		if r, err := b.Obtain(context.Background(), d); r != nil || !errors.Is(err, fault) {
			t.Errorf("%v: %v, %v", fault, r, err)
		}
		if got, want := w.phases(), "intent: outcome:"+string(reason)+" "; got != want {
			t.Errorf("recorded %q, want %q", got, want)
		}
		if got := w.records[1].Status; got != 499 {
			t.Errorf("%v: status %d", fault, got)
		}
	}
}

func TestLostAuditAnswerIsRepeatedWithTheSameNonce(t *testing.T) {
	w := newWorld()
	var nonces []string
	w.auditErr = func(r broker.Record) error {
		nonces = append(nonces, r.Nonce)
		if len(nonces) == 1 {
			return broker.ErrUnavailable
		}
		return nil
	}
	b, d := decided(t, w)
	if _, err := b.Obtain(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if len(nonces) != 2 || nonces[0] != nonces[1] {
		t.Errorf("nonces %v", nonces)
	}
}

func TestSlowObtainDecidesAgain(t *testing.T) {
	slow := func(w *world, meanwhile func()) {
		inner := w.obtain
		w.obtain = func() (broker.Credential, error) {
			w.now = w.now.Add(broker.DecisionLife + time.Millisecond)
			meanwhile()
			return inner()
		}
	}
	t.Run("unchanged", func(t *testing.T) {
		w := newWorld()
		slow(w, func() {})
		b, d := decided(t, w)
		if _, err := b.Obtain(context.Background(), d); err != nil || w.reads != 2 {
			t.Errorf("%v after %d reads", err, w.reads)
		}
	})
	t.Run("revoked meanwhile", func(t *testing.T) {
		w := newWorld()
		slow(w, func() { w.snapshot.Shared[0].State = broker.Revoked })
		b, d := decided(t, w)
		_, err := b.Obtain(context.Background(), d)
		wantReason(t, err, broker.BindingClosed)
		if got := w.phases(); got != "intent: outcome:binding_closed " {
			t.Errorf("recorded %q", got)
		}
	})
	t.Run("changed meanwhile", func(t *testing.T) {
		w := newWorld()
		slow(w, func() { w.snapshot.Shared[0].Version++ })
		b, d := decided(t, w)
		_, err := b.Obtain(context.Background(), d)
		wantReason(t, err, broker.DecisionOutdated)
	})
}

func TestRecordsOfOneWriterAreChained(t *testing.T) {
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"))}
	b := w.broker()
	var calls sync.WaitGroup
	d, err := b.Decide(context.Background(), call(alice))
	if err != nil {
		t.Fatal(err)
	}
	for range 32 {
		calls.Go(func() {
			if r, err := b.Obtain(context.Background(), d); err != nil {
				t.Error(err)
			} else if err := b.Settle(context.Background(), r, broker.Result{}); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	bySequence := map[int64]broker.Record{}
	for _, r := range w.records {
		bySequence[r.Sequence] = r
	}
	if len(bySequence) != 64 {
		t.Fatalf("%d distinct sequences, want 64", len(bySequence))
	}
	for i := int64(2); i <= 64; i++ {
		before, err := bySequence[i-1].Hash()
		if err != nil || bySequence[i].Previous != before {
			t.Fatalf("record %d does not link to the one before", i)
		}
	}
}

func TestRefusalsOfOnePrincipalCannotFillTheTable(t *testing.T) {
	w := newWorld()
	b := w.broker()
	for range 1000 {
		_, err := b.Decide(context.Background(), call(alice))
		wantReason(t, err, broker.NoBinding)
	}
	if n := len(w.records); n == 0 || n > 50 {
		t.Fatalf("%d refusals recorded of 1000", n)
	}
	recorded := len(w.records)
	w.now = w.now.Add(time.Minute)
	_, _ = b.Decide(context.Background(), call(alice))
	if last := w.records[len(w.records)-1]; last.Suppressed != 1000-recorded {
		t.Errorf("%d suppressed counted, want %d", last.Suppressed, 1000-recorded)
	}
	if _, err := b.Decide(context.Background(), call(broker.Principal{ID: "p-bob"})); err == nil || w.records[len(w.records)-1].Principal != "p-bob" {
		t.Error("another principal's refusal was not recorded")
	}
}

func TestARefusalCannotBeMadeTooLargeToRecord(t *testing.T) {
	w := newWorld()
	for i := range 500 {
		w.snapshot.Shared = append(w.snapshot.Shared, card(t, fmt.Sprintf("binding-number-%d", i), group("dev")))
	}
	c := call(alice)
	c.Target = strings.Repeat("tool", 1000)
	_, err := w.broker().Decide(context.Background(), c)
	wantReason(t, err, broker.BindingTie)
	if len(w.records) != 1 {
		t.Fatal("no record")
	}
	if err := w.records[0].Check(); err != nil {
		t.Error(err)
	}
}

func TestNoSecretAndNoEmailInAnyRecord(t *testing.T) {
	w := newWorld()
	b, d := decided(t, w)
	r, err := b.Obtain(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Settle(context.Background(), r, broker.Result{})
	for _, record := range w.records {
		text, err := record.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "canary") || strings.Contains(string(text), "alice@") {
			t.Errorf("leaked: %s", text)
		}
	}
}
