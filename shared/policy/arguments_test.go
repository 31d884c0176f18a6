package policy

import (
	"fmt"
	"strings"
	"testing"
)

// TestUnreadableArgumentsAreForbidden by each policy that concerns the call and
// reads arguments, matching or not, and by no other.
func TestUnreadableArgumentsAreForbidden(t *testing.T) {
	text := onCall("a", `context.arguments has secret && context.arguments.secret == "x"`) +
		demandOnCall("b", `context.arguments has n && context.arguments.n == 2`) +
		onCall("c", `context.tool == "other"`) +
		strings.Replace(onCall("d", `context.arguments.n == 1`), "resource)", `resource == Server::"other")`, 1) +
		strings.Replace(onCall("e", `context.arguments.n == 1`), "call_tool", `get_prompt`, 1)
	set := compiledCalls(t, text)
	if got := said(set.Judge(question(`{"n":1}`))); got != "allow" {
		t.Fatalf("the good question: %s", got)
	}
	for name, arguments := range map[string]string{
		"no JSON":              `x`,
		"blanks":               ` `,
		"null":                 `null`,
		"list":                 `[]`,
		"string":               `"x"`,
		"no end":               `{"n":1`,
		"no value":             `{"n":}`,
		"comma at the end":     `{"n":1,}`,
		"comma in a list":      `{"n":[1,]}`,
		"two documents":        `{"n":1}{"n":2}`,
		"more behind":          `{"n":1} x`,
		"comment":              `{"n":1} // x`,
		"name twice":           `{"n":1,"n":1}`,
		"name twice, escaped":  `{"n":1,"\u006e":2}`,
		"name twice, nested":   `{"n":1,"m":[{"a":1,"a":1}]}`,
		"known name twice":     `{"n":1,"N":1}`,
		"known name, nested":   `{"n":1,"m":{"Secret":1,"SECRET":1}}`,
		"not UTF-8":            "{\"n\":1,\"m\":\"\xff\"}",
		"name not in UTF-8":    "{\"n\":1,\"\xff\":1}",
		"half a surrogate":     `{"n":1,"m":"\ud800"}`,
		"name with half a one": `{"n":1,"\udc00":1}`,
		"too deep":             `{"n":` + strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1) + `}`,
		"far too deep":         `{"n":` + strings.Repeat("[", 100_000),
		"too many values":      `{"n":[` + strings.Repeat("1,", MaxValues) + `1]}`,
		"endless number":       `{"n":1.` + strings.Repeat("0", maxNumber) + `}`,
		"too long":             `{"n":"` + strings.Repeat("x", MaxArguments) + `"}`,
	} {
		if got := said(set.Judge(question(arguments))); got != "forbid a b" {
			t.Errorf("%s: %s, want it forbidden by those that read arguments", name, got)
		}
		if got := said(compiledCalls(t, onCall("c", `context.tool == "other"`)).Judge(question(arguments))); got != "allow" {
			t.Errorf("%s: %s, although no policy reads arguments", name, got)
		}
	}
}

