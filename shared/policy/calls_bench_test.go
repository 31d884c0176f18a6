package policy

import (
	"fmt"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// callSet is a set as an environment may have it; half of its policies read
// arguments, if it is to.
func callSet(b *testing.B, n int, arguing bool) *CallSet {
	var text strings.Builder
	for i := range n {
		condition := fmt.Sprintf(`context.tool == "tool-%d" && !principal.groups.contains("team-%d")`, i, i)
		if arguing && i%2 == 0 {
			condition += " && context.arguments.amount > 100"
		}
		text.WriteString(onCall(fmt.Sprintf("p%d", i), condition))
	}
	return compiledCalls(b, text.String())
}

// sized is arguments of about this many bytes, 64 in a member.
func sized(bytes int) string {
	var text strings.Builder
	for i := range bytes / 64 {
		_, _ = fmt.Fprintf(&text, `,"member-%04d":["%s",%d]`, i, strings.Repeat("x", 38), i%10)
	}
	return `{"amount":5` + text.String() + `}`
}

func BenchmarkJudgeCall(b *testing.B) {
	for _, n := range []int{0, 10, 100, MaxPolicies} {
		for _, c := range []struct {
			name      string
			arguing   bool
			arguments string
		}{
			{"not read", false, sized(64 << 10)}, {"1 KB", true, sized(1 << 10)}, {"64 KB", true, sized(64 << 10)},
		} {
			set, q := callSet(b, n, c.arguing), question(c.arguments)
			b.Run(fmt.Sprintf("%d policies/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if said(set.Judge(q)) != "allow" {
						b.Fatal("not allowed")
					}
				}
			})
		}
	}
}

// BenchmarkJudgeUnreadable is the dearest that a caller can make arguments.
func BenchmarkJudgeUnreadable(b *testing.B) {
	set := callSet(b, 100, true)
	for name, arguments := range map[string]string{
		"too many values": `{"a":[` + strings.Repeat("1,", MaxValues) + `1]}`,
		"too deep":        `{"a":` + strings.Repeat("[", 500_000),
		"just too long":   `{"a":"` + strings.Repeat("x", MaxArguments) + `"}`,
		"escapes":         `{"a":"` + strings.Repeat(`\u0061`, MaxArguments/6-10) + `\ud800"}`,
		"one digit more":  `{"a":` + strings.Repeat("1", MaxArguments-100) + `,"a":1}`,
	} {
		q := question(arguments)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if len(set.Judge(q).Forbidding) != 50 {
					b.Fatal("not forbidden")
				}
			}
		})
	}
}

// BenchmarkRuleSet is what a call pays for a set that is kept.
func BenchmarkRuleSet(b *testing.B) {
	all, ids := stored(onCall("a", "false"))
	calls := NewCalls(new(shelf).keep(all))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := calls.RuleSet(b.Context(), "prod", ids[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompileCalls(b *testing.B) {
	hostile := func(condition string) string { return onCall("a", condition) }
	for name, text := range map[string]string{
		"100 policies": func() string {
			var text strings.Builder
			for i := range 100 {
				text.WriteString(onCall(fmt.Sprintf("p%d", i), `context.arguments.amount > 100 && principal.groups.contains("x")`))
			}
			return text.String()
		}(),
		"not":       hostile(strings.Repeat("!", 15000) + "context.arguments.x"),
		"and":       hostile(strings.Repeat("context.arguments.x && ", 650) + "true"),
		"sets":      hostile(strings.Repeat("[", 7500) + "context.arguments.x" + strings.Repeat("]", 7500) + " == 1"),
		"has chain": hostile(strings.Repeat("context.arguments has x && ", 590) + "true"),
		"in a set":  hostile("[context.arguments.x" + strings.Repeat(",principal.subject", 850) + "].contains(1)"),
		"different": hostile("[context.arguments.x" + strings.Repeat(",[1]", 4000) + "].contains(1)"),
		"negated":   hostile(strings.Repeat("-", 15000) + "context.arguments.x == 1"),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if set, err := CompileCalls([]byte(text)); err == nil {
					set.Judge(question(`{"x":1}`))
				}
			}
		})
	}
}

var _ broker.RuleSet = (*CallSet)(nil)
