package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"bindery/shared/broker"
)

// FuzzArguments: no arguments end the process, and none are allowed when the
// same meaning in another spelling is forbidden: decoded as most upstreams
// decode (last name wins, any number a float) and encoded again, with and
// without the case of names.
func FuzzArguments(f *testing.F) {
	for _, arguments := range []string{
		``, `{}`, `null`, `{"a":101}`, `{"a":1e2}`, `{"A":101}`, `{"a":1,"a":101}`, `{"a":{"b":["x",null,1.5]}}`, `{"a":"\ud800"}`,
		`{"a":100.0000000000000001}`, `{"a":9223372036854775808}`, "{\"a\":\"\xff\"}", `{"\u212aind":"rm"}`, `{"kind":"r\u006d"}`, `{"a":0.3E3000000000}`,
	} {
		f.Add([]byte(arguments))
	}
	set := compiledCalls(f, onCall("over", `context.arguments has a && context.arguments.a > 100`)+
		onCall("kind", `context.arguments has kind && context.arguments.kind == "rm"`)+
		demandOnCall("deep", `context.arguments has o.b && context.arguments.o.b.contains("x")`))
	f.Fuzz(func(t *testing.T, arguments []byte) {
		got := set.Judge(question(string(arguments)))
		if len(arguments) == 0 {
			return
		}
		var meaning any
		err := json.Unmarshal(arguments, &meaning)
		object, ok := meaning.(map[string]any)
		switch {
		case json.Valid(arguments) && err != nil: // a number that no float holds
			return
		case !ok && len(got.Forbidding) != 3:
			t.Fatalf("what is no object: %s", said(got))
		case !ok:
			return
		}
		for _, m := range []map[string]any{object, lowered(object)} {
			spelt, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if same := set.Judge(question(string(spelt))); strictness(same) > strictness(got) {
				t.Fatalf("%q: %s, but %q: %s", arguments, said(got), spelt, said(same))
			}
		}
		var room bytes.Buffer
		if json.Indent(&room, arguments, " ", "\t") == nil && room.Len() <= MaxArguments && said(set.Judge(question(room.String()))) != said(got) {
			t.Fatalf("%q: %s, with other blanks it is not", arguments, said(got))
		}
	})
}

func strictness(j broker.Judgement) int {
	return map[bool]int{true: 2}[len(j.Forbidding) > 0] + map[bool]int{true: 1}[len(j.Demanding) > 0]
}

// lowered is an object whose names are written as the policies write them.
func lowered(object map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range object {
		if nested, ok := v.(map[string]any); ok {
			v = lowered(nested)
		}
		out[strings.ToLower(name)] = v
	}
	return out
}

// FuzzCompileCalls: no text ends the process; what compiles holds each policy of
// the text, permits nothing, and judges the same each time. Whatever it reads,
// unreadable arguments are never allowed where readable ones are forbidden.
func FuzzCompileCalls(f *testing.F) {
	for _, text := range []string{
		onCall("a", `context.arguments.x == 1`), demandOnCall("a", `context.arguments has x.y`), anyCall("a", `principal.hasTag("x")`),
		onCall("a", `(if context.arguments.x then context.tool else "y") like "*z"`), `@id("a") permit (principal, action, resource);`,
		onCall("a", `context has agent && [context.agent.team].containsAll(context.arguments["x y"])`), onCall("a", `context == context`),
		strings.Replace(onCall("a", `ip(context.arguments.x).isLoopback()`), `== Action::"call_tool"`, `in [Action::"get_prompt"]`, 1),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := CompileCalls(text)
		if err != nil {
			return
		}
		whole, err := Compile(bytes.ReplaceAll(text, []byte(`@demand("approval")`), nil), nil)
		if err == nil && len(whole.policies) != len(set.plain)+len(set.arguing) {
			t.Fatalf("%d policies of %d", len(set.plain)+len(set.arguing), len(whole.policies))
		}
		q := question(`{"x":1}`)
		readable, again, unreadable := set.Judge(q), set.Judge(q), set.Judge(question(`{"x":`))
		if said(readable) != said(again) {
			t.Fatalf("%s, then %s", said(readable), said(again))
		}
		if strictness(unreadable) < strictness(readable) {
			t.Fatalf("readable %s, unreadable %s", said(readable), said(unreadable))
		}
		if len(set.arguing) != len(set.heads) {
			t.Fatal("a policy without its head")
		}
	})
}
