package credential

import (
	"testing"
	"time"
)

// BenchmarkFreshGrant is a token per person that needs no refresh, with a store
// in memory and a sealer that only copies: what the source itself adds.
// BenchmarkObtainOneSecretTwoFields is the same for references.
func BenchmarkFreshGrant(b *testing.B) {
	f := newGranted(b, time.Hour)
	source := NewGrants(f.parts)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Obtain(b.Context(), f.ask); err != nil {
			b.Fatal(err)
		}
	}
}
