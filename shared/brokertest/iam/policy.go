// Package iam decides requests by policies as AWS documents it: what a role may
// do, what a table's or a key's own policy adds or forbids, and how the two are
// put together. Tests ask it about the roles that the product deploys.
//
// It knows the parts of the language that the product's templates use, and reads
// strictly: an element, an operator or a variable that it does not know is an
// error, never a match. It knows no service control policies, no permissions
// boundaries, no session policies, and no principals of other accounts, and it
// never asks anybody.
package iam

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Policy is a policy document that has been read.
type Policy struct{ Statements []Statement }

// Statement is one statement of a policy.
type Statement struct {
	Sid        string
	Deny       bool
	Principals []string // of a resource's policy: ARNs, "*", or names of services
	Actions    []string
	Resources  []string
	Conditions []Condition
}

// Condition is one operator applied to one key. All conditions of a statement
// have to hold.
type Condition struct {
	Operator string // as it is written, such as ForAllValues:StringLike
	Key      string
	Values   []string
}

// Parse reads a policy document. ofResource tells whether it belongs to a
// resource, whose statements have to name principals; those of a role cannot.
func Parse(text []byte, ofResource bool) (Policy, error) {
	var document struct {
		Version   string
		Id        string //nolint:revive // the element's name
		Statement []map[string]json.RawMessage
	}
	if err := strict(text, &document); err != nil {
		return Policy{}, fmt.Errorf("iam: the policy: %w", err)
	}
	if document.Version != "2012-10-17" {
		return Policy{}, fmt.Errorf("iam: version %q of the policy language", document.Version)
	}
	var p Policy
	for i, members := range document.Statement {
		s, err := parseStatement(members, ofResource)
		if err != nil {
			return Policy{}, fmt.Errorf("iam: statement %d (%s): %w", i, members["Sid"], err)
		}
		p.Statements = append(p.Statements, s)
	}
	return p, nil
}

// strict refuses members that are not known. Of encoding/json's forgiveness, the
// case of names remains, which CloudFormation would refuse.
func strict(text []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func parseStatement(members map[string]json.RawMessage, ofResource bool) (s Statement, err error) {
	for name, value := range members {
		switch name {
		case "Sid":
			err = json.Unmarshal(value, &s.Sid)
		case "Effect":
			s.Deny, err = parseEffect(value)
		case "Action":
			s.Actions, err = texts(value)
		case "Resource":
			s.Resources, err = texts(value)
		case "Principal":
			s.Principals, err = parsePrincipals(value)
		case "Condition":
			s.Conditions, err = parseConditions(value)
		default: // NotAction, NotResource and NotPrincipal too: nothing here needs them, and they are wide
			err = fmt.Errorf("the element %s is not known", name)
		}
		if err != nil {
			return Statement{}, err
		}
	}
	switch {
	case members["Effect"] == nil || len(s.Actions) == 0 || len(s.Resources) == 0:
		return Statement{}, fmt.Errorf("a statement needs Effect, Action and Resource")
	case ofResource != (len(s.Principals) > 0):
		return Statement{}, fmt.Errorf("principals are named by the policies of resources, and by those alone")
	}
	return s, nil
}

func parseEffect(value json.RawMessage) (deny bool, err error) {
	var effect string
	if err := json.Unmarshal(value, &effect); err != nil {
		return false, err
	}
	if effect != "Allow" && effect != "Deny" {
		return false, fmt.Errorf("the effect %q is not known", effect)
	}
	return effect == "Deny", nil
}

// principal is one as policies here write it. AWS knows more spellings, such as an
// account's bare number; to pass over one would be to pass over a prohibition.
var principal = regexp.MustCompile(`^(\*|arn:[a-z-]+:(iam|sts)::[0-9]{12}:(root|[a-z-]+/[^*?]+)|[a-z0-9.-]+\.amazonaws\.com)$`)

func parsePrincipals(value json.RawMessage) (all []string, err error) {
	var anyone string
	if json.Unmarshal(value, &anyone) == nil {
		if anyone != "*" {
			return nil, fmt.Errorf("the principal %q is not known", anyone)
		}
		return []string{"*"}, nil
	}
	var kinds struct{ AWS, Service json.RawMessage }
	if err := strict(value, &kinds); err != nil {
		return nil, err
	}
	for _, kind := range []json.RawMessage{kinds.AWS, kinds.Service} {
		if kind == nil {
			continue
		}
		some, err := texts(kind)
		if err != nil {
			return nil, err
		}
		for _, one := range some {
			if !principal.MatchString(one) {
				return nil, fmt.Errorf("the principal %q is not known", one)
			}
		}
		all = append(all, some...)
	}
	return all, nil
}

func parseConditions(value json.RawMessage) (all []Condition, err error) {
	var operators map[string]map[string]json.RawMessage
	if err := json.Unmarshal(value, &operators); err != nil {
		return nil, err
	}
	for operator, keys := range operators {
		if _, err := parseOperator(operator); err != nil {
			return nil, err
		}
		for key, value := range keys {
			values, err := texts(value)
			if err != nil {
				return nil, err
			}
			all = append(all, Condition{operator, key, values})
		}
	}
	slices.SortFunc(all, func(a, b Condition) int { return strings.Compare(a.Operator+a.Key, b.Operator+b.Key) })
	return all, nil
}

// texts reads one value or a list of them. A condition's value may be written as
// a boolean or a number.
func texts(value json.RawMessage) (list []string, err error) {
	var one any
	if err := json.Unmarshal(value, &one); err != nil {
		return nil, err
	}
	several, ok := one.([]any)
	if !ok {
		several = []any{one}
	}
	for _, v := range several {
		text := fmt.Sprint(v)
		if _, ok := v.(map[string]any); ok || v == nil {
			return nil, fmt.Errorf("%s stands where a text belongs", text)
		}
		if strings.Contains(text, "${") {
			return nil, fmt.Errorf("the variable in %q is not known", text)
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("an empty list")
	}
	return list, nil
}
