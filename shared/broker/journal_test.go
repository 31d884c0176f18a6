package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"bindery/shared/broker"
)

// receipts is an audit log: of each receipt it takes one record.
type receipts map[string]broker.Record

func (l receipts) Append(_ context.Context, r broker.Record) error {
	if there, ok := l[r.Receipt]; ok && there.Nonce != r.Nonce {
		return broker.ErrConflict
	}
	l[r.Receipt] = r
	return nil
}

// Some facts are told again and again under one receipt. If each time took a place
// in the chain, a record that was removed would be one gap among many.
func TestAFactThatIsToldAgainLeavesNoGapInTheChain(t *testing.T) {
	log := receipts{}
	made := 0
	j := broker.NewJournal(log, func() string { made++; return fmt.Sprintf("nonce-%026d", made) })
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tell := func(about string) error {
		return j.Tell(context.Background(), broker.Fact{Receipt: broker.ReceiptOf(at, about), Kind: broker.IncidentOpened,
			Environment: "prod", Object: "reference/" + about}, at)
	}
	if err := tell("aws-sm:prod/a"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := tell("aws-sm:prod/a"); !errors.Is(err, broker.ErrConflict) {
			t.Fatalf("told again: %v, want a conflict", err)
		}
	}
	if err := tell("aws-sm:prod/b"); err != nil {
		t.Fatal(err)
	}
	first, second := log[broker.ReceiptOf(at, "aws-sm:prod/a")], log[broker.ReceiptOf(at, "aws-sm:prod/b")]
	hash, err := first.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if second.Sequence != first.Sequence+1 || second.Previous != hash {
		t.Errorf("the next record is number %d after number %d, and links to it: %t", second.Sequence, first.Sequence, second.Previous == hash)
	}
}
