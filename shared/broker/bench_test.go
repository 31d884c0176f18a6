package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/policy"
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

// oneSet gives a set whatever is asked for.
type oneSet struct{ set broker.RuleSet }

func (s oneSet) RuleSet(context.Context, string, string) (broker.RuleSet, error) {
	return s.set, nil
}

// policies compiles so many policies that object to none of the calls here. of
// says when one does, by its number.
func policies(b *testing.B, n int, of string) broker.RuleSet {
	b.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "@id(\"p%d\") forbid (principal, action == Action::\"call_tool\", resource) when { %s };\n", i, fmt.Sprintf(of, i))
	}
	set, err := policy.CompileCalls([]byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	return set
}

// What a policy of the benchmarks is about.
const (
	aboutTools     = `context.tool == "tool-%d" && !principal.groups.contains("ops")`
	aboutArguments = `context.arguments has repo && context.arguments.repo == "repo-%d"`
)

// underPolicies is a decision by one binding and so many policies, in force and
// known.
func underPolicies(b *testing.B, n int, about string) *world {
	b.Helper()
	w := newWorld()
	w.snapshot.Shared = []broker.Binding{card(b, "a", user("p-alice"))}
	if n > 0 {
		w.snapshot.Environment.Policies, w.rules = inForce, oneSet{policies(b, n, about)}
	}
	return w
}

// BenchmarkDecideUnderPolicies is the same judgement with policies in force.
func BenchmarkDecideUnderPolicies(b *testing.B) {
	for name, about := range map[string]string{"tools": aboutTools, "arguments": aboutArguments} {
		for _, n := range []int{0, 10, 100} {
			b.Run(fmt.Sprintf("about=%s/policies=%d", name, n), func(b *testing.B) {
				broker, c := underPolicies(b, n, about).broker(), call(alice)
				c.Arguments = []byte(`{"repo":"bindery","title":"A bug","body":"It does not work.","labels":["one","two"],"draft":false}`)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := broker.Decide(b.Context(), c); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkListUnderPolicies judges a hundred elements of a list.
func BenchmarkListUnderPolicies(b *testing.B) {
	for _, n := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			w, c := underPolicies(b, n, aboutTools), call(alice)
			c.Action, c.Method, c.Target, c.Lists = broker.List, "tools/list", "", true
			broker := w.broker()
			b.ReportAllocs()
			for b.Loop() {
				d, err := broker.Decide(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				for i := range 100 {
					if !d.Sees("call_tool", fmt.Sprintf("other-%d", i)) {
						b.Fatal("hidden")
					}
				}
			}
		})
	}
}
