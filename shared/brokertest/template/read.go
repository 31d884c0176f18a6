// Package template reads the product's SAM template, with the files it nests, and
// tells what it would deploy: resources with their names and ARNs, and the roles
// and policies by which AWS would decide.
//
// It decides parameters, conditions and functions as CloudFormation does, and a
// function that it does not know is an error. It expands no macro of SAM, deploys
// nothing, and makes up what only a deployment would know: account, region, the
// ids of keys.
package template

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Where a template is deployed here.
const (
	Region    = "us-east-1"
	AccountID = "123456789012" // the one that emulators pretend to be
)

// Stack is a template with the values of its parameters.
type Stack struct {
	file       string
	document   map[string]any
	parameters map[string]any
	nested     map[string]*Stack // by the resource that nests it
}

// Read reads a template as a stack of a name. Parameters that are not given have
// their defaults.
func Read(file, name string, given map[string]any) (*Stack, error) {
	document, err := Parse(file)
	if err != nil {
		return nil, err
	}
	s := &Stack{file: file, document: document, nested: map[string]*Stack{}, parameters: map[string]any{
		"AWS::StackName": name, "AWS::Region": Region, "AWS::AccountId": AccountID, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com", "AWS::NoValue": nil}}
	for parameter, declared := range members(document["Parameters"]) {
		value, isGiven := given[parameter]
		if !isGiven {
			value, isGiven = members(declared)["Default"]
		}
		if !isGiven {
			return nil, fmt.Errorf("%s: the parameter %s has no value", file, parameter)
		}
		if text, ok := value.(string); ok && members(declared)["Type"] == "CommaDelimitedList" {
			value = list(text)
		}
		s.parameters[parameter] = value
	}
	for parameter := range given {
		if _, declared := s.parameters[parameter]; !declared {
			return nil, fmt.Errorf("%s: there is no parameter %s", file, parameter)
		}
	}
	return s, nil
}

func list(text string) (all []any) {
	for one := range strings.SplitSeq(text, ",") {
		all = append(all, strings.TrimSpace(one))
	}
	return all
}

// Parse reads a template's text, with the short forms of functions (!Ref x,
// !GetAtt x.y) in their long ones.
func Parse(file string) (map[string]any, error) {
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	value, err := long(document.Content[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return members(value), nil
}

func long(n *yaml.Node) (any, error) {
	value, err := untagged(n)
	if err != nil || !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") {
		return value, err
	}
	switch name := n.Tag[1:]; name {
	case "Ref", "Condition":
		return map[string]any{name: value}, nil
	case "GetAtt":
		if text, ok := value.(string); ok {
			resource, attribute, _ := strings.Cut(text, ".")
			value = []any{resource, attribute}
		}
		return map[string]any{"Fn::GetAtt": value}, nil
	default:
		return map[string]any{"Fn::" + name: value}, nil
	}
}

func untagged(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
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
		all := []any{}
		for _, c := range n.Content {
			value, err := long(c)
			if err != nil {
				return nil, err
			}
			all = append(all, value)
		}
		return all, nil
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

// Resources are the names of the resources of a type, nested stacks left out.
func (s *Stack) Resources(kind string) (names []string) {
	for name, r := range members(s.document["Resources"]) {
		if members(r)["Type"] == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Stacks are this stack and all that it nests, resolved.
func (s *Stack) Stacks() ([]*Stack, error) {
	all := []*Stack{s}
	for _, name := range s.Resources("AWS::CloudFormation::Stack") {
		inner, err := s.stack(name)
		if err != nil {
			return nil, err
		}
		more, err := inner.Stacks()
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// stack is the one that a resource nests, with the parameters it is handed.
func (s *Stack) stack(name string) (*Stack, error) {
	if inner, read := s.nested[name]; read {
		return inner, nil
	}
	properties := members(members(members(s.document["Resources"])[name])["Properties"])
	location, ok := properties["TemplateURL"].(string)
	if !ok {
		return nil, fmt.Errorf("%s: %s names no file", s.file, name)
	}
	handed, err := s.Resolve(properties["Parameters"])
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s.file, name, err)
	}
	given := maps.Clone(members(handed))
	for parameter, value := range given {
		if several, ok := value.([]any); ok { // a list is handed on as its text
			value = joined(several, ",")
		}
		given[parameter] = fmt.Sprint(value)
	}
	inner, err := Read(filepath.Join(filepath.Dir(s.file), location), name, given)
	if err != nil {
		return nil, err
	}
	s.nested[name] = inner
	return inner, nil
}

// Has tells whether a resource is deployed, as its condition says.
func (s *Stack) Has(name string) (bool, error) {
	r, ok := members(s.document["Resources"])[name]
	if !ok {
		return false, nil
	}
	condition, conditional := members(r)["Condition"].(string)
	if !conditional {
		return true, nil
	}
	return s.condition(condition)
}

// Property is a resource's property, resolved; nil if it has none.
func (s *Stack) Property(resource, name string) (any, error) {
	value, err := s.Resolve(members(members(members(s.document["Resources"])[resource])["Properties"])[name])
	if err != nil {
		return nil, fmt.Errorf("%s: %s.%s: %w", s.file, resource, name, err)
	}
	return value, nil
}

func members(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}
