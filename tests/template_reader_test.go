package tests

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// object is a mapping of the template, with the short forms of CloudFormation
// (!Ref x, !GetAtt x.y) in their long ones.
type object map[string]any

// readFile reads one file of the template as it stands.
func readFile(t *testing.T, name string) object {
	t.Helper()
	text, err := os.ReadFile("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	value, err := long(document.Content[0])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value.(object)
}

// long turns a node into object, []any, string, int or bool.
func long(n *yaml.Node) (any, error) {
	value, err := untagged(n)
	if err != nil || !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return value, err
	}
	switch name := n.Tag[1:]; name {
	case "Ref", "Condition":
		return object{name: value}, nil
	case "GetAtt":
		if text, ok := value.(string); ok {
			resource, attribute, _ := strings.Cut(text, ".")
			value = []any{resource, attribute}
		}
		return object{"Fn::GetAtt": value}, nil
	default:
		return object{"Fn::" + name: value}, nil
	}
}

func untagged(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := object{}
		for i := 0; i < len(n.Content); i += 2 {
			value, err := long(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			if _, twice := m[n.Content[i].Value]; twice {
				return nil, fmt.Errorf("line %d: %s stands twice", n.Content[i].Line, n.Content[i].Value)
			}
			m[n.Content[i].Value] = value
		}
		return m, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			value, err := long(c)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.ScalarNode:
		if !strings.HasPrefix(n.Tag, "!!") { // a short form: its content is text
			return n.Value, nil
		}
		var value any
		err := n.Decode(&value)
		return value, err
	default:
		return nil, fmt.Errorf("line %d: CloudFormation has no anchors", n.Line)
	}
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
