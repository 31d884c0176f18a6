package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/memory"
)

// catalogueBody is a whole catalogue.
const catalogueBody = `{"stores":{"aws-sm":` + storeBody + `},
	"servers":{"notes":{"owner":"team-notes","url":"https://notes.example.com/mcp","attach":[{"in":"header","name":"Authorization","template":"Bearer {token}"}],"state":"active",
		"tools":{"whoami":` + toolBody + `},"bindings":{"dev-notes":` + bindingBody + `}}},
	"agents":{"corp:writer":` + agentBody + `},"assignments":{"notes":{"store":"aws-sm","paths":["prod/*"],"groups":["team-notes"],"state":"active"}},"environment":{"state":"active"}}`

// applies sends a document and gives what was done, an object a line.
func (f *fixture) applies(t *testing.T, who, path, document string) (answer, []string) {
	t.Helper()
	a := f.call(t, who, "POST", path, document).want(t, 200, "")
	var applied Applied
	if err := json.Unmarshal(a.Body.Bytes(), &applied); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range applied.Objects {
		line := s.Action + " " + s.Object
		if s.Problem != nil {
			line += " " + strings.TrimPrefix(s.Problem.Type, "urn:bindery:problem:")
		}
		if s.Action == stepChange {
			line += " " + strings.Join(s.Fields, ",")
		}
		if s.Unchecked {
			line += " unchecked"
		}
		lines = append(lines, line)
	}
	for _, extra := range applied.Extra {
		lines = append(lines, "extra "+extra)
	}
	return a, lines
}

func (f *fixture) exported(t *testing.T, who string) string {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.call(t, who, "GET", "/export", nil).want(t, 200, "").Body.Bytes()); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnExportAppliedElsewhereIsTheSameCatalogue: export, apply to an empty
// environment, export again; and applying what stands changes nothing.
func TestAnExportAppliedElsewhereIsTheSameCatalogue(t *testing.T) {
	one, two := newFixture(t), newFixture(t)
	one.applies(t, "root", "/apply", catalogueBody)
	document := one.exported(t, "root")
	_, done := two.applies(t, "root", "/apply", document)
	same(t, done, "create store/aws-sm", "create server/notes", "create tool/notes/whoami", "create agent/corp:writer", "create assignment/notes",
		"create binding/notes/dev-notes", "none environment/prod")
	if again := two.exported(t, "root"); again != document {
		t.Errorf("exported %s\nand then %s", document, again)
	}
	a, done := two.applies(t, "root", "/apply", document)
	if changed := slices.IndexFunc(done, func(line string) bool { return !strings.HasPrefix(line, "none ") }); changed >= 0 {
		t.Errorf("the second time: %s", done[changed])
	}
	if r := two.records(a); len(r) != 1 || r[0].Method != "apply" {
		t.Errorf("recorded %+v", r)
	}
	for _, never := range []string{"version", "receipt", "proposed", canary} {
		if strings.Contains(document, never) {
			t.Errorf("the document holds %s: %s", never, document)
		}
	}
}

// TestAnExportHasATagOfWhatItHolds.
func TestAnExportHasATagOfWhatItHolds(t *testing.T) {
	f := newFixture(t)
	f.applies(t, "root", "/apply", catalogueBody)
	first := f.call(t, "root", "GET", "/export", nil).Header().Get("ETag")
	second := f.call(t, "auditor", "GET", "/export", nil).Header().Get("ETag")
	f.applies(t, "root", "/apply", strings.Replace(catalogueBody, `"risk":"low"`, `"risk":"high"`, 1))
	if third := f.call(t, "root", "GET", "/export", nil).Header().Get("ETag"); first == "" || first != second || first == third {
		t.Errorf("tags %s, %s, %s", first, second, third)
	}
}

// TestAnExportHoldsWhatTheCallerMayRead, and says that there is more.
func TestAnExportHoldsWhatTheCallerMayRead(t *testing.T) {
	f := newFixture(t)
	f.applies(t, "root", "/apply", catalogueBody)
	f.call(t, "root", "PUT", "/servers/secret-project", strings.Replace(serverBody, "team-notes", "team-other", 1), "If-None-Match", "*").want(t, 200, "")
	document := f.exported(t, "owner")
	if !strings.Contains(document, `"dev-notes"`) || !strings.Contains(document, `"partial":true`) || strings.Contains(document, "secret-project") || strings.Contains(document, `"stores":{"`) {
		t.Errorf("the owner reads %s", document)
	}
	if document := f.exported(t, "nobody"); strings.TrimSpace(document) != `{"partial":true}` {
		t.Errorf("nobody reads %s", document)
	}
	if document := f.exported(t, "auditor"); strings.Contains(document, "partial") {
		t.Errorf("the auditor reads %s", document)
	}
	if a := f.call(t, "root", "GET", "/export?server=notes", nil).want(t, 200, ""); strings.Contains(a.Body.String(), "secret-project") || strings.Contains(a.Body.String(), `"aws-sm": {`) || !strings.HasPrefix(a.Body.String(), "{\n  \"servers\": {\n") || !strings.HasSuffix(a.Body.String(), "}\n") {
		t.Errorf("one server is %s", a.Body)
	}
}

