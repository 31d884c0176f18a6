package seal

import (
	"encoding/binary"
	"fmt"

	"bindery/shared/broker"
)

// The sealed text, version 1:
//
//	1 byte   format version, 1
//	2 bytes  length n of the encrypted data key, big-endian
//	n bytes  encrypted data key, as KMS gave it (it names its KMS key)
//	12 bytes nonce
//	rest     AES-256-GCM ciphertext and tag of 16 bytes
const (
	formatVersion = 1
	headerLength  = 3
	maxDataKey    = 6144 // KMS's own limit for a ciphertext, in bytes
	boxOverhead   = 12 + 16
)

func encodeHeader(dataKey []byte) ([]byte, error) {
	if len(dataKey) == 0 || len(dataKey) > maxDataKey {
		return nil, fmt.Errorf("%w: KMS gave an encrypted data key of impossible length", broker.ErrKeyUnavailable)
	}
	header := append(make([]byte, 0, headerLength+len(dataKey)), formatVersion)
	header = binary.BigEndian.AppendUint16(header, uint16(len(dataKey)))
	return append(header, dataKey...), nil
}

// decode splits a sealed text. Everything after the data key is the box, which
// is authenticated, so only its possible lengths are judged here.
func decode(sealed []byte) (dataKey, box []byte, err error) {
	bad := fmt.Errorf("%w: not a sealed text of a known format", broker.ErrKeyUnavailable)
	if len(sealed) < headerLength || sealed[0] != formatVersion {
		return nil, nil, bad
	}
	n := int(binary.BigEndian.Uint16(sealed[1:headerLength]))
	rest := sealed[headerLength:]
	if n == 0 || n > maxDataKey || len(rest) <= n+boxOverhead || len(rest) > n+boxOverhead+MaxPlain {
		return nil, nil, bad
	}
	return rest[:n], rest[n:], nil
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

// encryptionContext is what KMS binds the data key to, and what CloudTrail
// and IAM conditions see.
func encryptionContext(c broker.SealContext) map[string]string {
	return map[string]string{
		"bindery:environment": c.Environment,
		"bindery:purpose":     c.Purpose,
		"bindery:context":     broker.Digest("sealed", c.Environment, c.Purpose, c.Origin, c.ID),
	}
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
