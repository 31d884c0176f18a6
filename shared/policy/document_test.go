package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"bindery/shared/broker"
)

// TestFaultyTestsAreRefused by their number and a rule; CANARY is never
// repeated.
func TestFaultyTestsAreRefused(t *testing.T) {
	const good = `{"name":"first","expect":"allow"}`
	for name, c := range map[string]struct{ tests, want string }{
		"no JSON":                 {`CANARY`, "they are not one JSON list"},
		"null":                    {`null`, "they are not one JSON list"},
		"an object":               {good, "they are not one JSON list"},
		"blanks":                  {" \n", "they are not one JSON list"},
		"two lists":               {`[] []`, "they are not one JSON list"},
		"no end":                  {`[` + good, "they are not one JSON list"},
		"not UTF-8":               {"[{\"name\":\"\xff\",\"expect\":\"allow\"}]", "they are not one JSON list"},
		"nested without end":      {strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "they are not one JSON list"},
		"too long":                {`[` + good + strings.Repeat(" ", MaxTestsText) + `]`, "they are longer than 64 KiB"},
		"too many":                {`[` + strings.Repeat("{},", MaxTests) + `{}]`, "there are more than 200"},
		"no object":               {`[` + good + `,null]`, "test 2: it is no object"},
		"a number":                {`[` + good + `,1]`, "test 2: a member"},
		"unknown member":          {`[` + good + `,{"name":"x","expect":"allow","CANARY":1}]`, "test 2: it is no object, or"},
		"unknown in small":        {`[` + good + `,{"name":"x","expect":"allow","canary":1}]`, "test 2: a member"},
		"another case":            {`[` + good + `,{"Name":"x","expect":"allow"}]`, "test 2: it is no object, or"},
		"another case, nested":    {`[` + good + `,{"name":"x","expect":"allow","principal":{"Groups":["CANARY"]}}]`, "test 2: it is no object, or"},
		"Kelvin sign":             {`[{"name":"x","expect":"allow","principal":{"` + "\u212a" + `ind":"user"}}]`, "test 1: it is no object, or"},
		"twice":                   {`[` + good + `,{"name":"x","name":"x","expect":"allow"}]`, "test 2: it is no object, or"},
		"twice in arguments":      {`[{"name":"x","expect":"allow","arguments":{"a":1,"a":2}}]`, "test 1: it is no object, or"},
		"type":                    {`[{"name":"x","expect":"allow","tool":["CANARY"]}]`, "test 1: a member has the wrong type"},
		"attribute":               {`[{"name":"x","expect":"allow","principal":{"attributes":{"CANARY":1}}}]`, "test 1: a member has the wrong type"},
		"no name":                 {`[{"expect":"allow"}]`, "test 1: its name"},
		"long name":               {`[{"name":"` + strings.Repeat("x", maxTestName+1) + `","expect":"allow"}]`, "test 1: its name"},
		"same name":               {`[` + good + `,` + good + `]`, "test 2: test 1 has this name too"},
		"no expectation":          {`[{"name":"x"}]`, "test 1: it must expect"},
		"expectation":             {`[{"name":"x","expect":"CANARY"}]`, "test 1: it must expect"},
		"action":                  {`[{"name":"x","expect":"allow","action":"CANARY"}]`, "test 1: there is no such action"},
		"administer":              {`[{"name":"x","expect":"allow","action":"administer"}]`, "test 1: there is no such action"},
		"kind":                    {`[{"name":"x","expect":"allow","principal":{"kind":"CANARY"}}]`, "test 1: a principal"},
		"risk":                    {`[{"name":"x","expect":"allow","risk":"CANARY"}]`, "test 1: a risk"},
		"ceiling":                 {`[{"name":"x","expect":"allow","agent":{"ceiling":"none"}}]`, "test 1: a risk"},
		"tool of a list":          {`[{"name":"x","expect":"allow","action":"list","tool":"CANARY"}]`, "test 1: its action has no such"},
		"risk of a prompt":        {`[{"name":"x","expect":"allow","action":"get_prompt","risk":"low"}]`, "test 1: its action has no such"},
		"prompt of a tool":        {`[{"name":"x","expect":"allow","prompt":"CANARY"}]`, "test 1: its action has no such"},
		"resource of a tool":      {`[{"name":"x","expect":"allow","resource":"CANARY"}]`, "test 1: its action has no such"},
		"arguments of a list":     {`[{"name":"x","expect":"allow","action":"list","arguments":{}}]`, "test 1: arguments"},
		"arguments in a list":     {`[{"name":"x","expect":"allow","arguments":["CANARY"]}]`, "test 1: arguments"},
		"arguments that are null": {`[{"name":"x","expect":"allow","arguments":null}]`, "test 1: arguments"},
	} {
		report, err := CheckDocument(onCall("a", "false"), c.tests)
		if !errors.Is(err, broker.ErrInvalid) || !strings.Contains(err.Error(), "tests: "+c.want) || len(report.Policies) > 0 {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v repeats the tests", name, err)
		}
	}
}