// TestAPlanChangesNothingAndSaysWhatWouldBeDone.
func TestAPlanChangesNothingAndSaysWhatWouldBeDone(t *testing.T) {
	f := newFixture(t)
	_, plan := f.applies(t, "root", "/apply?dry_run=true", catalogueBody)
	same(t, plan, "create store/aws-sm", "create server/notes", "create tool/notes/whoami unchecked", "create agent/corp:writer", "create assignment/notes unchecked",
		"create binding/notes/dev-notes unchecked", "none environment/prod")
	if document := f.exported(t, "root"); strings.TrimSpace(document) != `{"environment":{"state":"active"},"policy_sets":{}}` {
		t.Errorf("the plan made %s", document)
	}
	f.applies(t, "root", "/apply", catalogueBody)
	f.call(t, "root", "PUT", "/servers/notes/tools/more", toolBody, "If-None-Match", "*").want(t, 200, "")
	f.call(t, "root", "PUT", "/servers/wiki", serverBody, "If-None-Match", "*").want(t, 200, "")
	changed := strings.NewReplacer(`"tools":["*"]`, `"tools":["a"]`, `"ceiling":"medium"`, `"ceiling":"low"`, `"state":"active",
		"tools"`, `"state":"suspended","description":"closed","tools"`).Replace(catalogueBody)
	_, plan = f.applies(t, "root", "/apply?dry_run=true", changed)
	want := []string{"none store/aws-sm", "change server/notes description,state", "none tool/notes/whoami", "change agent/corp:writer ceiling", "none assignment/notes",
		"change binding/notes/dev-notes allow", "none environment/prod", "extra server/wiki", "extra tool/notes/more"}
	same(t, plan, want...)
	_, done := f.applies(t, "root", "/apply", changed)
	same(t, done, want...)
}

// TestEachObjectIsPermittedAsByItsOwnOperation: what an owner may not do is
// refused, the rest is done, and each has records of its own.
func TestEachObjectIsPermittedAsByItsOwnOperation(t *testing.T) {
	f := newFixture(t)
	f.applies(t, "root", "/apply", catalogueBody)
	changed := strings.NewReplacer(`"paths":["prod/*"],"state"`, `"paths":["*"],"state"`, `"risk":"low"`, `"risk":"high"`, "https://notes.example.com", "https://evil.example.com",
		`"ceiling":"medium"`, `"ceiling":"critical"`, `"environment":{"state":"active"}`, `"environment":{"state":"suspended"}`).Replace(catalogueBody)
	a, done := f.applies(t, "owner", "/apply", changed)
	want := []string{"refused store/aws-sm forbidden", "refused server/notes forbidden", "change tool/notes/whoami risk", "refused agent/corp:writer forbidden",
		"none assignment/notes", "none binding/notes/dev-notes", "refused environment/prod forbidden"}
	same(t, done, want...)
	var applied Applied
	if err := json.Unmarshal(a.Body.Bytes(), &applied); err != nil {
		t.Fatal(err)
	}
	for _, s := range applied.Objects {
		records := f.tables.Records(s.Receipt)
		switch {
		case s.Action == stepRefused && (len(records) != 1 || records[0].Phase != broker.Refused || records[0].Reason != broker.NotPermitted || records[0].Principal != "p-owner"):
			t.Errorf("%s: recorded %+v", s.Object, records)
		case s.Action == stepChange && (len(records) != 2 || records[0].Method != "put-tool" || !strings.Contains(records[0].After, `"risk":"high"`)):
			t.Errorf("%s: recorded %+v", s.Object, records)
		}
	}
	_, done = f.applies(t, "nobody", "/apply", changed)
	for _, line := range done {
		if !strings.HasPrefix(line, "refused ") || !strings.HasSuffix(line, " forbidden") {
			t.Errorf("nobody: %s", line)
		}
	}
}

// TestNobodyLearnsFromApplying whether something exists, or what it is.
func TestNobodyLearnsFromApplying(t *testing.T) {
	f := newFixture(t)
	f.applies(t, "root", "/apply", catalogueBody)
	for _, query := range []string{"", "?dry_run=true"} {
		_, exists := f.applies(t, "other", "/apply"+query, catalogueBody)
		_, not := f.applies(t, "other", "/apply"+query, strings.NewReplacer(`"notes":{`, `"wiki":{`, `"aws-sm":{`, `"aws-xx":{`, "corp:writer", "corp:other", "dev-notes", "dev-wiki", "whoami", "w").Replace(catalogueBody))
		for i := range exists {
			if strings.Fields(exists[i])[2] != "forbidden" || strings.Fields(not[i])[2] != "forbidden" {
				t.Errorf("%s, and what is not there %s", exists[i], not[i])
			}
		}
	}
}

