package broker_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
)

// TestACardTellsWhatItShadows and what shadows it, and the real selection
// agrees for a caller in both.
func TestACardTellsWhatItShadows(t *testing.T) {
	priority := func(n int) func(*broker.Binding) { return func(b *broker.Binding) { b.Priority = n } }
	mine := card(t, "mine", group("dev"), allow("read_*"))
	for name, c := range map[string]struct {
		other broker.Binding
		want  []broker.Overlap
	}{
		"a wider actor":         {card(t, "o", broker.Actor{Anyone: true}), []broker.Overlap{{Binding: "o", Effect: broker.Wins}}},
		"a person":              {card(t, "o", user("p-alice")), []broker.Overlap{{Binding: "o", Effect: broker.Lose}}},
		"another group":         {card(t, "o", group("ops")), []broker.Overlap{{Binding: "o", Effect: broker.Ties}}},
		"another group, higher": {card(t, "o", group("ops"), priority(5)), []broker.Overlap{{Binding: "o", Effect: broker.Lose}}},
		"another group, lower":  {card(t, "o", group("ops"), priority(-5)), []broker.Overlap{{Binding: "o", Effect: broker.Wins}}},
		"other tools":           {card(t, "o", user("p-alice"), allow("create_*")), nil},
		"tools within":          {card(t, "o", user("p-alice"), allow("read_issue")), []broker.Overlap{{Binding: "o", Effect: broker.Lose}}},
		"a suspended one":       {card(t, "o", user("p-alice"), suspended), []broker.Overlap{{Binding: "o", Effect: broker.Lose}}},
		"a deleted one":         {card(t, "o", user("p-alice"), func(b *broker.Binding) { b.State = broker.Deleted }), nil},
		"prompts and no tools":  {card(t, "o", user("p-alice"), func(b *broker.Binding) { b.Allow = broker.Allow{Prompts: []string{"*"}} }), nil},
		"itself":                {card(t, "mine", user("p-alice")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, broker.Overlaps(&mine, []broker.Binding{c.other})); diff != "" {
				t.Fatal(diff)
			}
			if len(c.want) == 0 || c.other.State != broker.Active {
				return
			}
			w := newWorld()
			w.snapshot.Shared = []broker.Binding{mine, c.other}
			made := call(alice)
			made.Target = "read_issue"
			d, err := w.broker().Decide(t.Context(), made)
			switch c.want[0].Effect {
			case broker.Ties:
				wantReason(t, err, broker.BindingTie)
			case broker.Wins:
				if err != nil || d.Binding.Name != "mine" {
					t.Errorf("chosen %v, %v", d, err)
				}
			case broker.Lose:
				if err != nil || d.Binding.Name != "o" {
					t.Errorf("chosen %v, %v", d, err)
				}
			}
		})
	}
	people := card(t, "mine", user("p-alice"))
	if got := broker.Overlaps(&people, []broker.Binding{card(t, "o", user("p-bob"))}); got != nil {
		t.Errorf("two people meet: %v", got)
	}
}
