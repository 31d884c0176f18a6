package policy

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/google/go-cmp/cmp"
)

// FuzzCompile: no text ends the process; what compiles is the same set when its
// own spelling is compiled again, and no policy of the text is lost.
func FuzzCompile(f *testing.F) {
	f.Add(adminPolicies)
	for _, text := range []string{
		"", ";", "\v", "\u0085", "/* x", "/* ; \" */ " + everything, everything, everything + forbid(`context.n > 1 || principal has age`),
		forbid(`[1, {"a": -1}].contains(ip("10.0.0.0/8"))`), forbid(`if principal like "a*\*" then 1 == -2 * 3 else !true`),
		`@id("a") permit (principal in User::"\u{1F600}", action in [Action::"view"], resource is Doc in Doc::"d") unless { false }; // x`,
	} {
		f.Add([]byte(text))
	}
	schema := schemaOf(f, testSchema)
	f.Fuzz(func(t *testing.T, text []byte) {
		checked, err := Compile(text, schema)
		set, looseErr := Compile(text, nil)
		if looseErr != nil {
			if err == nil {
				t.Fatal("it compiles with a schema only")
			}
			return
		}
		whole, err := cedar.NewPolicyListFromBytes("", text)
		if err != nil || len(whole) != len(set.policies) {
			t.Fatalf("cut into pieces it has %d policies, whole %d, error %v", len(set.policies), len(whole), err)
		}
		if checked != nil && checked.ID() != set.ID() {
			t.Fatal("the schema changes the id")
		}
		var spelt bytes.Buffer
		for _, p := range set.policies {
			spelt.Write(p.policy.MarshalCedar())
		}
		if again, err := Compile(spelt.Bytes(), nil); err == nil && again.ID() != set.ID() {
			t.Fatalf("compiled again it has another id:\n%s", spelt.Bytes())
		}
		first, second := set.Judge(call(map[string]any{"n": 1})), set.Judge(call(map[string]any{"n": 1}))
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatal(diff)
		}
		if first.Allowed && !strings.Contains(string(text), "permit") {
			t.Fatal("allowed without a permit")
		}
	})
}

// FuzzJudge: no request ends the process, and none that a forbid may concern is
// allowed: the argument is over 100, or it is not an integer.
func FuzzJudge(f *testing.F) {
	for _, argument := range []string{`1`, `101`, `null`, `1e2`, `"x"`, `[1,1.5,null]`, `{"a":{"a":1}}`, `-0.0`, `1e-400`, `9223372036854775808`} {
		f.Add("User", "ada", "view", argument)
	}
	set := compiled(f, everything+forbid("context has a && context.a > 100"), nil)
	f.Fuzz(func(t *testing.T, kind, id, action, argument string) {
		d := json.NewDecoder(strings.NewReader(argument))
		d.UseNumber()
		var a any
		if d.Decode(&a) != nil {
			return
		}
		r := call(map[string]any{"a": a})
		r.Principal.EntityID, r.Action = EntityID{kind, id}, action
		v := set.Judge(r)
		if v.Allowed {
			n, ok := a.(json.Number)
			if x, err := n.Float64(); !ok || err != nil || x > 100 {
				t.Fatalf("%s is allowed", argument)
			}
		}
		if v.Allowed && (v.Malformed || len(v.Errors) > 0) {
			t.Fatalf("%+v", v)
		}
	})
}

// FuzzAdministration: whoever has no role and no group gets nothing but the
// names of their own bindings, whatever they are called.
func FuzzAdministration(f *testing.F) {
	f.Add("me", "put", "Server", "x", "team-a", "prod", "other")
	f.Add("", "list_own", "Binding", "", "", "prod", "")
	a := administration(f, "prod", true)
	f.Fuzz(func(t *testing.T, who, do, kind, name, owner, environment, proposer string) {
		v := a.Judge(Administrator{ID: who}, Operation(do), Object{Kind(kind), name, owner, environment, proposer})
		if v.Allowed && (do != "list_own" || kind != "Binding" || environment != "prod" || who == "") {
			t.Fatalf("allowed: %+v", v)
		}
	})
}
