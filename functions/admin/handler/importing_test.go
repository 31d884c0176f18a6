package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/brokertest/leak"
	"bindery/shared/credential"
	"bindery/shared/mask"
	"bindery/shared/memory"
	"bindery/shared/secret"
)

const sealedBody = `{"kind":"sealed","paths":["*"],"state":"active"}`

// importing wraps a file as a request.
func importing(file string) string {
	return `{"document":` + file + `,"store":"sealed","owner":"team-notes","actor":{"group":"dev"},"allow":{"tools":["*"]}}`
}

const importBody = `{"document":{"mcpServers":{"Team Notes":{"type":"http","url":"https://notes.example.com/mcp","headers":{"Authorization":"Bearer ` + canary + `"}}}},
	"store":"sealed","owner":"team-notes","actor":{"group":"dev"},"allow":{"tools":["*"]}}`

// kept holds what was sealed, with the origin that it was sealed for. It is both
// ends of the store.
type kept struct {
	mu     sync.Mutex
	values map[string]string
	origin map[string]string
	puts   int64
}

func (k *kept) Put(_ context.Context, _, id, origin string, v secret.Value) (int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values[id], k.origin[id] = v.Reveal(), origin
	k.puts++
	return k.puts, nil
}

func (k *kept) Delete(_ context.Context, _, id string) error {
	delete(k.values, id)
	return nil
}

func (k *kept) Fetch(_ context.Context, w broker.Want) (broker.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := w.Reference.Path()
	text, there := k.values[id]
	if !there || k.origin[id] != w.Origin {
		return broker.Secret{}, broker.ErrSecretMissing
	}
	values, err := broker.Members(secret.New(text), w.Keys)
	return broker.Secret{Values: values, Version: strconv.FormatInt(k.puts, 10)}, err
}

// importFixture can seal values and resolve references to them.
func importFixture(t *testing.T) (*fixture, *kept) {
	t.Helper()
	f := newFixture(t)
	k := &kept{values: map[string]string{}, origin: map[string]string{}}
	f.values = k
	f.registry.Sources = map[broker.SourceKind]broker.Source{
		broker.Static: credential.NewStatic(map[string]broker.SecretStore{"aws-sm": vault{}, "sealed": k}, mask.Check)}
	f.call(t, "root", "PUT", "/stores/sealed", sealedBody, "If-None-Match", "*").want(t, 200, "")
	return f, k
}

func (f *fixture) imports(t *testing.T, who, query, file string) (answer, Imported) {
	t.Helper()
	a := f.call(t, who, "POST", "/import"+query, importing(file)).want(t, 200, "")
	var got Imported
	if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return a, got
}

func actions(steps []Step) (lines []string) {
	for _, s := range steps {
		lines = append(lines, s.Action+" "+s.Object)
	}
	return lines
}

// everything is a file with one of each.
var everything = `{"inputs":[{"id":"x"}],"mcpServers":{
	"Team Notes":{"type":"http","url":"https://notes.example.com/mcp","headers":{"Authorization":"Bearer ` + canary + `","X-Api-Key":"` + canary + `2","Accept":"text/plain","X-Region":"eu"}},
	"search":{"serverUrl":"https://search.example.com/mcp?api_key=` + canary + `3","headers":{"Authorization":"token ` + githubCanary + `"}},
	"open":{"url":"https://open.example.com/mcp","headers":{"Authorization":"Bearer ${OPEN_TOKEN:-` + canary + `}","X-Key":"` + canary + `4"}},
	"public":{"url":"https://public.example.com/mcp"},
	"local":{"command":"npx","args":["-y","server","--token=` + canary + `"],"env":{"TOKEN":"` + canary + `"}},
	"events":{"type":"sse","url":"https://events.example.com/sse"},
	"userinfo":{"url":"https://bot:` + canary + `@user.example.com/mcp"},
	"in-path":{"url":"https://path.example.com/` + canary + `/mcp"},
	"team notes":{"url":"https://twice.example.com/mcp"},
	"` + canary + `":{"url":"https://named.example.com/mcp"},
	"odd":{"url":"https://odd.example.com/mcp","headers":{"` + canary + `":"x","X-A":["` + canary + `"]},"env":{"A":"` + canary + `"}},
	"no":"` + canary + `","äö":{}}}`

