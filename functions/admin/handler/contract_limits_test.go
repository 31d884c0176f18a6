package handler

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// bodies are good requests, one for each operation that has a body.
func bodies() map[string]struct{ method, path, body string } {
	full := strings.Replace(serverBody, `"state"`, `"propagate":[{"attribute":"email","header":"X-User-Email"}],"limits":{"streams":1},"networks":["10.0.0.0/8"],"state"`, 1)
	return map[string]struct{ method, path, body string }{
		"put-environment":    {"PUT", "/environment", environmentBody},
		"put-server":         {"PUT", "/servers/another", full},
		"put-agent":          {"PUT", "/agents/another", agentBody},
		"put-tool":           {"PUT", "/servers/notes/tools/another", toolBody},
		"put-assignment":     {"PUT", "/assignments/another", assignmentBody},
		"post-policy-set":    {"POST", "/policy-sets?dry_run=true", setBody(noDeletion, deletionTests)},
		"put-store":          {"PUT", "/stores/another", storeBody},
		"put-provider":       {"PUT", "/providers/another", providerBody},
		"put-binding":        {"PUT", "/servers/notes/bindings/another", bindingBody},
		"put-value":          {"PUT", "/values/another", valueBody},
		"explain":            {"POST", "/explain", question},
		"apply":              {"POST", "/apply?dry_run=true", catalogueBody},
		"import":             {"POST", "/import?dry_run=true", importBody},
		"lookup-principal":   {"POST", "/principals/lookup", lookupBody},
		"revoke":             {"POST", "/revocations?dry_run=true", revocationBody},
		"put-rotation-plan":  {"PUT", "/rotation-plans/another", planBody},
		"start-rotation":     {"POST", "/rotations?dry_run=true", rotationBody},
		"acknowledge-notice": {"POST", "/notices/" + missingNotice.ID + "/acknowledge", noteBody},
		"open-incident":      {"POST", "/incidents?dry_run=true", incidentBody},
		"lift-revocation":    {"POST", "/revocations/" + noCase + "/lift?dry_run=true", liftBody},
	}
}

// TestContractLimitsHoldAtTheBorder: each limit of the document, of every member
// of every body: the last good value is not refused for that member, the first
// bad one is.
func TestContractLimitsHoldAtTheBorder(t *testing.T) {
	c := newContract(t)
	c.seed(t)
	tried := 0
	for id, b := range bodies() {
		schema := c.operations()[id].RequestBody.Value.Content["application/json"].Schema.Value
		walk(schema, nil, func(at []string, s *openapi3.Schema) {
			for _, border := range borders(s) {
				tried++
				inside := c.with(t, b.method, b.path, b.body, at, border.good)
				if slices.ContainsFunc(wrongPlaces(inside), func(place string) bool { return strings.HasPrefix(place, located(at)) }) {
					t.Errorf("%s: %s at its %s is refused: %.300s", id, located(at), border.what, inside.Body)
				}
				beyond := c.with(t, b.method, b.path, b.body, at, border.bad)
				if beyond.Code != 422 || !slices.ContainsFunc(wrongPlaces(beyond), func(place string) bool { return strings.HasPrefix(place, located(at)) }) {
					t.Errorf("%s: %s beyond its %s is answered %d %.300s", id, located(at), border.what, beyond.Code, beyond.Body)
				}
			}
		})
	}
	if tried < 60 {
		t.Errorf("only %d limits were found in the document", tried)
	}
	c.clean(t)
}

// TestContractRefusesWhatItDoesNotKnow: a member in any object of any body, and a
// query parameter of any operation.
func TestContractRefusesWhatItDoesNotKnow(t *testing.T) {
	c := newContract(t)
	c.seed(t)
	with := map[string]bool{}
	for id, b := range bodies() {
		with[id] = true
		schema := c.operations()[id].RequestBody.Value.Content["application/json"].Schema.Value
		objects := [][]string{nil}
		walk(schema, nil, func(at []string, s *openapi3.Schema) {
			if more := s.AdditionalProperties.Has; s.Type.Is("object") && s.AdditionalProperties.Schema == nil && (more == nil || !*more) {
				objects = append(objects, at)
			}
		})
		for _, at := range objects {
			c.with(t, b.method, b.path, b.body, append(slices.Clone(at), "unknown"), "words").want(t, 422, "invalid")
		}
	}
	for path, item := range c.document.Paths.Map() {
		path = strings.NewReplacer(base, "", "{server}", "notes", "{binding}", "dev-notes", "{tool}", "t", "{agent}", "a", "{store}", "s", "{assignment}", "a", "{set}", strings.Repeat("a", 64), "{value}", "v", "{provider}", "p", "{principal}", "p-aliceaaaaaaaaaaaaaaaaaaaaa", "{version}", "1", "{receipt}", noCase, "{revocation}", noCase, "{rotation}", noCase, "{incident}", noCase, "{plan}", "p", "{notice}", missingNotice.ID).Replace(path)
		for method, o := range item.Operations() {
			body := bodies()[o.OperationID].body
			if (o.RequestBody != nil) != with[o.OperationID] {
				t.Errorf("%s has a body, and this test has none for it", o.OperationID)
			}
			c.bad(t, invalid, "root", method, path+"?unknown=words", body, "If-Match", `"v1"`)
		}
	}
	c.clean(t)
}

