package broker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bindery/shared/broker"
)

func TestReceiptTellsItsTime(t *testing.T) {
	for receipt, want := range map[string]time.Time{
		"00000000000000000000000000":                                time.UnixMilli(0),
		"01ARZ3NDEKTSV4RRFFQ69G5FAV":                                time.UnixMilli(1469922850259), // the example of the ULID specification
		broker.FirstReceipt(time.UnixMilli(1)) + "ZZZZZZZZZZZZZZZZ": time.UnixMilli(1),
	} {
		at, err := broker.ReceiptTime(receipt)
		if err != nil || !at.Equal(want) || at.Location() != time.UTC {
			t.Errorf("%s: %v, %v", receipt, at, err)
		}
	}
}

func TestReceiptsOfAnotherFormAreRefused(t *testing.T) {
	good := "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	for _, receipt := range []string{"", good[1:], good + "0", strings.ToLower(good), "8" + good[1:], "7ZZZZZZZZZ" + good[10:], // the year 10889
		good[:25] + "U", good[:25] + "I", good[:25] + "/", "\xff" + good[1:], good[:24] + "é"} {
		if at, err := broker.ReceiptTime(receipt); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%q: %v, %v", receipt, at, err)
		}
	}
}

// TestFirstReceiptBoundsTheReceiptsOfATime, down to the nanosecond between two
// receipts.
func TestFirstReceiptBoundsTheReceiptsOfATime(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 5e6, time.UTC)
	lowest, highest := broker.FirstReceipt(at)+strings.Repeat("0", 16), broker.FirstReceipt(at)+strings.Repeat("Z", 16)
	for name, holds := range map[string]bool{
		"from its own time":           broker.FirstReceipt(at) <= lowest,
		"to just after it":            highest < broker.FirstReceipt(at.Add(1)),
		"not from just after it":      broker.FirstReceipt(at.Add(1)) > highest,
		"from just before it":         broker.FirstReceipt(at.Add(-1)) <= lowest,
		"not to its own time":         lowest >= broker.FirstReceipt(at),
		"a time before the first one": broker.FirstReceipt(time.Time{}) == strings.Repeat("0", 10),
	} {
		if !holds {
			t.Error(name)
		}
	}
}

func TestEntryIsFoundByEachSecretOnce(t *testing.T) {
	r := broker.Record{Schema: broker.RecordSchema, Receipt: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Phase: broker.Outcome, Nonce: "n", At: time.Unix(1, 0), Environment: "prod",
		Server: "github", Binding: "team", Principal: "p-a", References: []string{"user=aws-sm:a#user", "token=aws-sm:a#token", "odd", "x=no reference"}}
	e, err := broker.EntryOf(r)
	if err != nil {
		t.Fatal(err)
	}
	found := map[broker.Dimension][]string{}
	for _, l := range e.Leads() {
		found[l.By] = append(found[l.By], l.ID)
	}
	if got := found[broker.ByReference]; len(got) != 1 || got[0] != "aws-sm:a" {
		t.Errorf("references %q", got)
	}
	if len(found[broker.ByAgent]) != 0 || len(found[broker.ByRequest]) != 0 || found[broker.ByBinding][0] != "github/team" || len(found[broker.ByTime]) != 1 {
		t.Errorf("%v", found)
	}
}

// TestAReceiptFollowsFromWords: the same each time, in every release, since
// whoever tells of something again has to find what was told before.
func TestAReceiptFollowsFromWords(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	if got := broker.ReceiptOf(at, "a", "b"); got != "01KJMGW6ZV7GGEBC665CM24R0N" {
		t.Errorf("another release had another: %q", got)
	}
	if broker.ReceiptOf(at, "ab") == broker.ReceiptOf(at, "a", "b") || broker.ReceiptOf(at, "a") == broker.ReceiptOf(at.Add(time.Millisecond), "a") {
		t.Error("one receipt for two")
	}
	for _, none := range []time.Time{{}, time.UnixMilli(-1), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if got := broker.ReceiptOf(none, "a"); got != "" {
			t.Errorf("%s has %q", none, got)
		}
	}
}