// TestArgumentsAreReadByTheirMeaning, not by their spelling.
func TestArgumentsAreReadByTheirMeaning(t *testing.T) {
	for _, c := range []struct{ condition, arguments, want string }{
		{`context.arguments.a == 1`, `{"a":1}`, "forbid no"},
		{`context.arguments.a == 1`, " {\n\"a\" : 1.0 }\t", "forbid no"},
		{`context.arguments.a == 1`, `{"\u0061":10e-1}`, "forbid no"},
		{`context.arguments.a == 1`, `{"a":2}`, "allow"},
		{`context.arguments.a == "é"`, `{"a":"\u00e9"}`, "forbid no"},
		{`context.arguments.a == "x"`, `{"a":"\ud83d\ude00"}`, "allow"},
		{`context.arguments.a == 100000000000000000`, `{"a":1e17}`, "forbid no"},
		{`context.arguments.a == -9223372036854775808`, `{"a":-9223372036854775808.0}`, "forbid no"},
		{`context.arguments.a == 9007199254740993`, `{"a":9007199254740993.0}`, "forbid no"},
		{`context.arguments.a == 0`, `{"a":0e999999999}`, "forbid no"},
		{`context.arguments.a > 100`, `{"a":9223372036854775808}`, "forbid no"},
		{`context.arguments.a > 100`, `{"a":1e400}`, "forbid no"},
		{`context.arguments.a > 100`, `{"a":"1"}`, "forbid no"},
		{`context.arguments.a == User::"x"`, `{"a":{"__entity":{"type":"User","id":"x"}}}`, "allow"}, // no JSON is an entity
		{`context.arguments has a && context.arguments.a > 100`, `{"a":null}`, "forbid no"},
		{`context.arguments has a && context.arguments.a > 100`, `{}`, "allow"},
		{`context.arguments has a && context.arguments.a > 100`, ``, "allow"},
		{`context.arguments.a.contains({b: 1})`, `{"a":[2,{"b":1}]}`, "forbid no"},
		{`context.arguments.a == [1, 2]`, `{"a":[2,1,2]}`, "forbid no"},
		{`context.arguments == {}`, ``, "forbid no"},
		{`context.arguments == {a: true}`, `{"a":true}`, "forbid no"},
		{`context.arguments has "a.b"`, `{"a.b":1}`, "forbid no"},
		{`context.arguments has a.b`, `{"a.b":1}`, "allow"},
		{`context.arguments has a.b`, `{"a":{"b":null}}`, "forbid no"},
		{`context.arguments.a like "*/etc/*"`, `{"a":"\/x\/etc\/passwd"}`, "forbid no"},
		{`context.arguments.a.lessThan(decimal("0.5"))`, `{"a":0.25}`, "forbid no"},
		{`context.arguments.a.lessThan(decimal("0.5"))`, `{"a":0.75}`, "allow"},
		{`context.arguments.a.lessThan(decimal("1000.0"))`, `{"a":5}`, "forbid no"}, // an integer is no decimal
	} {
		if got := said(compiledCalls(t, onCall("no", c.condition)).Judge(question(c.arguments))); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.condition, c.arguments, got, c.want)
		}
	}
}

// TestNamesInAnotherCaseDoNotSlipBy: some upstreams take "Path" for "path", and
// others do not see it. What either would do must not be forbidden.
func TestNamesInAnotherCaseDoNotSlipBy(t *testing.T) {
	const path = `context.arguments has path && context.arguments.path == "/etc"`
	for _, c := range []struct{ condition, arguments, want string }{
		{path, `{"Path":"/etc"}`, "forbid no"},
		{path, `{"PATH":"/etc","x":1}`, "forbid no"},
		{path, `{"Path":"/tmp"}`, "allow"},
		{path, `{"path":"/tmp","Path":"/etc"}`, "forbid no"},
		{path, `{"path":"/tmp","Path":"/tmp"}`, "forbid no"}, // two readings of one name
		{path, `{"Other":1,"OTHER":2}`, "allow"},
		{`context.arguments has o.path && context.arguments.o.path == 1`, `{"O":{"Path":1}}`, "forbid no"},
		{`!(context.arguments has dryRun && context.arguments.dryRun)`, `{"dryRun":true}`, "allow"},
		{`!(context.arguments has dryRun && context.arguments.dryRun)`, `{"dryrun":true}`, "forbid no"}, // many would not see it
		{`context.arguments has kind && context.arguments.kind == 1`, "{\"\u212aind\":1}", "forbid no"}, // the Kelvin sign
		{`context.arguments == {"path": 1}`, `{"Path":1}`, "forbid no"},
		{`context.tool == "other" && ` + path, `{"Path":"/etc"}`, "allow"},
		{`context.arguments has a && context.arguments.a == 1 || context.arguments has A && context.arguments.A == 2`, `{"a":2}`, "forbid no"},
		{`context.arguments has a && context.arguments.a == 1 || context.arguments has A && context.arguments.A == 2`, `{"A":3}`, "allow"},
	} {
		if got := said(compiledCalls(t, onCall("no", c.condition)).Judge(question(c.arguments))); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.condition, c.arguments, got, c.want)
		}
	}
}

// TestArgumentsHaveBoundsOfTheirOwn: what is just within them is read.
func TestArgumentsHaveBoundsOfTheirOwn(t *testing.T) {
	set := compiledCalls(t, onCall("no", `context.arguments has x && context.arguments.x == 1`))
	for name, arguments := range map[string]string{
		"many values": `{"n":[` + strings.Repeat("1,", MaxValues-2) + `1]}`,
		"deep":        `{"n":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
		"long":        `{"n":"` + strings.Repeat("x", MaxArguments-8) + `"}`,
	} {
		if got := said(set.Judge(question(arguments))); got != "allow" {
			t.Errorf("%s: %s", name, got)
		}
	}
	var many strings.Builder
	for i := range 4000 {
		_, _ = fmt.Fprintf(&many, `,"n%d":%d`, i, i)
	}
	if got := said(set.Judge(question(`{"x":1` + many.String() + `}`))); got != "forbid no" {
		t.Errorf("many names: %s", got)
	}
}
