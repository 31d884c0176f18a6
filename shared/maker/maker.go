// Package maker makes new values for rotations: Random makes one up, Recipe has
// an upstream issue one by the request that the plan declares.
//
// An upstream's answer is hostile: it is bounded, must be JSON with distinct
// names, and gives one text from one place. What is sent is sent once: where the
// upstream may have acted and its answer is lost, that is said
// (broker.ErrOutcomeUnknown), since to ask again would leave a second key behind.
//
// The package never follows a redirect, never puts a value where it could change
// what a request means, and puts nothing of an answer, an address or a value into
// an error.
package maker

import (
	"context"
	"crypto/rand"
	"fmt"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// alphabet is what a made-up value consists of where the plan does not say.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Random makes values up. Each call makes another; none is known anywhere else,
// so there is nothing to end.
type Random struct{}

// Make implements broker.ValueMaker.
func (Random) Make(_ context.Context, m broker.Making) (broker.Made, error) {
	r := m.Plan.Random
	from := r.Alphabet
	if from == "" {
		from = alphabet
	}
	if r.Length < 16 || r.Length > 512 || len(from) < 2 || len(from) > 256 {
		return broker.Made{}, fmt.Errorf("%w plan: length or alphabet", broker.ErrInvalid)
	}
	value := make([]byte, 0, r.Length)
	limit := 256 - 256%len(from) // above it, the first characters would come more often
	for buffer := make([]byte, 64); len(value) < r.Length; {
		_, _ = rand.Read(buffer) // it never fails
		for _, b := range buffer {
			if int(b) < limit && len(value) < r.Length {
				value = append(value, from[int(b)%len(from)])
			}
		}
	}
	return broker.Made{Value: secret.New(string(value))}, nil
}

// Withdraw implements broker.ValueMaker.
func (Random) Withdraw(context.Context, broker.Making, broker.Made) error { return nil }

// Retire implements broker.ValueMaker.
func (Random) Retire(context.Context, broker.Making, secret.Value) error { return nil }
