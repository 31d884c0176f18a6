package session

import "testing"

func BenchmarkWrap(b *testing.B) {
	s := newDeployment().process()
	wrap(b, s, alice, begun)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Wrap(b.Context(), alice, begun); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnwrap(b *testing.B) {
	s := newDeployment().process()
	id := wrap(b, s, alice, begun)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Unwrap(b.Context(), alice, id); err != nil {
			b.Fatal(err)
		}
	}
}

// What a flood of ids that nobody made costs.
func BenchmarkUnwrapForged(b *testing.B) {
	d := newDeployment()
	s := d.process()
	wrap(b, s, alice, begun)
	id := forged(dayOf(d.now()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Unwrap(b.Context(), alice, id); err == nil {
			b.Fatal("it opened")
		}
	}
}
