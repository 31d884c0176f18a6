package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func call(context map[string]any) Request {
	return Request{
		Principal: Entity{EntityID: EntityID{"User", "ada"}, Attributes: map[string]any{"name": "Ada"}},
		Action:    "view",
		Resource:  Entity{EntityID: EntityID{"Doc", "d"}, Attributes: map[string]any{"owner": "x"}},
		Context:   context,
	}
}

const everything = `@id("all") permit (principal, action, resource);` + "\n"

func forbid(condition string) string {
	return `@id("no") forbid (principal, action, resource) when { ` + condition + ` };` + "\n"
}

// TestErrorsFailClosed: a forbid that cannot be evaluated forbids, where Cedar
// alone would allow.
func TestErrorsFailClosed(t *testing.T) {
	const permitFails = `@id("may") permit (principal, action, resource) when { context.missing };` + "\n"
	for name, c := range map[string]struct {
		text string
		want Verdict
	}{
		"no policy":               {"", Verdict{}},
		"permit":                  {everything, Verdict{Allowed: true, Determining: []string{"all"}}},
		"forbid that matches":     {everything + forbid("true"), Verdict{Determining: []string{"no"}}},
		"forbid that does not":    {everything + forbid("false"), Verdict{Allowed: true, Determining: []string{"all"}}},
		"forbid, missing":         {everything + forbid("context.missing"), Verdict{Determining: []string{"no"}, Errors: []string{"no"}}},
		"forbid, wrong type":      {everything + forbid("context.n == 1 && context.n"), Verdict{Determining: []string{"no"}, Errors: []string{"no"}}},
		"forbid, overflow":        {everything + forbid("context.n + 9223372036854775807 > 0"), Verdict{Determining: []string{"no"}, Errors: []string{"no"}}},
		"forbid, bad literal":     {everything + forbid(`ip("x").isLoopback()`), Verdict{Determining: []string{"no"}, Errors: []string{"no"}}},
		"forbid, unknown entity":  {everything + forbid(`User::"nobody".name == "x"`), Verdict{Determining: []string{"no"}, Errors: []string{"no"}}},
		"unless":                  {everything + strings.Replace(forbid("context.missing"), "when", "unless", 1), Verdict{Determining: []string{"no"}, Errors: []string{"no"}}},
		"forbid fails beside one": {everything + forbid("context.missing") + strings.Replace(forbid("true"), "no", "a-no", 1), Verdict{Determining: []string{"a-no", "no"}, Errors: []string{"no"}}},
		"permit fails":            {permitFails, Verdict{Errors: []string{"may"}}},
		"permit fails beside one": {everything + permitFails, Verdict{Allowed: true, Determining: []string{"all"}, Errors: []string{"may"}}},
		"forbid fails, no permit": {forbid("context.missing"), Verdict{Determining: []string{"no"}, Errors: []string{"no"}}},
		"forbid fails out of scope": {everything + `@id("no") forbid (principal is Castle, action, resource) when { context.missing };`,
			Verdict{Allowed: true, Determining: []string{"all"}}},
	} {
		got := compiled(t, c.text, nil).Judge(call(map[string]any{"n": 1}))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestRequestsOfAnotherShapeAreRefused: with a schema nothing is asked of a
// policy that it was not checked for.
func TestRequestsOfAnotherShapeAreRefused(t *testing.T) {
	set := compiled(t, everything, schemaOf(t, testSchema))
	if v := set.Judge(call(map[string]any{"n": 1})); !v.Allowed {
		t.Fatalf("the good request gave %+v", v)
	}
	for name, change := range map[string]func(*Request){
		"action":            func(r *Request) { r.Action = "delete" },
		"principal":         func(r *Request) { r.Principal.Type = "Castle" },
		"resource":          func(r *Request) { r.Resource.Type = "User" },
		"missing attribute": func(r *Request) { r.Principal.Attributes = nil },
		"unknown attribute": func(r *Request) { r.Resource.Attributes["more"] = "x" },
		"type of attribute": func(r *Request) { r.Resource.Attributes["owner"] = 1 },
		"missing context":   func(r *Request) { r.Context = nil },
		"type in context":   func(r *Request) { r.Context["n"] = "1" },
		"more context":      func(r *Request) { r.Context["m"] = 1 },
		"entity":            func(r *Request) { r.Entities = []Entity{{EntityID: EntityID{"Moon", "x"}}} },
		"parent":            func(r *Request) { r.Principal.Parents = []EntityID{{"Doc", "d"}} },
	} {
		r := call(map[string]any{"n": 1})
		change(&r)
		if diff := cmp.Diff(Verdict{Malformed: true}, set.Judge(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestValuesThatCannotBeToldAreRefused, before any policy is asked.
func TestValuesThatCannotBeToldAreRefused(t *testing.T) {
	nested := any("x")
	for range MaxDepth {
		nested = []any{nested}
	}
	for name, v := range map[string]any{
		"a Go type":     struct{}{},
		"not UTF-8":     "\xff",
		"name in bytes": map[string]any{"\xff": 1},
		"too deep":      nested,
		"too many":      make([]any, MaxValues),
		"within a list": []any{1, []any{func() {}}},
	} {
		if diff := cmp.Diff(Verdict{Malformed: true}, compiled(t, everything, nil).Judge(call(map[string]any{"v": v}))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestNoSpellingOfAnArgumentSlipsByAForbid: other spellings of a number, and
// what Cedar has no word for.
func TestNoSpellingOfAnArgumentSlipsByAForbid(t *testing.T) {
	for _, c := range []struct {
		condition, argument string
		forbidden           bool
	}{
		{"context.a == 1", "1", true},
		{"context.a == 1", "1.0", true},
		{"context.a == 1", "10e-1", true},
		{"context.a == 1", "2", false},
		{"context.a == 1", `"1"`, false},
		{"context.a == 0", "-0", true},
		{"context.a > 100", "1e2", false},
		{"context.a > 100", "1.01e2", true},
		{"context.a > 100", "100.5", true},                // no integer: it cannot be compared
		{"context.a > 100", "1e400", true},                // no number of any kind
		{"context.a > 100", "99999999999999999999", true}, // beyond 64 bits
		{"context.a > 100", "null", true},
		{`context has a && context.a > 100`, "null", true},
		{`context has a && context.a > 100`, "0.123456789", true},
		{"context.a == false", "1e400", false},
		{"context.a == false", "null", false},
		{`context.a.greaterThan(decimal("0.5"))`, "0.75", true},
		{`context.a.greaterThan(decimal("0.5"))`, "0.25", false},
		{`context.a.contains("x")`, `["y","x"]`, true},
		{`context.a.b == true`, `{"b":true}`, true},
		{`context.a.b == true`, `{"B":true}`, true}, // it is not there, and a forbid that fails forbids
		{`context.a like "*/etc/*"`, `"/x/etc/passwd"`, true},
	} {
		var argument any
		d := json.NewDecoder(strings.NewReader(c.argument))
		d.UseNumber()
		if err := d.Decode(&argument); err != nil {
			t.Fatal(err)
		}
		v := compiled(t, everything+forbid(c.condition), nil).Judge(call(map[string]any{"a": argument}))
		if v.Malformed || v.Allowed == c.forbidden {
			t.Errorf("%s with %s: %+v, want it forbidden: %t", c.condition, c.argument, v, c.forbidden)
		}
	}
	v := compiled(t, everything+forbid("context.a == 1"), nil).Judge(call(map[string]any{"a": 1.0}))
	if v.Allowed {
		t.Error("a float that is 1 is not 1")
	}
}

// TestParentsAreLookedUp: groups of groups, and nobody else can stand in for
// the principal.
func TestParentsAreLookedUp(t *testing.T) {
	set := compiled(t, `@id("g") permit (principal in Group::"all", action, resource) when { principal.name == "Ada" };`, nil)
	r := call(nil)
	r.Principal.Parents = []EntityID{{"Group", "ops"}}
	if set.Judge(r).Allowed {
		t.Error("allowed without the group of groups")
	}
	r.Entities = []Entity{
		{EntityID: EntityID{"Group", "ops"}, Parents: []EntityID{{"Group", "all"}, {"Group", "ops"}}},
		{EntityID: r.Principal.EntityID, Attributes: map[string]any{"name": "Eve"}},
	}
	if v := set.Judge(r); !v.Allowed {
		t.Errorf("not allowed by the group of groups: %+v", v)
	}
}

// TestOneSetServesMany at once, with the same verdict each time.
func TestOneSetServesMany(t *testing.T) {
	text := everything
	for i := range 20 {
		text += strings.Replace(forbid("context.missing"), "no", fmt.Sprintf("no-%02d", 19-i), 1)
	}
	set := compiled(t, text, nil)
	want := set.Judge(call(nil))
	if len(want.Determining) != 20 || want.Determining[0] != "no-00" {
		t.Fatalf("determining %v", want.Determining)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if diff := cmp.Diff(want, set.Judge(call(nil))); diff != "" {
					t.Errorf("another verdict (-want +got):\n%s", diff)
				}
			}
		})
	}
	all.Wait()
}