// TestOneObjectThatCannotBeDoesNotStopTheOthers.
func TestOneObjectThatCannotBeDoesNotStopTheOthers(t *testing.T) {
	f := newFixture(t)
	f.applies(t, "root", "/apply", catalogueBody)
	f.call(t, "root", "DELETE", "/agents/corp:writer", nil, "If-Match", `"v1"`).want(t, 204, "")
	broken := strings.NewReplacer("prod/notes#token", "prod/none#token", `"risk":"low"`, `"risk":"high"`, "example.com/mcp", "example.com/mcp?a=b").Replace(catalogueBody)
	_, done := f.applies(t, "root", "/apply", broken)
	same(t, done, "none store/aws-sm", "refused server/notes invalid", "change tool/notes/whoami risk", "refused agent/corp:writer version_conflict", "none assignment/notes",
		"refused binding/notes/dev-notes reference_unresolved", "none environment/prod")
}

// TestTwoDocumentsAtOnce: one wins at each object, the other is told.
func TestTwoDocumentsAtOnce(t *testing.T) {
	f := newFixture(t)
	f.applies(t, "root", "/apply", catalogueBody)
	var lines [2][]string
	var both sync.WaitGroup
	ready := make(chan struct{})
	f.tables.Inject(memory.PutTool, slices.Repeat([]memory.Fault{{Wait: func(context.Context) { <-ready }}}, 2)...)
	for i, risk := range []string{"high", "critical"} {
		both.Go(func() {
			_, lines[i] = f.applies(t, "root", "/apply", strings.Replace(catalogueBody, `"risk":"low"`, `"risk":"`+risk+`"`, 1))
		})
	}
	close(ready)
	both.Wait()
	first, second := lines[0][2], lines[1][2]
	won, lost := "change tool/notes/whoami risk", "refused tool/notes/whoami version_conflict"
	if !(first == won && second == won || first == won && second == lost || first == lost && second == won) { // one after the other, or at once
		t.Errorf("%s, %s", first, second)
	}
	got := f.call(t, "root", "GET", "/servers/notes/tools/whoami", nil)
	if first == lost && got.body["risk"] != "critical" || second == lost && got.body["risk"] != "high" {
		t.Errorf("%s, %s, and it is %s", first, second, got.Body)
	}
}

// TestAnApplyThatBrokeOffIsCompletedByTheNext, whatever the tables did.
func TestAnApplyThatBrokeOffIsCompletedByTheNext(t *testing.T) {
	for op, object := range map[memory.Op]string{memory.PutServer: "server/notes", memory.PutTool: "tool/notes/whoami", memory.PutBinding: "binding/notes/dev-notes"} {
		for name, fault := range map[string]memory.Fault{"before the write": memory.Refuse(), "after it": memory.Lose()} {
			t.Run(fmt.Sprint(object, " ", name), func(t *testing.T) {
				f := newFixture(t)
				f.tables.Inject(op, slices.Repeat([]memory.Fault{fault}, 8)...)
				_, done := f.applies(t, "root", "/apply", catalogueBody)
				if !slices.Contains(done, "refused "+object+" unavailable") {
					t.Errorf("%v", done)
				}
				f.tables.Clear()
				f.applies(t, "root", "/apply", catalogueBody)
				_, done = f.applies(t, "root", "/apply", catalogueBody)
				if len(done) != 7 || slices.ContainsFunc(done, func(line string) bool { return !strings.HasPrefix(line, "none ") }) {
					t.Errorf("the third time: %v", done)
				}
			})
		}
	}
}

// TestAnApplyEndsBeforeItsInvocation, and says what it had no time for.
func TestAnApplyEndsBeforeItsInvocation(t *testing.T) {
	f := newFixture(t)
	late := time.Duration(0)
	f.now = func() time.Time { return time.Now().Add(late) }
	f.tables.Inject(memory.PutServer, memory.Fault{Wait: func(context.Context) { late = applyTime + time.Second }})
	_, done := f.applies(t, "root", "/apply", catalogueBody)
	same(t, done, "create store/aws-sm", "create server/notes", "unfinished tool/notes/whoami", "unfinished agent/corp:writer", "unfinished assignment/notes",
		"unfinished binding/notes/dev-notes", "unfinished environment/prod")
	_, done = f.applies(t, "root", "/apply", catalogueBody)
	same(t, done, "none store/aws-sm", "none server/notes", "create tool/notes/whoami", "create agent/corp:writer", "create assignment/notes",
		"create binding/notes/dev-notes", "none environment/prod")
}
