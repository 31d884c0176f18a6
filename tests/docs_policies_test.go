package tests

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/google/go-cmp/cmp"

	"bindery/shared/policy"
)

// TestPolicyTableIsTheSchemas: what a policy can read is what the schema of
// calls lists, and the arguments, which no schema lists.
func TestPolicyTableIsTheSchemas(t *testing.T) {
	text, err := os.ReadFile("../shared/policy/calls.cedarschema")
	if err != nil {
		t.Fatal(err)
	}
	var parsed schema.Schema
	if err := parsed.UnmarshalCedar(text); err != nil {
		t.Fatal(err)
	}
	all, err := parsed.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	want := readable{}
	want.record("principal", all.Entities["User"].Shape, true, "all")
	want.add("principal.getTag(...)", all.Entities["User"].Tags, false, "all")
	want.record("resource", all.Entities["Server"].Shape, true, "all")
	if diff := cmp.Diff(all.Entities["User"].Shape, all.Entities["Workload"].Shape); diff != "" {
		t.Errorf("a user is no workload:\n%s", diff)
	}
	list := maps.Clone(all.Actions[cedar.NewEntityUID("Action", "list")].AppliesTo.Context)
	want.record("context", list, true, "all")
	for _, action := range all.Actions {
		for name := range list {
			delete(action.AppliesTo.Context, name)
		}
		want.record("context", action.AppliesTo.Context, true, string(action.Entity.UID.ID))
	}
	want["context.arguments"] = []string{"context.arguments", "as sent", "yes", "call_tool, get_prompt"}
	var rows [][]string
	for _, row := range want {
		rows = append(rows, row)
	}
	got := columns(table(t, "docs/policies.md", "what", "type", "always there", "actions"), 4)
	slices.SortFunc(rows, slices.Compare)
	slices.SortFunc(got, slices.Compare)
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Errorf("docs/policies.md (-schema +document):\n%s", diff)
	}
	for action := range all.Actions {
		if !strings.Contains(document(t, "docs/policies.md").text, fmt.Sprintf("%q", action.ID)) {
			t.Errorf("docs/policies.md does not list the action %s", action.ID)
		}
	}
}

// readable is a row of the table for each thing that can be read.
type readable map[string][]string

func (r readable) record(of string, shape resolved.RecordType, always bool, actions string) {
	for name, a := range shape {
		r.add(of+"."+string(name), a.Type, always && !a.Optional, actions)
	}
}

func (r readable) add(name string, of resolved.IsType, always bool, actions string) {
	kind := "?"
	switch of := of.(type) {
	case resolved.RecordType:
		r.record(name, of, always, actions)
		return
	case resolved.StringType:
		kind = "string"
	case resolved.LongType:
		kind = "integer"
	case resolved.SetType:
		if _, ok := of.Element.(resolved.StringType); ok {
			kind = "set of strings"
		}
	}
	r[name] = []string{name, kind, yes(always), actions}
}

var policyExample = regexp.MustCompile("(?s)```cedar\n(.*?)```\n\n```json\n(.*?)```")

// TestPolicyExamplesHold: each example compiles, its tests pass, and each of
// its policies decides in one of them.
func TestPolicyExamplesHold(t *testing.T) {
	text := document(t, "docs/policies.md").text
	found := policyExample.FindAllStringSubmatch(text, -1)
	if len(found) < 4 || len(found) != strings.Count(text, "```cedar\n") {
		t.Fatalf("%d examples have tests, of %d", len(found), strings.Count(text, "```cedar\n"))
	}
	for _, example := range found {
		report, err := policy.CheckDocument(example[1], example[2])
		if err != nil {
			t.Errorf("%v in:\n%s", err, example[0])
			continue
		}
		decided := map[string]bool{}
		for _, line := range report.Tests {
			if !line.Passed {
				t.Errorf("%s: it gave %s by %q, not %s", line.Name, line.Got, line.Policies, line.Expected)
			}
			for _, id := range line.Policies {
				decided[id] = true
			}
		}
		for _, p := range report.Policies {
			if !decided[p.ID] {
				t.Errorf("no test shows what %s does", p.ID)
			}
		}
	}
}

// TestPolicyLimitsAreTheOnesInForce.
func TestPolicyLimitsAreTheOnesInForce(t *testing.T) {
	want := [][]string{
		{"text of a set", fmt.Sprintf("%d KiB", policy.MaxText>>10)},
		{"policies of a set", fmt.Sprint(policy.MaxPolicies)},
		{"one policy, with the comments before it", fmt.Sprintf("%d KiB", policy.MaxPolicy>>10)},
		{"dots in a row, as in context.arguments.a.b", fmt.Sprint(policy.MaxPath)},
		{"tests of a set", fmt.Sprintf("%d, in %d KiB", policy.MaxTests, policy.MaxTestsText>>10)},
		{"arguments that are judged", fmt.Sprintf("%d MiB, %d values, nested %d deep", policy.MaxArguments>>20, policy.MaxValues, policy.MaxDepth)},
		{"patterns (like) of a set", fmt.Sprintf("the longest pieces behind a *, of all patterns together, times the bytes of the arguments, "+
			"or of the name of what is called: %d Mi; %d bytes of patterns go with %d MiB",
			policy.MaxComparisons>>20, policy.MaxComparisons/policy.MaxArguments, policy.MaxArguments>>20)},
	}
	if diff := cmp.Diff(want, columns(table(t, "docs/policies.md", "what", "limit"), 2)); diff != "" {
		t.Errorf("docs/policies.md (-code +document):\n%s", diff)
	}
}

// TestTestMembersAreTheParsers: each member in the table is taken, and no name
// beside them.
func TestTestMembersAreTheParsers(t *testing.T) {
	example := map[string]string{
		"name": `"x"`, "principal": `{}`, "agent": `{}`, "action": `"call_tool"`, "server": `{}`, "binding": `{}`, "method": `""`,
		"era": `""`, "tool": `"x"`, "risk": `"low"`, "tool_owner": `""`, "prompt": `""`, "resource": `""`, "arguments": `{}`,
		"expect": `"allow"`, "policies": `[]`,
	}
	all := map[string]string{}
	for _, row := range columns(table(t, "docs/policies.md", "member", "what it says"), 1) {
		all[row[0]] = example[row[0]]
	}
	if diff := cmp.Diff(example, all); diff != "" {
		t.Errorf("docs/policies.md (-test +document):\n%s", diff)
	}
	written := func(members map[string]string) string {
		var list []string
		for name, value := range members {
			list = append(list, fmt.Sprintf("%q:%s", name, value))
		}
		return "[{" + strings.Join(list, ",") + "}]"
	}
	if _, err := policy.CheckDocument("", written(all)); err != nil {
		t.Error(err)
	}
	for _, required := range []string{"name", "expect"} {
		without := map[string]string{"name": `"x"`, "expect": `"allow"`}
		delete(without, required)
		if _, err := policy.CheckDocument("", written(without)); err == nil {
			t.Errorf("a test needs no %s", required)
		}
	}
}