// TestAnImportPlansWithoutStoringAnything, and says by names and references what
// it would do (a golden file).
func TestAnImportPlansWithoutStoringAnything(t *testing.T) {
	f, k := importFixture(t)
	a, got := f.imports(t, "root", "?dry_run=true", everything)
	text := a.Body.Bytes()
	for _, s := range got.Objects {
		if s.Receipt != "" {
			text = bytes.ReplaceAll(text, []byte(s.Receipt), []byte("RECEIPT"))
		}
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/import-plan.golden.json"
	if *update {
		if err := os.WriteFile(golden, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Error(diff)
	}
	if k.puts != 0 || strings.Contains(f.exported(t, "root"), `"servers"`) {
		t.Errorf("the plan stored %d values, and made %s", k.puts, f.exported(t, "root"))
	}
	f.keepsNothing(t)
}

// TestAnImportMovesLiteralsToTheStore: sealed for the origin of the file, each in
// its own field; the catalogue holds references, and a second import changes
// nothing but that it seals again.
func TestAnImportMovesLiteralsToTheStore(t *testing.T) {
	f, k := importFixture(t)
	f.production = false
	_, got := f.imports(t, "root", "", everything)
	same(t, actions(got.Objects), "create server/odd", "create server/open", "create server/public", "create server/search", "create server/team-notes",
		"create binding/odd/imported", "create binding/public/imported", "create value/search-imported", "create binding/search/imported",
		"create value/team-notes-imported", "create binding/team-notes/imported", "create value/open-imported")
	if diff := cmp.Diff(map[string]string{"search-imported": `{"api-key":"` + canary + `3","token":"` + githubCanary + `"}`,
		"team-notes-imported": `{"token":"` + canary + `","x-api-key":"` + canary + `2"}`, "open-imported": `{"x-key":"` + canary + `4"}`}, k.values); diff != "" {
		t.Error(diff)
	}
	for id, server := range map[string]string{"search-imported": "https://search.example.com", "team-notes-imported": "https://notes.example.com"} {
		if origin, _ := broker.OriginDigest(server); k.origin[id] != origin {
			t.Errorf("%s is sealed for another origin", id)
		}
	}
	document := f.exported(t, "root")
	if !strings.Contains(document, `"attach":[{"in":"header","name":"Authorization","template":"Bearer {token}"}`) || !strings.Contains(document, `"sealed:team-notes-imported#token"`) {
		t.Errorf("the catalogue is %s", document)
	}
	_, again := f.imports(t, "root", "", everything)
	for _, s := range again.Objects {
		if s.Action != stepNone && !(s.Action == stepCreate && strings.HasPrefix(s.Object, "value/")) {
			t.Errorf("the second time: %s %s %v", s.Action, s.Object, s.Problem)
		}
	}
	if f.exported(t, "root") != document {
		t.Error("the second import changed the catalogue")
	}
	f.keepsNothing(t)
}

// TestAnImportKeepsNoSecretInAnyTable: not in the catalogue, the audit log, or
// what is remembered of requests, whoever asks and whatever goes wrong.
func TestAnImportKeepsNoSecretInAnyTable(t *testing.T) {
	f, _ := importFixture(t)
	bodies := []string{importing(everything), importing(everything) + "}", strings.Replace(importing(everything), `"store":"sealed"`, `"store":"none"`, 1),
		strings.Replace(importing(everything), `"owner"`, `"more":1,"owner"`, 1), importing(`{"servers":{"a":"` + canary + `"}}`), importing(`["` + canary + `"]`),
		strings.Replace(importing(everything), `"owner":"team-notes"`, `"owner":"`+canary+`"`, 1), strings.Replace(importing(everything), `"document"`, `"Document"`, 1),
		importing(strings.Repeat(`{"a":`, 40) + `"` + canary + `"` + strings.Repeat("}", 40)), importing(`{"mcpServers":{"a":{"url":"` + canary + `"},"a":{}}}`),
		importing(`{"mcpServers":{"a":{"url":"https://a.example.com","headers":{"X-A":"` + strings.Repeat(canary, 1<<16) + `"}}}}`)}
	for _, who := range []string{"root", "owner", "nobody"} {
		for i, body := range bodies {
			f.tables.Inject(memory.PutServer, []memory.Fault{memory.Refuse(), memory.Lose()}[i%2])
			a := f.call(t, who, "POST", "/import", body, "Idempotency-Key", fmt.Sprint("key ", i))
			if a.Code >= 500 {
				t.Errorf("%s, body %d: answered %d", who, i, a.Code)
			}
			f.tables.Clear()
			attempt := broker.Attempt{Environment: "prod", Principal: people[who].ID, Key: digest(fmt.Append(nil, "key ", i)), Request: "another", Receipt: "another", Begun: f.now().UTC()}
			if counts, err := f.attempts.BeginAttempt(t.Context(), attempt); err != nil || counts.Receipt != "another" {
				t.Errorf("%s, body %d: the request is remembered: %v %v", who, i, counts.Receipt, err)
			}
		}
	}
	f.keepsNothing(t)
	if found := leak.Find([]byte(f.exported(t, "root")), canary); len(found) > 0 {
		t.Error("a secret is in the catalogue")
	}
}

// TestAnImportSealsNothingForAnotherUpstream: where a server of that name exists
// and is another, or cannot be put, its literals stay in the file.
func TestAnImportSealsNothingForAnotherUpstream(t *testing.T) {
	file := `{"mcpServers":{"notes":{"url":"https://evil.example.com/mcp","headers":{"Authorization":"Bearer ` + canary + `"}}}}`
	f, k := importFixture(t)
	f.call(t, "root", "PUT", "/servers/notes", serverBody, "If-None-Match", "*").want(t, 200, "")
	if _, got := f.imports(t, "root", "", file); len(got.Objects) != 0 || len(got.References) != 0 || len(got.Left) != 1 || got.Left[0].Reason != leftExists {
		t.Errorf("%+v", got)
	}
	f, k2 := importFixture(t)
	f.tables.Inject(memory.PutServer, slices.Repeat([]memory.Fault{memory.Refuse()}, 8)...)
	_, got := f.imports(t, "root", "", file)
	same(t, actions(got.Objects), "refused server/notes", "refused value/notes-imported", "refused binding/notes/imported")
	if k.puts+k2.puts != 0 {
		t.Error("a value was sealed")
	}
}

// TestAnImportTakesItsPermissions: of each operation that it stands for.
func TestAnImportTakesItsPermissions(t *testing.T) {
	f, k := importFixture(t)
	for _, who := range []string{"owner", "other", "nobody"} {
		f.call(t, who, "POST", "/import", importBody).want(t, 403, "forbidden")
	}
	_, got := f.imports(t, "auditor", "", `{"mcpServers":{"notes":{"url":"https://notes.example.com/mcp","headers":{"Authorization":"Bearer `+canary+`"}}}}`)
	same(t, actions(got.Objects), "refused server/notes", "refused value/notes-imported", "refused binding/notes/imported")
	if k.puts != 0 {
		t.Error("a value was sealed")
	}
}

// TestAnImportTakesStoresThatItCanWriteTo.
func TestAnImportTakesStoresThatItCanWriteTo(t *testing.T) {
	f, _ := importFixture(t)
	f.call(t, "root", "PUT", "/stores/aws-sm", storeBody, "If-None-Match", "*").want(t, 200, "")
	for _, store := range []string{"aws-sm", "none"} {
		f.call(t, "root", "POST", "/import", strings.Replace(importBody, `"store":"sealed"`, `"store":"`+store+`"`, 1)).want(t, 422, "invalid")
	}
}

// TestNamesOfValuesAreTheServersAlone: no two servers share a value.
func TestNamesOfValuesAreTheServersAlone(t *testing.T) {
	seen := map[string]string{}
	long := strings.Repeat("a", 39)
	for _, server := range []string{"a", "a-imported", "a-b", long, long + "a", long + "b", long[:38], strings.Repeat("a", 31), strings.Repeat("a", 30)} {
		name := valueName(server)
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s share %s", server, other, name)
		}
		if err := broker.CheckName("value", name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		seen[name] = server
	}
}
