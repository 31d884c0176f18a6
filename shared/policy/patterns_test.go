package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// TestPatternsDoNotMultiplyWhatACallerSends: a text that is made for the patterns
// of many policies is not looked through for minutes, but forbidden by those that
// concern the call; what is short enough is judged.
func TestPatternsDoNotMultiplyWhatACallerSends(t *testing.T) {
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "@id(\"a%d\") forbid (principal, action == Action::\"call_tool\", resource) when { context.arguments has s && context.arguments.s like \"*%sb*%d\" };\n", i, strings.Repeat("a", 1000), i)
	}
	fmt.Fprintf(&text, "@id(\"r\") forbid (principal, action == Action::\"read_resource\", resource) when { context.resource like \"*%sb*\" };\n", strings.Repeat("a", 1000))
	set, err := CompileCalls([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(action broker.Action, target, arguments string) []string {
		return set.Judge(broker.Question{
			Call:   &broker.Call{Principal: broker.Principal{ID: "p", Kind: broker.User}, Action: action, Target: target, Arguments: []byte(arguments)},
			Server: &broker.Server{Name: "s"}, Binding: &broker.Binding{Name: "b"}}).Forbidding
	}
	long := strings.Repeat("a", 1_000_000)
	if got := ask(broker.CallTool, "t", `{"s":"`+long+`"}`); len(got) != 200 || slices.Contains(got, "r") {
		t.Errorf("long arguments are forbidden by %d policies", len(got))
	}
	if got := ask(broker.ReadResource, long, ""); !slices.Contains(got, "r") {
		t.Errorf("a long name is forbidden by %v", got)
	}
	if got := ask(broker.CallTool, "t", `{"s":"`+long[:500]+`"}`); len(got) != 0 {
		t.Errorf("short arguments are forbidden by %v", got)
	}
}

// TestOnlyWhatIsLookedForEverywhereCounts: a name with a star at its end is
// compared once.
func TestOnlyWhatIsLookedForEverywhereCounts(t *testing.T) {
	for pattern, reach := range map[string]int{"/etc/*": 0, "plain": 0, "*": 0, "*.key": 4, "*rm -rf*": 6, "a*bc*d": 2, `\\*\\*x`: 0, `*\\*y`: 3} {
		set, err := CompileCalls([]byte(`@id("p") forbid (principal, action == Action::"call_tool", resource) when { context.tool like "` + strings.ReplaceAll(pattern, `\\`, `\`) + `" };`))
		if err != nil {
			t.Fatalf("%s: %v", pattern, err)
		}
		if set.reach != reach {
			t.Errorf("%s reaches %d", pattern, set.reach)
		}
	}
}
