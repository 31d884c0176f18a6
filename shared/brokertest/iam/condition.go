package iam

import (
	"fmt"
	"slices"
	"strings"
)

// operator is how one condition compares.
type operator struct {
	set      string                      // ForAllValues, ForAnyValue, or nothing: the key has one value
	ifExists bool                        // a key that is absent satisfies it
	negated  bool                        // holds if no value compares, and of a key that is absent
	null     bool                        // asks whether the key is absent
	compare  func(want, got string) bool // a value of the policy with one of the request
}

func parseOperator(name string) (operator, error) {
	var o operator
	rest := name
	if set, after, found := strings.Cut(name, ":"); found {
		if set != "ForAllValues" && set != "ForAnyValue" {
			return o, fmt.Errorf("the set operator %s is not known", set)
		}
		o.set, rest = set, after
	}
	rest, o.ifExists = strings.CutSuffix(rest, "IfExists")
	switch rest {
	case "StringEquals", "StringNotEquals":
		o.compare = func(want, got string) bool { return want == got }
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "Bool":
		o.compare = strings.EqualFold
	case "StringLike", "StringNotLike":
		o.compare = glob
	case "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike": // AWS treats each pair alike
		o.compare = globARN
	case "Null":
		o.null = true
	default:
		return o, fmt.Errorf("the operator %s is not known", name)
	}
	o.negated = strings.Contains(rest, "Not")
	if o.null && (o.ifExists || o.set != "") {
		return o, fmt.Errorf("the operator %s does not exist", name)
	}
	return o, nil
}

// holds reports whether a request satisfies the condition.
func (c Condition) holds(keys map[string][]string) (bool, error) {
	o, err := parseOperator(c.Operator)
	if err != nil {
		return false, err
	}
	got := keys[strings.ToLower(c.Key)] // names of keys have no case
	switch {
	case o.null:
		return slices.Contains(c.Values, fmt.Sprint(len(got) == 0)), nil
	case len(got) == 0:
		return o.ifExists || o.negated && o.set != "ForAnyValue" || o.set == "ForAllValues", nil
	case o.set == "" && len(got) > 1:
		return false, fmt.Errorf("%s has several values, and %s does not say how to compare them", c.Key, c.Operator)
	}
	one := func(value string) bool {
		matches := slices.ContainsFunc(c.Values, func(want string) bool { return o.compare(want, value) })
		return matches != o.negated
	}
	if o.set == "ForAllValues" {
		return !slices.ContainsFunc(got, func(value string) bool { return !one(value) }), nil
	}
	return slices.ContainsFunc(got, one), nil
}

// glob compares with a pattern in which * is any text and ? any one character.
func glob(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, from := -1, 0 // where to go on from when what follows the last * does not fit
	i, j := 0, 0
	for j < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(string(p[i:]), "*") == ""
}

// globARN compares the six parts of an ARN one by one, so that no * reaches over
// a colon but in the last of them.
func globARN(pattern, text string) bool {
	p, t := strings.SplitN(pattern, ":", 6), strings.SplitN(text, ":", 6)
	if len(p) != 6 || len(t) != 6 {
		return false
	}
	for i := range p {
		if !glob(p[i], t[i]) {
			return false
		}
	}
	return true
}
