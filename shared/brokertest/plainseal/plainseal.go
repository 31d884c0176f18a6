// Package plainseal stands in for KMS in tests: a text opens for what it was
// sealed for and for nothing else. It hides nothing.
package plainseal

import (
	"bytes"
	"context"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Sealer implements broker.Sealer by writing the context in front of the text.
type Sealer struct{}

// Seal never fails.
func (Sealer) Seal(_ context.Context, c broker.SealContext, plain secret.Value) ([]byte, error) {
	return append(prefix(c), plain.Reveal()...), nil
}

// Open fails with broker.ErrKeyUnavailable under another context.
func (Sealer) Open(_ context.Context, c broker.SealContext, sealed []byte) (secret.Value, error) {
	text, ok := bytes.CutPrefix(sealed, prefix(c))
	if !ok {
		return secret.Value{}, broker.ErrKeyUnavailable
	}
	return secret.New(string(text)), nil
}

func prefix(c broker.SealContext) []byte { return fmt.Appendf(nil, "%+v|", c) }
