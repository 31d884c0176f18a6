package tests

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"bindery/shared/broker"
	"bindery/shared/events"
)

var update = flag.Bool("update", false, "rewrite the schemas and samples of events")

const catalogueFolder = "../events/catalogue"

// TestEachTypeOfEventHasItsSchemaAndSample: the schema follows from the types in
// the code, the sample from a record as it is written. Both are files, so that
// whoever listens sees what changes.
func TestEachTypeOfEventHasItsSchemaAndSample(t *testing.T) {
	files := []string{}
	for _, k := range events.Kinds() {
		for name, got := range map[string]any{k.Type + ".schema.json": schemaOf(t, k), k.Type + ".sample.json": sampleOf(t, k)} {
			files = append(files, name)
			text, err := json.MarshalIndent(got, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, '\n')
			path := filepath.Join(catalogueFolder, name)
			if *update {
				if err := os.WriteFile(path, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := diff.Diff(string(want), string(text)); d != "" {
				t.Errorf("%s (-file +code):\n%s", name, d)
			}
		}
	}
	found, err := filepath.Glob(catalogueFolder + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if !slices.Contains(files, filepath.Base(path)) {
			t.Errorf("%s is of no type", path)
		}
	}
}

// TestSamplesOfEventsAreValid, and would not be as events of another type.
func TestSamplesOfEventsAreValid(t *testing.T) {
	schemas, all := map[string]*jsonschema.Resolved{}, map[string]any{}
	for _, k := range events.Kinds() {
		var s jsonschema.Schema
		readJSON(t, k.Type+".schema.json", &s)
		resolved, err := s.Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		schemas[k.Type] = resolved
		var sample any
		readJSON(t, k.Type+".sample.json", &sample)
		all[k.Type] = sample
	}
	for of, s := range schemas {
		for is, sample := range all {
			if err := s.Validate(sample); (err == nil) != (is == of) {
				t.Errorf("the sample of %s by the schema of %s: %v", is, of, err)
			}
		}
	}
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(catalogueFolder, name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(name, err)
	}
}

// sampleOf is the event as a rule of EventBridge sees it. What EventBridge adds is
// made up.
func sampleOf(t *testing.T, k events.Kind) any {
	t.Helper()
	e, ok, err := events.Of(sampleRecord(t, k))
	if !ok || err != nil || e.Type != k.Type {
		t.Fatalf("%s: an event %q of its record: %t, %v", k.Type, e.Type, ok, err)
	}
	return struct {
		Version    string          `json:"version"`
		ID         string          `json:"id"`
		DetailType string          `json:"detail-type"`
		Source     string          `json:"source"`
		Account    string          `json:"account"`
		Time       string          `json:"time"`
		Region     string          `json:"region"`
		Resources  []string        `json:"resources"`
		Detail     json.RawMessage `json:"detail"`
	}{"0", "17793124-05d4-b198-2fde-7ededc63b103", e.Type, events.Source, "123456789012", "2026-03-01T12:00:00Z", "eu-central-1", []string{}, e.Detail}
}

// schemaOf describes the event as a rule of EventBridge sees it. It leaves room
// for members that come later.
func schemaOf(t *testing.T, k events.Kind) *jsonschema.Schema {
	t.Helper()
	detail := schemaFor(t, reflect.TypeFor[events.Detail]())
	detail.Properties["type"] = constant(k.Type)
	delete(detail.Properties, "detail")
	switch {
	case k.Fact != "":
		delete(detail.Properties, "operation")
		if own := sampleFact(t, k.Fact).Detail; own != nil {
			detail.Properties["detail"] = schemaFor(t, reflect.TypeOf(own))
			detail.Required = append(detail.Required, "detail")
		}
	case k.Operation != "":
		detail.Properties["operation"] = constant(k.Operation)
		detail.Required = append(detail.Required, "operation")
	}
	return &jsonschema.Schema{Schema: "https://json-schema.org/draft/2020-12/schema", Title: k.Type, Description: k.Says, Type: "object",
		Required:   []string{"source", "detail-type", "detail"},
		Properties: map[string]*jsonschema.Schema{"source": constant(events.Source), "detail-type": constant(k.Type), "detail": detail}}
}

func constant(s string) *jsonschema.Schema {
	var value any = s
	return &jsonschema.Schema{Const: &value}
}

func schemaFor(t *testing.T, of reflect.Type) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.ForType(of, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[json.RawMessage](): {Type: "object"}, reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"}}})
	if err != nil {
		t.Fatal(err)
	}
	widen(s)
	return s
}

// widen lets an object have further members. Members that may be absent are never
// null.
func widen(s *jsonschema.Schema) {
	s.PropertyOrder = nil
	if s.Type == "" && len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
	if s.Properties != nil {
		s.AdditionalProperties = nil
	}
	for _, one := range s.Properties {
		widen(one)
	}
	if s.Items != nil {
		widen(s.Items)
	}
}

// TestEveryFactAndEveryChangeIsAnEvent: each fact has a type, and each change of
// the admin API has one or is known to need none.
func TestEveryFactAndEveryChangeIsAnEvent(t *testing.T) {
	facts, operations := map[broker.FactKind]bool{}, map[string]bool{}
	types := map[string]bool{}
	for _, k := range events.Kinds() {
		facts[k.Fact], operations[k.Operation] = true, true
		if types[k.Type] || k.Says == "" {
			t.Errorf("%+v", k)
		}
		types[k.Type] = true
	}
	for _, f := range broker.FactKinds() {
		if !facts[f] {
			t.Errorf("%s is no event", f)
		}
	}
	known := map[string]bool{"finish-consent": true, "allow-consent": true, "end-connection": true} // of the connect pages
	for _, item := range adminDocument(t).Paths {
		for method, o := range item {
			known[o.OperationID] = true
			if method != "get" && !operations[o.OperationID] && untold()[o.OperationID] == "" {
				t.Errorf("%s changes something, and nobody is told", o.OperationID)
			}
		}
	}
	for o := range operations {
		if o != "" && !known[o] {
			t.Errorf("%s is no operation", o)
		}
	}
	for o := range untold() {
		if !known[o] || operations[o] {
			t.Errorf("%s needs no reason", o)
		}
	}
}

// untold are operations of which there is no event, each with the reason.
func untold() map[string]string {
	const question = "it changes nothing"
	const itself = "each object is recorded by itself"
	const fact = "a fact says it"
	return map[string]string{"explain": question, "lookup-principal": question, "verify-binding": question, "check-store": question,
		"sync-store": question, "revoke": fact, "lift-revocation": fact, "open-incident": fact, "start-rotation": fact, "cancel-rotation": fact,
		"apply": itself, "import": itself}
}

func TestTableOfEventsIsTheCatalogue(t *testing.T) {
	var want [][]string
	for _, k := range events.Kinds() {
		want = append(want, []string{k.Type, strings.ReplaceAll(k.Says, "`", "")})
	}
	if d := diff.Diff(want, columns(table(t, "docs/events.md", "type", "what it means"), 2)); d != "" {
		t.Errorf("docs/events.md (-code +document):\n%s", d)
	}
}

// TestDetailOfEventsIsDescribed: each member has a row.
func TestDetailOfEventsIsDescribed(t *testing.T) {
	members := schemaFor(t, reflect.TypeFor[events.Detail]()).Properties
	var described []string
	for _, row := range table(t, "docs/events.md", "member", "what it is") {
		described = append(described, strings.Trim(row[0], "`"))
	}
	slices.Sort(described)
	if d := diff.Diff(slices.Sorted(maps.Keys(members)), described); d != "" {
		t.Errorf("docs/events.md (-code +document):\n%s", d)
	}
}
