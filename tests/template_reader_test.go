package tests

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"bindery/shared/brokertest/template"
)

// object is a mapping of the template, with the short forms of CloudFormation
// (!Ref x, !GetAtt x.y) in their long ones.
type object map[string]any

// readFile reads one file of the template as it stands.
func readFile(t *testing.T, name string) object {
	t.Helper()
	document, err := template.Parse("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return objects(document).(object)
}

// objects gives every mapping the methods of this file.
func objects(value any) any {
	switch value := value.(type) {
	case map[string]any:
		o := object{}
		for name, inner := range value {
			o[name] = objects(inner)
		}
		return o
	case []any:
		for i, inner := range value {
			value[i] = objects(inner)
		}
	}
	return value
}

// at gives the mapping under name, or an empty one.
func (o object) at(name string) object {
	value, _ := o[name].(object)
	return value
}

// get walks down and ends the test where there is no mapping.
func (o object) get(t *testing.T, names ...string) object {
	t.Helper()
	for _, name := range names {
		if o = o.at(name); o == nil {
			t.Fatalf("the template has no %s (in %s)", name, strings.Join(names, "."))
		}
	}
	return o
}

func (o object) resource(t *testing.T, name string) object {
	t.Helper()
	return o.get(t, "Resources", name)
}

func (o object) text(name string) string { return textOf(o[name]) }

func textOf(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func (o object) keys() []string { return slices.Sorted(maps.Keys(o)) }

// list gives one value as a list of one, as IAM reads it.
func (o object) list(name string) []any {
	if list, ok := o[name].([]any); ok {
		return list
	}
	return []any{o[name]}
}

func (o object) texts(name string) (list []string) {
	for _, value := range o.list(name) {
		list = append(list, textOf(value))
	}
	return list
}

// events gives the properties of each route of a function.
func (o object) events(t *testing.T, function string) map[string]object {
	t.Helper()
	events := o.resource(t, function).get(t, "Properties", "Events")
	found := map[string]object{}
	for name := range events {
		found[name] = events.get(t, name, "Properties")
	}
	return found
}