// TestDocumentsAreCheckedAsTheyWillBeCompiled.
func TestDocumentsAreCheckedAsTheyWillBeCompiled(t *testing.T) {
	if _, err := CheckDocument(onCall("a", "principal.none"), ""); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	report, err := CheckDocument("", "")
	text, _ := json.Marshal(report)
	if err != nil || !report.Passed() || string(text) != `{"policies":[],"tests":[]}` {
		t.Errorf("nothing gives %s, error %v", text, err)
	}
}

// TestReports: each archive of testdata/calls holds policies, tests, and the
// report on them.
func TestReports(t *testing.T) {
	entries, err := os.ReadDir("testdata/calls")
	if err != nil || len(entries) < 3 {
		t.Fatalf("%d archives, error %v", len(entries), err)
	}
	for _, e := range entries {
		name := "testdata/calls/" + e.Name()
		archive, err := txtar.ParseFile(name)
		if err != nil || len(archive.Files) < 2 {
			t.Fatalf("%s: %v", name, err)
		}
		report, err := CheckDocument(string(archive.Files[0].Data), string(archive.Files[1].Data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		want := txtar.File{Name: "report.json", Data: append(got, '\n')}
		if *update {
			archive.Files = append(archive.Files[:2], want)
			if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, archive.Files[len(archive.Files)-1]); diff != "" {
			t.Errorf("%s (-got +file):\n%s", name, diff)
		}
		for _, l := range report.Tests {
			if l.Passed == strings.HasPrefix(l.Name, "fails: ") {
				t.Errorf("%s: %s: passed %t", name, l.Name, l.Passed)
			}
		}
	}
}

// TestATestIsACallLikeAnyOther: what it tells of is the question that a call of
// that kind is.
func TestATestIsACallLikeAnyOther(t *testing.T) {
	const written = `[{"name":"x","expect":"allow","action":"call_tool","method":"tools/call","era":"2026-07-28","tool":"pay",
		"risk":"high","tool_owner":"team-pay","arguments":{"n":1},"server":{"name":"bank","owner":"team-bank","environment":"prod"},
		"principal":{"id":"p-ada","kind":"user","issuer":"https://idp.example","subject":"ada","email":"ada@example.com",
		"groups":["finance","eng"],"attributes":{"department":"finance"}},"agent":{"id":"idp:bot","team":"team-bots","ceiling":"high"},
		"binding":{"name":"bank-eng","mode":"service_account","owner":"team-bank","version":7}}]`
	tests, err := parseTests([]byte(written))
	if err != nil {
		t.Fatal(err)
	}
	of := func(q broker.Question) string {
		a, ok := ask(q)
		context, _ := a.request.Context.MarshalJSON()
		entities, _ := json.Marshal(a.entities)
		return fmt.Sprint(ok, a.request.Principal, a.request.Action, a.request.Resource, string(context), string(entities), string(q.Call.Arguments))
	}
	if diff := cmp.Diff(of(question(`{"n":1}`)), of(tests[0].question())); diff != "" {
		t.Errorf("(-call +test):\n%s", diff)
	}
}