// walk visits every member of a schema, whatever object or list it is in.
func walk(s *openapi3.Schema, at []string, visit func(at []string, s *openapi3.Schema)) {
	for name, member := range s.Properties {
		here := append(slices.Clone(at), name)
		visit(here, member.Value)
		walk(member.Value, here, visit)
	}
	if s.AdditionalProperties.Schema != nil { // objects by name
		walk(s.AdditionalProperties.Schema.Value, append(slices.Clone(at), "another"), visit)
	}
	if s.Items != nil {
		here := append(slices.Clone(at), "0")
		visit(here, s.Items.Value)
		walk(s.Items.Value, here, visit)
	}
}

// border is a limit with the last value inside and the first beyond.
type border struct {
	what      string
	good, bad any
}

func borders(s *openapi3.Schema) (list []border) {
	if s.MaxLength != nil && s.Pattern == "" && s.Format == "" {
		n := int(*s.MaxLength)
		list = append(list, border{"maxLength", strings.Repeat("ü", n), strings.Repeat("ü", n+1)})
	}
	if s.MinLength > 0 && s.Pattern == "" {
		list = append(list, border{"minLength", strings.Repeat("a", int(s.MinLength)), strings.Repeat("a", int(s.MinLength)-1)})
	}
	if s.MaxItems != nil {
		n := int(*s.MaxItems)
		list = append(list, border{"maxItems", slices.Repeat([]any{sample(s.Items.Value)}, n), slices.Repeat([]any{sample(s.Items.Value)}, n+1)})
	}
	if s.Max != nil {
		list = append(list, border{"maximum", *s.Max, *s.Max + 1})
	}
	if s.Min != nil {
		list = append(list, border{"minimum", *s.Min, *s.Min - 1})
	}
	if len(s.Enum) > 0 {
		list = append(list, border{"enum", s.Enum[len(s.Enum)-1], "Another"})
	}
	return list
}

// sample is an item that its schema allows.
func sample(s *openapi3.Schema) any {
	if !s.Type.Is("object") {
		return "a"
	}
	made := map[string]any{}
	for _, name := range s.Required {
		made[name] = "a"
		if p := s.Properties[name].Value; len(p.Enum) > 0 {
			made[name] = p.Enum[0]
		}
	}
	return made
}

// with sends a body in which one member is another.
func (c *contract) with(t *testing.T, method, path, body string, at []string, value any) answer {
	t.Helper()
	var request any
	if err := json.Unmarshal([]byte(body), &request); err != nil {
		t.Fatal(err)
	}
	query, header := "", []string{}
	if method == http.MethodPut && !strings.HasPrefix(path, "/values/") {
		query, header = "?dry_run=true", []string{"If-None-Match", "*"}
	}
	return c.call(t, "root", method, path+query, set(request, at, value), header...)
}

// set gives the JSON value with one member replaced, objects and lists on the
// way made where they are missing.
func set(v any, at []string, value any) any {
	if len(at) == 0 {
		return value
	}
	if at[0] == "0" {
		list, _ := v.([]any)
		if len(list) == 0 {
			list = []any{nil}
		}
		list[0] = set(list[0], at[1:], value)
		return list
	}
	object, ok := v.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	object[at[0]] = set(object[at[0]], at[1:], value)
	return object
}

// located is a place as a Problem names it.
func located(at []string) string {
	place := "body"
	for _, name := range at {
		if name == "0" {
			place += "[0]"
			continue
		}
		place += "." + name
	}
	return place
}

func wrongPlaces(a answer) (list []string) {
	errors, _ := a.body["errors"].([]any)
	for _, e := range errors {
		list = append(list, fmt.Sprint(e.(map[string]any)["location"]))
	}
	return list
}
