package seal

import (
	"encoding/binary"
	"fmt"
	"math"

	"bindery/shared/broker"
)

// The sealed text, version 2:
//
//	1 byte   format version, 2
//	2 bytes  length n of the encrypted data key, big-endian
//	n bytes  encrypted data key, as KMS gave it (it names its KMS key)
//	3 times  1 byte length and a text: environment, purpose and digest, which are
//	         the encryption context of the data key
//	12 bytes nonce
//	rest     AES-256-GCM ciphertext and tag of 16 bytes
//
// The context stands there so that a data key can be put under another KMS key
// by whoever knows nothing else of the text. Nothing opens by it: Open takes its
// context from the caller, and KMS holds the data key to that.
const (
	formatVersion = 2
	headerLength  = 3
	maxDataKey    = 6144 // KMS's own limit for a ciphertext, in bytes
	boxOverhead   = 12 + 16
)

// sealedText is a sealed text, split.
type sealedText struct {
	dataKey []byte
	context [3]string // environment, purpose, digest
	box     []byte
}

// header is everything before the box.
func (t sealedText) header() ([]byte, error) {
	if len(t.dataKey) == 0 || len(t.dataKey) > maxDataKey {
		return nil, fmt.Errorf("%w: KMS gave an encrypted data key of impossible length", broker.ErrKeyUnavailable)
	}
	header := append(make([]byte, 0, headerLength+len(t.dataKey)+64), formatVersion)
	header = binary.BigEndian.AppendUint16(header, uint16(len(t.dataKey)))
	header = append(header, t.dataKey...)
	for _, part := range t.context {
		if part == "" || len(part) > math.MaxUint8 {
			return nil, fmt.Errorf("%w sealed text: its context is too long", broker.ErrInvalid)
		}
		header = append(append(header, uint8(len(part))), part...)
	}
	return header, nil
}

// decode splits a sealed text. Everything after the context is the box, which is
// authenticated, so only its possible lengths are judged here.
func decode(sealed []byte) (t sealedText, err error) {
	bad := fmt.Errorf("%w: not a sealed text of a known format", broker.ErrKeyUnavailable)
	if len(sealed) < headerLength || sealed[0] != formatVersion {
		return sealedText{}, bad
	}
	n := int(binary.BigEndian.Uint16(sealed[1:headerLength]))
	rest := sealed[headerLength:]
	if n == 0 || n > maxDataKey || len(rest) <= n {
		return sealedText{}, bad
	}
	t.dataKey, rest = rest[:n], rest[n:]
	for i := range t.context {
		if len(rest) == 0 || rest[0] == 0 || len(rest) <= int(rest[0]) {
			return sealedText{}, bad
		}
		t.context[i], rest = string(rest[1:1+rest[0]]), rest[1+rest[0]:]
	}
	if len(rest) <= boxOverhead || len(rest) > boxOverhead+MaxPlain {
		return sealedText{}, bad
	}
	t.box = rest
	return t, nil
}

// checkContext refuses a context that would bind a text to too little.
func checkContext(c broker.SealContext) error {
	if err := broker.CheckName("environment of the sealed text", c.Environment); err != nil {
		return err
	}
	if err := broker.CheckName("purpose of the sealed text", c.Purpose); err != nil {
		return err
	}
	if c.ID == "" {
		return fmt.Errorf("%w sealed text: it needs an id", broker.ErrInvalid)
	}
	return nil
}

// contextOf is what KMS binds the data key to, in the order of the format.
func contextOf(c broker.SealContext) [3]string {
	return [3]string{c.Environment, c.Purpose, broker.Digest("sealed", c.Environment, c.Purpose, c.Origin, c.ID)}
}

// encryptionContext is what KMS gets, and what CloudTrail and IAM conditions see.
func encryptionContext(context [3]string) map[string]string {
	return map[string]string{"bindery:environment": context[0], "bindery:purpose": context[1], "bindery:context": context[2]}
}

// associatedData is what the text itself is bound to: the format version and
// every part of the context, each prefixed by its length, so that no two
// contexts encode alike.
func associatedData(c broker.SealContext) []byte {
	data := []byte{formatVersion}
	for _, part := range []string{c.Environment, c.Purpose, c.Origin, c.ID} {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}
