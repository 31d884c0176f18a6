package template

import (
	"fmt"
	"regexp"
	"strings"
)

// Resolve decides the functions in a value. What is AWS::NoValue is left out.
func (s *Stack) Resolve(value any) (any, error) {
	switch v := value.(type) {
	case []any:
		all := []any{}
		for _, one := range v {
			resolved, err := s.Resolve(one)
			if err != nil {
				return nil, err
			}
			if resolved != nil {
				all = append(all, resolved)
			}
		}
		return all, nil
	case map[string]any:
		if name, argument, ok := function(v); ok {
			return s.call(name, argument)
		}
		m := map[string]any{}
		for name, one := range v {
			resolved, err := s.Resolve(one)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if resolved != nil {
				m[name] = resolved
			}
		}
		return m, nil
	}
	return value, nil
}

// function tells whether a mapping is a call of one.
func function(m map[string]any) (name string, argument any, ok bool) {
	if len(m) != 1 {
		return "", nil, false
	}
	for name, argument = range m {
	}
	return name, argument, name == "Ref" || strings.HasPrefix(name, "Fn::")
}

func (s *Stack) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		return s.ref(fmt.Sprint(argument))
	case "Fn::If":
		choice, ok := argument.([]any)
		if !ok || len(choice) != 3 {
			return nil, fmt.Errorf("Fn::If %v", argument)
		}
		holds, err := s.condition(fmt.Sprint(choice[0]))
		if err != nil {
			return nil, err
		}
		if holds {
			return s.Resolve(choice[1])
		}
		return s.Resolve(choice[2])
	case "Fn::Sub":
		return s.sub(argument)
	case "Fn::GetAtt":
		path, ok := argument.([]any)
		if !ok || len(path) != 2 {
			return nil, fmt.Errorf("Fn::GetAtt %v", argument)
		}
		return s.attribute(fmt.Sprint(path[0]), fmt.Sprint(path[1]))
	case "Fn::Join":
		resolved, err := s.Resolve(argument)
		if err != nil {
			return nil, err
		}
		pair, ok := resolved.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("Fn::Join %v", argument)
		}
		parts, _ := pair[1].([]any)
		return joined(parts, fmt.Sprint(pair[0])), nil
	case "Fn::Split":
		pair, ok := argument.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("Fn::Split %v", argument)
		}
		text, err := s.Resolve(pair[1])
		if err != nil {
			return nil, err
		}
		var all []any
		for one := range strings.SplitSeq(fmt.Sprint(text), fmt.Sprint(pair[0])) {
			all = append(all, one)
		}
		return all, nil
	}
	return nil, fmt.Errorf("the function %s is not known", name)
}

func joined(parts []any, by string) string {
	all := make([]string, len(parts))
	for i, p := range parts {
		all[i] = fmt.Sprint(p)
	}
	return strings.Join(all, by)
}

// ref is a parameter's value, or what a resource is called.
func (s *Stack) ref(name string) (any, error) {
	if value, ok := s.parameters[name]; ok {
		return value, nil
	}
	return s.physical(name)
}

var placeholder = regexp.MustCompile(`\$\{([^!}][^}]*)\}`)

func (s *Stack) sub(argument any) (any, error) {
	text, own := fmt.Sprint(argument), map[string]any{}
	if pair, ok := argument.([]any); ok && len(pair) == 2 {
		text = fmt.Sprint(pair[0])
		resolved, err := s.Resolve(pair[1])
		if err != nil {
			return nil, err
		}
		own = members(resolved)
	}
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := found[2 : len(found)-1]
		if value, ok := own[name]; ok {
			return fmt.Sprint(value)
		}
		resource, attribute, isAttribute := strings.Cut(name, ".")
		value, err := s.ref(name)
		if isAttribute {
			value, err = s.attribute(resource, attribute)
		}
		if err != nil {
			failed = err
		}
		return fmt.Sprint(value)
	})
	return filled, failed
}

func (s *Stack) condition(name string) (bool, error) {
	declared, ok := members(s.document["Conditions"])[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %s", name)
	}
	return s.holds(declared)
}

func (s *Stack) holds(condition any) (bool, error) {
	m := members(condition)
	for name, argument := range m {
		if len(m) != 1 {
			break
		}
		if name == "Condition" {
			return s.condition(fmt.Sprint(argument))
		}
		parts, _ := argument.([]any)
		if name == "Fn::Equals" && len(parts) == 2 {
			both, err := s.Resolve(parts)
			if err != nil {
				return false, err
			}
			sides, _ := both.([]any)
			return len(sides) == 2 && fmt.Sprint(sides[0]) == fmt.Sprint(sides[1]), nil
		}
		if name != "Fn::And" && name != "Fn::Or" && name != "Fn::Not" {
			break
		}
		met := 0
		for _, part := range parts {
			holds, err := s.holds(part)
			if err != nil {
				return false, err
			}
			if holds {
				met++
			}
		}
		switch name {
		case "Fn::And":
			return met == len(parts), nil
		case "Fn::Or":
			return met > 0, nil
		default:
			return met == 0, nil
		}
	}
	return false, fmt.Errorf("the condition %v cannot be decided", condition)
}
