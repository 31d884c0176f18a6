package broker

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// A receipt is a ULID: 48 bits of Unix milliseconds and 80 random bits, as 26
// characters that sort as the numbers do.

// receiptLetters are the digits of a receipt, in order: base 32 as Crockford
// has it.
const receiptLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	receiptLength = 26
	receiptTime   = 10 // characters that hold the time
	receiptSum    = 10 // bytes that the others hold
)

// ReceiptTime reads the time out of a receipt. Only the one spelling that is
// made is read, since receipts are compared as text.
func ReceiptTime(receipt string) (time.Time, error) {
	bad := fmt.Errorf("%w receipt: it must be a ULID", ErrInvalid)
	if len(receipt) != receiptLength || receipt[0] > '7' {
		return time.Time{}, bad
	}
	var ms int64
	for i := range len(receipt) {
		digit := strings.IndexByte(receiptLetters, receipt[i])
		if digit < 0 {
			return time.Time{}, bad
		}
		if i < receiptTime {
			ms = ms<<5 | int64(digit)
		}
	}
	at := time.UnixMilli(ms).UTC()
	if at.Year() > lastYear {
		return time.Time{}, bad
	}
	return at, nil
}

// lastYear is the last whose times have four digits.
const lastYear = 9999

// FirstReceipt is the least text that no receipt of a time before t reaches:
// receipts r with FirstReceipt(from) <= r < FirstReceipt(to) are those of
// [from, to).
func FirstReceipt(t time.Time) string {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++ // receipts hold whole milliseconds
	}
	ms = max(ms, 0)
	text := make([]byte, receiptTime)
	for i := range text {
		text[receiptTime-1-i] = receiptLetters[ms&31]
		ms >>= 5
	}
	return string(text)
}

// ReceiptOf is the one receipt of a time that follows from these words: whoever
// tells of the same again tells it under the same. A time that no receipt can hold
// has none.
func ReceiptOf(at time.Time, words ...string) string {
	at = at.UTC().Truncate(time.Millisecond)
	if at.UnixMilli() < 0 || at.Year() > lastYear {
		return ""
	}
	sum := sha256.Sum256([]byte(Digest(words...)))
	return FirstReceipt(at) + base32.NewEncoding(receiptLetters).EncodeToString(sum[:receiptSum])
}
