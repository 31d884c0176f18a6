package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"bindery/shared/broker"
)

const testSchema = `
entity User = { name: String, age?: Long };
entity Doc = { owner: String };
entity Castle;
action view appliesTo { principal: User, resource: Doc, context: { n: Long } };
`

func schemaOf(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := ParseSchema([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compiled(t testing.TB, text string, schema *Schema) *Set {
	t.Helper()
	s, err := Compile([]byte(text), schema)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFaultyPoliciesAreRefusedByLineAndRule: and CANARY, wherever it stands in
// the text, is never repeated.
func TestFaultyPoliciesAreRefusedByLineAndRule(t *testing.T) {
	const ok = `@id("first") permit (principal, action, resource);` + "\n"
	when := func(condition string) string {
		return ok + "  @id(\"second\")\npermit (principal, action, resource) when { " + condition + " };"
	}
	for name, c := range map[string]struct{ text, want string }{
		"no id":                {ok + `permit (principal, action, resource);`, `line 2, column 1: the policy has no @id`},
		"same id":              {ok + "\n// é\n" + ok, "line 4, column 1: policy first: the policy at line 1 has this id too"},
		"same id on one line":  {strings.TrimSpace(ok) + ok, "line 1, column 51: policy first"},
		"id with capitals":     {`@id("CANARY") permit (principal, action, resource);`, "line 1, column 1: a policy id has"},
		"long id":              {`@id("` + strings.Repeat("a", 41) + `") permit (principal, action, resource);`, "a policy id has"},
		"id without value":     {`@id permit (principal, action, resource);`, "a policy id has"},
		"two ids":              {`@id("a")@id("b") permit (principal, action, resource);`, "does not parse"},
		"other annotation":     {`@id("a")@CANARY("CANARY") permit (principal, action, resource);`, "policy a: the only annotation is @id"},
		"not Cedar":            {"\n CANARY", "line 2, column"},
		"no end":               {ok + `@id("second") permit (principal, action, resource)`, "line 2, column"},
		"string without end":   {ok + `@id("CANARY; permit (principal, action, resource);`, "line 2, column"},
		"bad escape":           {ok + `@id("second") permit (principal, action, resource == Doc::"\CANARY");`, "line 2, column 59: the policy does not parse"},
		"only a semicolon":     {ok + ";", "line 2, column"},
		"not UTF-8":            {ok + "@id(\"second\") permit (principal == User::\"\xff\", action, resource);", "line 2, column"},
		"NUL":                  {ok + "\x00", "line 1, column 51: the policy does not parse"},
		"template":             {`@id("a") permit (principal == ?principal, action, resource);`, "does not parse"},
		"unknown type":         {ok + `@id("second") permit (principal is CANARY, action, resource);`, "policy second: the schema has no such entity type"},
		"is of unknown type":   {when(`principal is CANARY`), "policy second: the schema has no such entity type"},
		"is in of one":         {when(`principal is CANARY in Doc::"x"`), "policy second: the schema has no such entity type"},
		"unknown action":       {ok + `@id("second") permit (principal, action == Action::"CANARY", resource);`, "policy second: the schema has no such action"},
		"no such pair":         {ok + `@id("second") permit (principal, action, resource is Castle);`, "policy second: the schema has no action for"},
		"unknown attribute":    {when(`principal.CANARY`), "line 2, column 3: policy second: the schema has no such attribute"},
		"unknown in context":   {when(`context.CANARY == 1`), "policy second: the schema has no such attribute"},
		"optional":             {when(`principal.age > 17`), "policy second: an optional attribute is read"},
		"type":                 {when(`principal.name > 17`), "policy second: a value has the wrong type"},
		"compared with others": {when(`principal.name == context.n`), "policy second: it does not agree"},
		"empty set":            {when(`[].contains(principal)`), "policy second: empty sets"},
		"extension literal":    {when(`decimal("CANARY").lessThan(decimal("1.0"))`), "policy second: an extension function"},
		"unknown function":     {when(`CANARY(1)`), "does not parse"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Compile([]byte(c.text), schemaOf(t, testSchema))
			if set != nil || !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "line ") {
				t.Errorf("error %v repeats the text or says no line", err)
			}
		})
	}
}

// TestSizesAreLimited, with what is just within the limit beside it.
func TestSizesAreLimited(t *testing.T) {
	policies := func(n, padding int) string {
		var text strings.Builder
		for i := range n {
			p := fmt.Sprintf("@id(\"p%d\") permit (principal, action, resource);", i)
			text.WriteString(strings.Repeat(" ", padding-len(p)) + p)
		}
		return text.String()
	}
	deep := func(open, end string, n int) string {
		return `@id("a") permit (principal, action, resource) when { ` + strings.Repeat(open, n) + "true" + strings.Repeat(end, n) + " };"
	}
	for name, c := range map[string]struct{ text, want string }{
		"500":                            {policies(MaxPolicies, 64), ""},
		"501":                            {policies(MaxPolicies+1, 64), "more than 500"},
		"256 KiB":                        {policies(16, MaxPolicy), ""},
		"and one byte":                   {policies(16, MaxPolicy) + " ", "longer than 256 KiB"},
		"16 KiB and one byte":            {policies(1, MaxPolicy+1), "longer than 16 KiB"},
		"deep":                           {deep("(", ")", 8000), ""},
		"too deep":                       {deep("(", ")", 120_000), "longer than 16 KiB"},
		"negated too often":              {deep("!", "", 240_000), "longer than 16 KiB"},
		"long path":                      {deep("context has a"+strings.Repeat(".a", MaxPath)+" && ", "", 1), ""},
		"too long a path":                {deep("context has a"+strings.Repeat(".a", MaxPath+1)+" && ", "", 1), "more than 16 dots"},
		"with blanks":                    {deep("context has a"+strings.Repeat(" .\n// x.y\n a", MaxPath+1)+" && ", "", 1), "more than 16 dots"},
		"behind a comment":               {deep("/* \" */ context has a"+strings.Repeat(".a", MaxPath+1)+" && ", "", 1), "more than 16 dots"},
		"with comments":                  {deep("context has a"+strings.Repeat("./* \" /* ** */a", MaxPath+1)+" && ", "", 1), "more than 16 dots"},
		"semicolon in a general comment": {"/*/ ; ***/" + policies(1, 64), ""},
		"general comment at the end":     {policies(1, 64) + "/* ; */\n", ""},
		"vertical tab":                   {"\v", "does not parse"},
		"comment that is not UTF-8":      {policies(1, 64) + "// \xff", "does not parse"},
		"NULs do not hide":               {deep("(", ")", 120_000) + "\x00", "longer than 16 KiB"},
		"comment without end":            {policies(1, 64) + "/* ; ", "does not parse"},
		"quote in a line comment":        {"// \" /*\n" + policies(2, 64), ""},
		"many short paths":               {deep("if context.a.b then context.a.b else ", "", 60), ""},
		"dots in a string":               {deep("context.a == \""+strings.Repeat(".a", 60)+"\" && ", "", 1), ""},
		"hidden in a string":             {deep("(", ")", 120_000)[:60] + `";"` + deep("(", ")", 120_000)[60:], "longer than 16 KiB"},
		"only a comment":                 {"// nothing\n", ""},
		"long comment":                   {"//" + strings.Repeat("x", MaxPolicy) + "\n", ""},
		"nothing":                        {"", ""},
		"semicolon in a comment":         {"// a; b\n" + policies(1, 64), ""},
		"semicolon in a string":          {`@id("a") permit (principal, action, resource == Doc::"a;\";b");`, ""},
	} {
		_, err := Compile([]byte(c.text), nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestFaultySchemasAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"not Cedar":      "entity CANARY",
		"unknown type":   "entity A = { b: CANARY };",
		"declared twice": "entity CANARY; entity CANARY;",
	} {
		if _, err := ParseSchema([]byte(text)); !errors.Is(err, broker.ErrInvalid) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestIDNamesTheContent: equal for equal sets, different for others.
func TestIDNamesTheContent(t *testing.T) {
	const a, b = `@id("a") permit (principal, action, resource);`, `@id("b") forbid (principal, action, resource) when { context.n == 1 };`
	id := func(text string) string { return compiled(t, text, nil).ID() }
	want := id(a + b)
	for name, same := range map[string]string{
		"order":       b + a,
		"blanks":      "\n " + a + "\t" + strings.ReplaceAll(b, " ", "\n"),
		"comments":    "// x\n" + a + "// y\n" + b + "// z",
		"parentheses": a + strings.Replace(b, "context.n == 1", "((context.n) == 1)", 1),
	} {
		if id(same) != want {
			t.Errorf("%s: the id is another", name)
		}
	}
	seen := map[string]string{want: "both"}
	for name, other := range map[string]string{
		"nothing": "", "one": a, "the other": b,
		"id":        a + strings.Replace(b, `"b"`, `"c"`, 1),
		"effect":    a + strings.Replace(b, "forbid", "permit", 1),
		"value":     a + strings.Replace(b, "1", "2", 1),
		"type":      a + strings.Replace(b, "1", `"1"`, 1),
		"condition": a + strings.Replace(b, "when", "unless", 1),
		"scope":     strings.Replace(a, "principal", "principal is User", 1) + b,
	} {
		got := id(other)
		if seen[got] != "" {
			t.Errorf("%s: same id as %s", name, seen[got])
		}
		seen[got] = name
	}
}
