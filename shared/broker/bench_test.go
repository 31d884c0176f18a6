package broker_test

import (
	"context"
	"fmt"
	"testing"

	"bindery/shared/broker"
)

// BenchmarkDecide is the judgement of one call after the reads: liveness,
// selection among so many bindings, agent, fields and scope.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("bindings=%d", n), func(b *testing.B) {
			w := newWorld()
			w.snapshot.Personal = []broker.Binding{card(b, "own", user("p-alice"))}
			for i := range n - 1 {
				w.snapshot.Shared = append(w.snapshot.Shared, card(b, fmt.Sprintf("group-%d", i), group(fmt.Sprintf("team-%d", i))))
			}
			broker := w.broker()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := broker.Decide(context.Background(), call(alice)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
