package policy

import (
	"fmt"
	"strings"
	"testing"
)

// calls is a set as an environment may have it: one permit, and forbids that
// look at caller, tool and arguments. Half of them have the action in scope.
func calls(n int) string {
	var text strings.Builder
	text.WriteString(everything)
	for i := range n {
		_, _ = fmt.Fprintf(&text, `@id("p%d") forbid (principal, action == Action::"%s", resource)
			when { context.tool == "tool-%d" && !principal.groups.contains("team-%d") && context.arguments has amount && context.arguments.amount > %d };
`, i, []string{"call_tool", "read_resource"}[i%2], i, i, i)
	}
	return text.String()
}

func BenchmarkJudgeAdmin(b *testing.B) {
	a := administration(b, "prod", true)
	for name, who := range map[string]Administrator{
		"mcp_admin": {ID: "me", Roles: []string{MCPAdmin}},
		"owner":     {ID: "me", Groups: []string{"team-a", "team-b", "team-c"}},
		"owner of 200 groups": {ID: "me", Groups: func() (all []string) {
			for i := range 200 {
				all = append(all, fmt.Sprintf("idp:group-%d", i))
			}
			return append(all, "team-a")
		}()},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !a.Judge(who, Put, object(ServerKind)).Allowed {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkJudgeCalls(b *testing.B) {
	for _, n := range []int{0, 100, MaxPolicies - 1} {
		set := compiled(b, calls(n), nil)
		r := call(map[string]any{"tool": "tool-50", "arguments": map[string]any{"amount": 10, "title": "x", "labels": []any{"a", "b"}}})
		r.Action = "call_tool"
		r.Principal.Attributes["groups"] = []string{"team-a", "team-b", "team-c"}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if v := set.Judge(r); !v.Allowed || len(v.Errors) > 0 {
					b.Fatal(v)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.Run("admin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := AdminSet(); err != nil {
				b.Fatal(err)
			}
		}
	})
	text := []byte(calls(100))
	b.Run("100 calls", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Compile(text, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCompileHostile is the longest that one policy can keep the parser
// and the schema's checks busy.
func BenchmarkCompileHostile(b *testing.B) {
	schema := schemaOf(b, testSchema)
	for name, condition := range map[string]string{
		"and":      strings.Repeat("principal has age && ", 700) + "true",
		"or":       strings.Repeat("principal has age || ", 700) + "true",
		"deep":     strings.Repeat("(", 8000) + "true" + strings.Repeat(")", 8000),
		"not":      strings.Repeat("!", 16000) + "true",
		"sets":     strings.Repeat("[", 8000) + "1" + strings.Repeat("]", 8000) + " == 1",
		"if":       strings.Repeat("if context.n == 1 then true else ", 490) + "true",
		"if in if": strings.Repeat("if ", 800) + "true" + strings.Repeat(" then true else false", 700),
		"record":   strings.Repeat("{a:", 4000) + "1" + strings.Repeat("}", 4000) + " == 1",
		"set":      "[" + strings.Repeat("1,", 8000) + "1].contains(1)",
		"dots":     "principal" + strings.Repeat(".name", 3000),
		"has":      "principal has a" + strings.Repeat(".a", 7500),
	} {
		text := []byte(forbid(condition))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if set, err := Compile(text, schema); err == nil {
					set.Judge(call(map[string]any{"n": 1}))
				}
			}
		})
	}
}
